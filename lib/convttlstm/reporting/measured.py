"""What a scale's runs, the counts and the benchmarks say of the comparisons in claims."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from convttlstm.config import Settings, run_id
from convttlstm.files import UserError
from convttlstm.reporting.claims import (
    AccuracyClaim,
    BenchmarkClaim,
    Better,
    Catalogue,
    Comparison,
    CountClaim,
    GainClaim,
    GroupGainClaim,
    MetricClaim,
    TimeClaim,
)
from convttlstm.reporting.evidence import (
    TIMING_NOISE,
    Evidence,
    Missing,
    difference_of_independent,
    mean,
    percent,
    ratio,
    refused,
)
from convttlstm.reporting.paired import (
    RIGHT,
    difference_in_points,
    late_values,
    named_right,
    paired_difference,
    sequence_values,
)
from convttlstm.reporting.printed import LOWER, NAMES
from convttlstm.reporting.recognition import Recognition, load_recognitions
from convttlstm.reporting.results import Result, load_result, read_table
from convttlstm.reporting.table2 import SCALES

UNITS = {"mse": "MSE x 1000", "psnr": "dB PSNR", "ssim_paper": "SSIM", "lpips_paper": "LPIPS x 1000"}


class Scale:
    """One scale's results, as far as claims ask for them.

    Args:
        results: folder of the scale, such as results/laptop, with complexity.csv.
        settings: of the scale.
        catalogue: of the claims.
        benchmarks: CSV files of benchmarks/results; there may be none.

    Raises:
        UserError: a file is missing or damaged.
    """

    def __init__(
        self, results: Path, settings: Settings, catalogue: Catalogue, benchmarks: Sequence[Path]
    ) -> None:
        self.results, self.settings, self.catalogue, self.benchmarks = (
            results,
            settings,
            catalogue,
            benchmarks,
        )
        counts = read_table(results / "complexity.csv", ["scale", "system", "parameters"])
        self.counts = counts[counts["scale"] == "paper"].set_index("system")
        self.recognitions = {
            f"{r.config.dataset_name}/{r.config.id}": r for r in load_recognitions(results, settings)
        }
        self.loaded: dict[str, Result] = {}

    def evidence(self, comparison: Comparison) -> list[Evidence]:
        """Return what there is for each system that is compared; what is missing is refused.

        Raises:
            UserError: a file is missing or damaged.
        """
        if isinstance(comparison, BenchmarkClaim):
            return _or_missing(lambda: [self._benchmark(comparison)], comparison.column)
        kinds: dict[type, Callable[..., Iterator[Evidence]]] = {
            MetricClaim: self._metric,
            GainClaim: self._gain,
            AccuracyClaim: self._accuracy,
            GroupGainClaim: self._group_gain,
            CountClaim: self._count,
            TimeClaim: self._time,
        }
        decide, found = kinds[type(comparison)], list[Evidence]()
        for other in comparison.than:
            made = partial(lambda other: list(decide(comparison, other)), other)
            found += _or_missing(made, comparison.kind)
        return found

    def _run_ids(self, dataset: str, name: str) -> list[str]:
        """Return the runs of a system, seed by seed.

        Raises:
            Missing: this scale has none.
        """
        title = self.catalogue.title(name)
        if name in self.catalogue.claims.printed_only:
            raise Missing(f"the paper's {title} is not among the systems here")
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

    # Frames predicted

    def _metric(self, claim: MetricClaim, other: str) -> Iterator[Evidence]:
        ours, theirs = (self._results(claim.dataset, name) for name in (claim.better, other))
        for horizon in claim.horizons:
            frames = f" in frames {claim.after + 1} to {horizon}" if claim.after else f" at {horizon} frames"
            for metric in claim.metrics:
                values = [late_values(run, horizon, claim.after, metric) for run in [*ours, *theirs]]
                found = Evidence(
                    NAMES[metric], f"{frames}, {self._against(claim, other)}", horizon=str(horizon)
                )
                yield _paired(found, ours, theirs, values, metric)

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
            yield _paired(found, ours, theirs, values, metric)

    # Activities recognised

    def _accuracy(self, claim: AccuracyClaim, other: str) -> Iterator[Evidence]:
        for fraction in claim.fractions:
            ours, theirs = (self._recognizers(fraction, name) for name in (claim.better, other))
            for group in claim.groups or [""]:
                for reading in claim.readings:
                    right = [
                        named_right(run, fraction, reading, [group] if group else [])
                        for run in [*ours, *theirs]
                    ]
                    (points, low, high), clips = difference_in_points(ours, right)
                    found = self._accuracy_found(claim, other, fraction, reading, group)
                    text = f"{points:+.1f} [{low:+.1f}, {high:+.1f}] points"
                    found = replace(found, low=low - claim.by, high=high - claim.by, text=text)
                    yield _judged(replace(found, sequences=clips), ours, theirs)

    def _group_gain(self, claim: GroupGainClaim, other: str) -> Iterator[Evidence]:
        for fraction in claim.fractions:
            ours, theirs = (self._recognizers(fraction, name) for name in (claim.better, other))
            for reading in RIGHT:
                (more, n), (less, m) = (
                    difference_in_points(
                        ours, [named_right(run, fraction, reading, groups) for run in [*ours, *theirs]]
                    )
                    for groups in (claim.more, claim.less)
                )
                points, low, high = difference_of_independent(more, less)
                found = self._accuracy_found(claim, other, fraction, reading)
                text = f"{points:+.1f} [{low:+.1f}, {high:+.1f}] points of lead"
                yield _judged(replace(found, text=text, sequences=n + m, low=low, high=high), ours, theirs)

    def _accuracy_found(
        self, claim: Better, other: str, fraction: float, reading: str, group: str = ""
    ) -> Evidence:
        counted = ", any activity of the group counted as right" if reading == "group" else ""
        of = f" of {group}" if group else ""
        where = f"{of} at {percent(fraction)} of the frames{counted}, {self._against(claim, other)}"
        return Evidence("accuracy", where, horizon=str(fraction))

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
        found = Evidence(claim.what, f"{at}, {self._against(claim, other)}", lead, lead, exact=True)
        yield replace(found, text=f"{ours:,} {sign} {times}{theirs:,} {claim.what}", dataset=claim.dataset)

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
                raise Missing(f"the paper's {self.catalogue.title(name)} is not among the systems here")
        for path in self._files("system_times"):
            table = read_table(path, ["device", "system", "size", "training_seconds"])
            ours, theirs = (
                _chosen(table, {"system": name, "size": str(size)}, "training_seconds", path)
                for name in (claim.better, other)
            )
            lead, text = _ratio(ours, theirs, claim.factor, "seconds a sequence", table)
            yield Evidence("training time", where, *lead, text=text, exact=True, dataset=claim.dataset)

    def _files(self, name: str) -> list[Path]:
        paths = [path for path in self.benchmarks if path.name.startswith(f"{name}-")]
        if not paths:
            raise Missing(f"there is no benchmark {name}-*.csv")
        return paths

    def _benchmark(self, claim: BenchmarkClaim) -> Evidence:
        path = self._files(claim.file)[0]
        table = read_table(path, [claim.column, *claim.better, *claim.than])
        ours, theirs = (_chosen(table, keys, claim.column, path) for keys in (claim.better, claim.than))
        lead, text = _ratio(ours, theirs, claim.factor, claim.column, table)
        rows = [", ".join(f"{k} {v}" for k, v in keys.items()) for keys in (claim.better, claim.than)]
        return Evidence(claim.column, f" for {rows[0]} against {rows[1]}", *lead, text=text, exact=True)


def _or_missing(decide: Callable[[], list[Evidence]], what: str) -> list[Evidence]:
    try:
        return decide()
    except Missing as reason:
        return [Evidence(what, "", refused=str(reason))]


def _judged(
    found: Evidence, ours: Sequence[Result | Recognition], theirs: Sequence[Result | Recognition]
) -> Evidence:
    """Return the evidence with the runs that it is of, refused if they cannot be compared."""
    configs = [run.config for run in [*ours, *theirs]]
    names = dict.fromkeys(f"{config.dataset_name}/{config.id}" for config in configs)
    seeds = min(len(ours), len(theirs))
    return replace(
        found, refused=refused(configs), runs=tuple(names), seeds=seeds, dataset=configs[0].dataset_name
    )


def _paired(
    found: Evidence, ours: list[Result], theirs: list[Result], values: list[pd.Series], metric: str
) -> Evidence:
    """Return the evidence with the interval over the sequences that all runs were judged on."""
    resamples = ours[0].config.evaluation.bootstrap_resamples
    interval, sequences = paired_difference(values, len(ours), resamples)
    middle, low, high = (value * SCALES[metric][1] for value in interval)
    text = f"{middle:+.3g} [{low:+.3g}, {high:+.3g}] {UNITS[metric]}"
    low, high = (-high, -low) if metric in LOWER else (low, high)
    return _judged(replace(found, low=low, high=high, text=text, sequences=sequences), ours, theirs)


def _ratio(
    ours: list[float], theirs: list[float], factor: float, unit: str, table: pd.DataFrame
) -> tuple[tuple[float, float], str]:
    """Return low and high of the lead of a benchmark's cells over others, and both in words."""
    timed = unit not in ("multiplications", "width")
    device = table.get("conditions", table["device"] if "device" in table else pd.Series([""])).iloc[0]
    words = f"{mean(ours):.4g} against {mean(theirs):.4g} {unit}"
    text = f"{words} ({mean(ours) / mean(theirs):.3g} times; {device})"
    return ratio(ours, theirs, factor, TIMING_NOISE if timed else 0.0), text


def _chosen(table: pd.DataFrame, keys: dict[str, str], column: str, path: Path) -> list[float]:
    for name, value in keys.items():
        table = table[table[name] == value]
    if table.empty:
        raise UserError(f"{path}: no row with {keys}, which claims.yaml asks for")
    return [float(value) for value in table[column]]
