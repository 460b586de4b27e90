"""Evidence on the claims' comparisons from a scale's runs, from counts and from benchmarks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from convttlstm.config import Settings, run_id
from convttlstm.evaluation.intervals import (
    Estimate,
    difference_of_proportions,
    gap_difference,
    independent_difference,
    mean,
    proportion,
)
from convttlstm.files import UserError
from convttlstm.reporting.claims import (
    AccuracyClaim,
    AccuracyValueClaim,
    BenchmarkClaim,
    Better,
    Catalogue,
    Comparison,
    CountClaim,
    GainClaim,
    GapClaim,
    GroupGainClaim,
    GrowthClaim,
    MetricClaim,
    TimeClaim,
    ValueClaim,
)
from convttlstm.reporting.evidence import (
    TIMING_NOISE,
    Evidence,
    Missing,
    exactly,
    percent,
    ratio,
    refused,
    within,
)
from convttlstm.reporting.growth import grows, layer_parameters
from convttlstm.reporting.paired import CORRECT, answers, late_values, paired, sequence_values
from convttlstm.reporting.printed import LOWER, NAMES, Paper
from convttlstm.reporting.recognition import Recognition, load_recognitions
from convttlstm.reporting.results import GROUP, Result, load_result, read_table
from convttlstm.reporting.table2 import SCALES

UNITS = {"mse": "MSE x 1000", "psnr": "dB PSNR", "ssim_paper": "SSIM", "lpips_paper": "LPIPS x 1000"}
WIDER_GROUP = (
    "person"  # videos of one person may resemble each other too: what if so is said where it matters
)


class Scale:
    """One scale's results, as far as claims ask for them.

    Args:
        results: folder of the scale, such as results/laptop, with complexity.csv.
        settings: of the scale.
        catalogue: of the claims.
        paper: the paper's tables.
        benchmarks: CSV files of benchmarks/results; there may be none.

    Raises:
        UserError: a file is missing or damaged.
    """

    def __init__(
        self,
        results: Path,
        settings: Settings,
        catalogue: Catalogue,
        paper: Paper,
        benchmarks: Sequence[Path],
    ) -> None:
        self.results, self.settings, self.catalogue = results, settings, catalogue
        self.paper, self.benchmarks = paper, benchmarks
        counts = read_table(results / "complexity.csv", ["scale", "system", "parameters"])
        self.counts = counts[counts["scale"] == "paper"].set_index("system")
        self.recognitions = {
            f"{r.config.dataset_name}/{r.config.id}": r for r in load_recognitions(results, settings)
        }
        self.loaded: dict[str, Result] = {}

    def evidence(self, comparison: Comparison) -> list[Evidence]:
        """Return the evidence on each model that is compared; what is missing is refused.

        Raises:
            UserError: a file is missing or damaged.
        """
        if isinstance(comparison, Better):
            kinds: dict[type, Callable[..., Iterator[Evidence]]] = {
                MetricClaim: self._metric,
                GainClaim: self._gain,
                GapClaim: self._gap,
                AccuracyClaim: self._accuracy,
                GroupGainClaim: self._group_gain,
                CountClaim: self._count,
                TimeClaim: self._time,
            }
            decide = kinds[type(comparison)]
            found = list[Evidence]()
            for other in comparison.than:
                found += _or_missing(partial(decide, comparison, other), comparison.kind)
            return found
        alone: dict[type, Callable[..., Iterator[Evidence]]] = {
            ValueClaim: self._value,
            AccuracyValueClaim: self._accuracy_value,
            GrowthClaim: self._growth,
            BenchmarkClaim: self._benchmark,
        }
        return _or_missing(partial(alone[type(comparison)], comparison), comparison.kind)

    def _run_ids(self, dataset: str, name: str) -> list[str]:
        """Return the runs of a model, seed by seed.

        Raises:
            Missing: this scale has none.
        """
        title = self.catalogue.title(name)
        if name in self.catalogue.claims.printed_only:
            raise Missing(f"the paper's {title} is not among the models here")
        experiment = self.settings.experiments.get(dataset)
        if experiment is None:
            raise Missing(f"this scale has no {self.catalogue.paper.datasets[dataset].title}")
        system, hyper = name, {}
        if name in self.catalogue.claims.ablations:
            ablation = self.catalogue.ablation(self.settings, dataset, name)
            if ablation is None:
                raise Missing(f"this scale has no {title}")
            system, hyper = ablation.system, ablation.hyper()
        elif name not in experiment.table:
            raise Missing(f"this scale has no {title}")
        return list(dict.fromkeys(run_id(self.settings, system, hyper, seed) for seed in experiment.seeds))

    def _results(self, dataset: str, name: str) -> list[Result]:
        found = []
        for run in self._run_ids(dataset, name):
            key = f"{dataset}/{run}"
            if key not in self.loaded:
                self.loaded[key] = load_result(self.results, dataset, run)
            found.append(self.loaded[key])
        return found

    def _recognizers(self, fraction: float, name: str) -> list[Recognition]:
        for dataset in self.settings.experiments:
            if fraction in getattr(self.settings.datasets[dataset], "fractions", []):
                return [self.recognitions[f"{dataset}/{run}"] for run in self._run_ids(dataset, name)]
        raise Missing("this scale has no early activity recognition")

    def _against(self, claim: Better, other: str) -> str:
        return f"{self.catalogue.title(claim.better)} against {self.catalogue.title(other)}"

    # Predicted frames

    def _metric(self, claim: MetricClaim, other: str) -> Iterator[Evidence]:
        ours, theirs = (self._results(claim.dataset, name) for name in (claim.better, other))
        for horizon in claim.horizons:
            frames = f" in frames {claim.after + 1} to {horizon}" if claim.after else f" at {horizon} frames"
            for metric in claim.metrics:
                values = [late_values(run, horizon, claim.after, metric) for run in [*ours, *theirs]]
                where = f"{frames}, {self._against(claim, other)}"
                found = Evidence(NAMES[metric], where, horizon=str(horizon), ties_hold=claim.or_equal)
                yield self._frames_found(found, ours, theirs, values, metric, horizon)

    def _gain(self, claim: GainClaim, other: str) -> Iterator[Evidence]:
        ours, theirs = (self._results(claim.dataset, name) for name in (claim.better, other))
        frames = f" from {claim.less_at} to {claim.more_at} frames"
        for metric in claim.metrics:
            values = [
                sequence_values(run, claim.more_at, metric) - sequence_values(run, claim.less_at, metric)
                for run in [*ours, *theirs]
            ]
            what, where = f"growth of the lead in {NAMES[metric]}", f"{frames}, {self._against(claim, other)}"
            found = Evidence(what, where, horizon=f"{claim.less_at} {claim.more_at}")
            yield self._frames_found(found, ours, theirs, values, metric, claim.more_at)

    def _frames_found(
        self,
        found: Evidence,
        ours: list[Result],
        theirs: list[Result],
        values: list[pd.Series],
        metric: str,
        horizon: int,
    ) -> Evidence:
        """Return the evidence with the difference over the sequences that all runs have in common."""
        sign = -1 if metric in LOWER else 1
        outcomes = []
        for labels in ((GROUP,), (WIDER_GROUP, GROUP)):
            groups = ours[0].groups(horizon, *labels)
            estimate, sequences = paired(values, len(ours), groups)
            estimate = estimate.times(SCALES[metric][1])
            text = f"{in_words(estimate)} {UNITS[metric]}"
            lead, margin = estimate.times(sign), self._margin(ours[0].config.dataset_name, metric)
            outcomes.append(replace(found, lead=lead, margin=margin, text=text, sequences=sequences))
        outcome, wider = outcomes
        if wider.found != outcome.found:
            outcome = replace(outcome, text=f"{outcome.text} (by {WIDER_GROUP}: {wider.found}, {wider.text})")
        return _of_runs(outcome, ours, theirs)

    def _gap(self, claim: GapClaim, other: str) -> Iterator[Evidence]:
        ours, theirs = (self._results(claim.dataset, name) for name in (claim.better, other))
        seen = [run.on_training for run in [*ours, *theirs]]
        if any(table.empty for table in seen):
            raise Missing("no training sequence is as long as the shortest horizon")
        horizon = int(seen[0]["horizon"].iloc[0])
        test = pd.concat([run.values(horizon, "mse") for run in [*ours, *theirs]], axis=1, join="inner")
        training = pd.concat([table["mse"] for table in seen], axis=1, join="inner")
        groups = ours[0].groups(horizon, GROUP).loc[test.index], seen[0]["group"].loc[training.index]
        both = test.to_numpy(float).T, training.to_numpy(float).T
        estimate = gap_difference(
            (both[0][: len(ours)], both[1][: len(ours)]),
            (both[0][len(ours) :], both[1][len(ours) :]),
            (groups[0].to_numpy(), groups[1].to_numpy()),
        ).times(SCALES["mse"][1])
        where = f" at {horizon} frames, test less training sequences, {self._against(claim, other)}"
        found = Evidence(
            "MSE", where, estimate.times(-1), self._margin(claim.dataset, "mse"), horizon=str(horizon)
        )
        found = replace(found, text=f"{in_words(estimate)} {UNITS['mse']}", sequences=len(test))
        yield _of_runs(found, ours, theirs)

    def _value(self, claim: ValueClaim) -> Iterator[Evidence]:
        runs = self._results(claim.dataset, claim.system)
        title = self.catalogue.title(claim.system)
        for horizon in claim.horizons:
            for metric in claim.metrics:
                printed = self.paper.printed_metric(claim.dataset, claim.system, metric, horizon)
                values = np.stack([sequence_values(run, horizon, metric).to_numpy() for run in runs])
                estimate = mean(values, runs[0].groups(horizon, GROUP).to_numpy())
                estimate = estimate.times(SCALES[metric][1])
                lead = within(estimate, float(printed), self._tolerance(claim.dataset, metric))
                text = f"{in_words(estimate, sign='')} {UNITS[metric]}; the paper has {printed}"
                found = Evidence(NAMES[metric], f" at {horizon} frames, {title}", lead, text=text)
                found = replace(found, horizon=str(horizon), sequences=values.shape[1])
                yield self._at_papers_scale(_of_runs(found, runs, runs))

    # Recognised activities

    def _accuracy(self, claim: AccuracyClaim, other: str) -> Iterator[Evidence]:
        for fraction in claim.fractions:
            ours, theirs = (self._recognizers(fraction, name) for name in (claim.better, other))
            for groups in claim.sets:
                for reading in claim.readings:
                    estimate, clips = _points(ours, theirs, fraction, reading, groups)
                    found = self._accuracy_found(claim, other, fraction, reading, " and ".join(groups))
                    text = f"{in_words(estimate, digits='.1f')} points"
                    lead, margin = estimate.less(claim.by), 0.0 if claim.by else self._margin("", "accuracy")
                    found = replace(found, lead=lead, margin=margin, text=text, sequences=clips)
                    yield _of_runs(found, ours, theirs)

    def _group_gain(self, claim: GroupGainClaim, other: str) -> Iterator[Evidence]:
        for fraction in claim.fractions:
            ours, theirs = (self._recognizers(fraction, name) for name in (claim.better, other))
            for reading in CORRECT:
                (more, n), (less, m) = (
                    _points(ours, theirs, fraction, reading, groups) for groups in (claim.more, claim.less)
                )
                estimate = independent_difference(more, less)
                found = self._accuracy_found(claim, other, fraction, reading)
                text = f"{in_words(estimate, digits='.1f')} points of lead"
                found = replace(found, lead=estimate, margin=self._margin("", "accuracy"), text=text)
                yield _of_runs(replace(found, sequences=n + m), ours, theirs)

    def _accuracy_found(
        self, claim: Better, other: str, fraction: float, reading: str, group: str = ""
    ) -> Evidence:
        counted = ", any activity of the group counted as correct" if reading == "group" else ""
        of = f" of {group}" if group else ""
        where = f"{of} at {percent(fraction)} of the frames{counted}, {self._against(claim, other)}"
        return Evidence("accuracy", where, horizon=str(fraction))

    def _accuracy_value(self, claim: AccuracyValueClaim) -> Iterator[Evidence]:
        for fraction in claim.fractions:
            runs = self._recognizers(fraction, claim.system)
            printed = self.paper.printed_accuracy(claim.system, fraction)
            hits = pd.concat([answers(run, fraction, "top1", []) for run in runs], axis=1, join="inner")
            estimate = proportion(hits.to_numpy().T, hits.index.to_numpy()).times(100)
            lead = within(estimate, float(printed), self._tolerance("", "accuracy"))
            text = f"{in_words(estimate, sign='', digits='.1f')} %; the paper has {printed}"
            where = f" at {percent(fraction)} of the frames, {self.catalogue.title(claim.system)}"
            found = Evidence("accuracy", where, lead, text=text, horizon=str(fraction), sequences=len(hits))
            yield self._at_papers_scale(_of_runs(found, runs, runs))

    def _at_papers_scale(self, found: Evidence) -> Evidence:
        label = self.settings.label
        return (
            replace(found, refused=found.refused or f"{label} is not the paper's")
            if label != self.catalogue.paper.label
            else found
        )

    def _margin(self, dataset: str, metric: str) -> float:
        return self.catalogue.claims.margin * self.paper.smallest_lead(dataset, metric)

    def _tolerance(self, dataset: str, metric: str) -> float:
        return self.catalogue.claims.tolerance * self.paper.smallest_lead(dataset, metric)

    # Counts and times

    def _count(self, claim: CountClaim, other: str) -> Iterator[Evidence]:
        size = self.catalogue.paper.datasets[claim.dataset].size
        parameters = claim.what == "parameters"
        column = "parameters" if parameters else f"multiplications_{size}"
        ours, theirs = (self._counted(name, column) for name in (claim.better, other))
        lead = claim.factor * theirs - ours
        sign = "<" if lead > 0 else "=" if lead == 0 else ">"
        times = "" if claim.factor == 1 else f"{claim.factor:g} x "
        at = "" if parameters else f" at {size} x {size} pixels"
        lead = lead or -1.0  # as many is not fewer
        found = Evidence(claim.what, f"{at}, {self._against(claim, other)}", exactly(lead))
        yield replace(found, text=f"{ours:,} {sign} {times}{theirs:,} {claim.what}", dataset=claim.dataset)

    def _growth(self, claim: GrowthClaim) -> Iterator[Evidence]:
        """Yield a comparison of one layer's size at successive orders with a law of growth."""
        counts = [layer_parameters(claim.system, order) for order in claim.orders]
        lead = 1.0 if grows(counts, claim.law, claim.at_most) else -1.0
        orders, sizes = ", ".join(map(str, claim.orders)), ", ".join(f"{count:,}" for count in counts)
        where = f" of a layer of {self.catalogue.title(claim.system)} at N = {orders}"
        yield Evidence(claim.what, where, exactly(lead), text=f"{sizes} {claim.what}")

    def _counted(self, name: str, column: str) -> int:
        if name not in self.counts.index or not self.counts.loc[name].get(column):
            raise Missing(f"complexity.csv does not count {self.catalogue.title(name)} at the paper's size")
        return int(self.counts.loc[name, column])

    def _time(self, claim: TimeClaim, other: str) -> Iterator[Evidence]:
        """Yield a comparison for each device that somebody measured, with models of the paper's size."""
        size = self.catalogue.paper.datasets[claim.dataset].size
        where = f" at {size} x {size} pixels, {self._against(claim, other)}"
        for name in (claim.better, other):
            if name in self.catalogue.claims.printed_only:
                raise Missing(f"the paper's {self.catalogue.title(name)} is not among the models here")
        for path in self._files("system_times"):
            table = read_table(path, ["device", "system", "size", "training_seconds"])
            ours, theirs = (
                _chosen(table, {"system": name, "size": str(size)}, "training_seconds", path)
                for name in (claim.better, other)
            )
            lead, text = _ratio(ours, theirs, claim.factor, "seconds a sequence", TIMING_NOISE, table)
            yield Evidence("training time", where, lead, text=text, dataset=claim.dataset)

    def _files(self, name: str) -> list[Path]:
        paths = [path for path in self.benchmarks if path.name.startswith(f"{name}-")]
        if not paths:
            raise Missing(f"there is no benchmark {name}-*.csv")
        return paths

    def _benchmark(self, claim: BenchmarkClaim) -> Iterator[Evidence]:
        path = self._files(claim.file)[0]
        table = read_table(path, [claim.column, *claim.better, *claim.than])
        ours, theirs = (_chosen(table, keys, claim.column, path) for keys in (claim.better, claim.than))
        noise = TIMING_NOISE if claim.timed else 0.0
        lead, text = _ratio(ours, theirs, claim.factor, claim.column, noise, table)
        rows = [", ".join(f"{k} {v}" for k, v in keys.items()) for keys in (claim.better, claim.than)]
        yield Evidence(claim.column, f" for {rows[0]} against {rows[1]}", lead, text=text)


def in_words(estimate: Estimate, sign: str = "+", digits: str = ".3g") -> str:
    """Return an estimate with its 95 % interval."""
    low, high = estimate.interval
    return f"{estimate.value:{sign}{digits}} [{low:{sign}{digits}}, {high:{sign}{digits}}]"


def _or_missing(decide: Callable[[], Iterator[Evidence]], what: str) -> list[Evidence]:
    try:
        return list(decide())
    except Missing as reason:
        return [Evidence(what, "", refused=str(reason))]


def _of_runs(
    found: Evidence, ours: Sequence[Result | Recognition], theirs: Sequence[Result | Recognition]
) -> Evidence:
    """Return the evidence with its runs, refused if they cannot be compared."""
    configs = [run.config for run in [*ours, *theirs]]
    names = dict.fromkeys(f"{config.dataset_name}/{config.id}" for config in configs)
    seeds = min(len(ours), len(theirs))
    return replace(
        found, refused=refused(configs), runs=tuple(names), seeds=seeds, dataset=configs[0].dataset_name
    )


def _points(
    ours: list[Recognition], theirs: list[Recognition], fraction: float, reading: str, groups: list[str]
) -> tuple[Estimate, int]:
    """Return the difference in accuracy in points, and the number of clips."""
    hits = [answers(run, fraction, reading, groups) for run in [*ours, *theirs]]
    estimate, clips = paired(hits, len(ours), hits[0].index.to_series(), difference_of_proportions)
    return estimate.times(100), clips


def _ratio(
    ours: list[float], theirs: list[float], factor: float, unit: str, noise: float, table: pd.DataFrame
) -> tuple[Estimate, str]:
    """Return the lead of a benchmark's cells over others, and both in words."""
    device = table.get("conditions", table["device"] if "device" in table else pd.Series([""])).iloc[0]
    first, second = sum(ours) / len(ours), sum(theirs) / len(theirs)
    text = f"{first:.4g} against {second:.4g} {unit} ({first / second:.3g} times, {device})"
    return exactly(*ratio(ours, theirs, factor, noise)), text


def _chosen(table: pd.DataFrame, keys: dict[str, str], column: str, path: Path) -> list[float]:
    for name, value in keys.items():
        table = table[table[name] == value]
    if table.empty:
        raise UserError(f"{path}: no row with {keys}, which claims.yaml asks for")
    return [float(value) for value in table[column]]
