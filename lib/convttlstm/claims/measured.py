"""Evidence for comparisons, from a scale's runs, from counts and from benchmarks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from convttlstm.claims.catalogue import (
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
from convttlstm.claims.counted import Costs, against
from convttlstm.claims.evidence import LACKS, Evidence, Missing, percent, refused, within
from convttlstm.claims.paired import (
    CORRECT,
    answers,
    in_frames,
    late_values,
    paired,
    paired_gap,
    sequence_values,
)
from convttlstm.claims.paper import Paper
from convttlstm.config import run_id
from convttlstm.evaluation.intervals import (
    Estimate,
    difference_of_proportions,
    mean,
    proportion,
)
from convttlstm.metrics import METRICS
from convttlstm.results import GROUP, Recognition, Result, Scale

# Videos of one person may be correlated too: the result with these groups is added where it differs.
WIDER_GROUP = "person"


class EvidenceFinder:
    """The evidence of one scale for comparisons.

    Args:
        scale: the scale; its folder holds complexity.csv.
        catalogue: the claims.
        paper: the paper's tables.

    Raises:
        UserError: a file is missing or damaged.
    """

    def __init__(self, scale: Scale, catalogue: Catalogue, paper: Paper) -> None:
        self.scale, self.settings, self.catalogue, self.paper = scale, scale.settings, catalogue, paper
        self.costs = Costs(scale, catalogue)
        self.recognitions = {f"{r.config.dataset_name}/{r.config.id}": r for r in scale.recognitions}

    def evidence(self, comparison: Comparison) -> list[Evidence]:
        """Return the evidence for each compared model; a comparison that lacks results is excluded.

        Raises:
            UserError: a file is missing or damaged.
        """
        found = []
        for part in self._evidence(comparison):
            datasets = (self.settings if part.runs else self.catalogue.paper).datasets
            found.append(replace(part, title=datasets[part.dataset].title if part.dataset else ""))
        return found

    def _evidence(self, comparison: Comparison) -> list[Evidence]:
        if isinstance(comparison, Better):
            kinds: dict[type, Callable[..., Iterator[Evidence]]] = {
                MetricClaim: self._metric,
                GainClaim: self._gain,
                GapClaim: self._gap,
                AccuracyClaim: self._accuracy,
                GroupGainClaim: self._group_gain,
                CountClaim: self.costs.count,
                TimeClaim: self.costs.time,
            }
            decide = kinds[type(comparison)]
            found = list[Evidence]()
            for other in comparison.than:
                made = _or_missing(partial(decide, comparison, other), comparison.kind)
                if isinstance(comparison, CountClaim | TimeClaim):
                    printed = self.paper.lead(comparison.model_copy(update={"than": [other]}))
                    made = [replace(part, paper=printed) for part in made]
                found += made
            return found
        alone: dict[type, Callable[..., Iterator[Evidence]]] = {
            ValueClaim: self._value,
            AccuracyValueClaim: self._accuracy_value,
            GrowthClaim: self.costs.growth,
            BenchmarkClaim: self.costs.benchmark,
        }
        return _or_missing(partial(alone[type(comparison)], comparison), comparison.kind)

    def _run_ids(self, dataset: str, name: str) -> list[str]:
        """Return the runs of a model, seed by seed.

        Raises:
            Missing: this scale has no runs of it.
        """
        title = self.catalogue.title(name)
        if name in self.catalogue.claims.printed_only:
            raise Missing(f"the paper's {title} is not among the models here")
        experiment = self.settings.experiments.get(dataset)
        if experiment is None:
            raise Missing(f"{LACKS}{self.catalogue.paper.datasets[dataset].title}")
        system, hyper = name, {}
        if name in self.catalogue.claims.ablations:
            ablation = self.catalogue.ablation(self.settings, dataset, name)
            if ablation is None:
                raise Missing(f"{LACKS}“{title}”")
            system, hyper = ablation.system, ablation.hyper()
        elif name not in experiment.table:
            whose = "Table 2's " if self.catalogue.paper.systems[name].paper_row else ""
            raise Missing(f"{LACKS}{whose}{title}")
        return list(dict.fromkeys(run_id(self.settings, system, hyper, seed) for seed in experiment.seeds))

    def _horizon(self, dataset: str, printed: int) -> int:
        """Return this scale's horizon for one of the paper's: the one of equal rank, if there are as many."""
        own = sorted(self.settings.datasets[dataset].test_horizons)
        papers = sorted(self.catalogue.paper.datasets[dataset].test_horizons)
        return own[papers.index(printed)] if len(own) == len(papers) else printed

    def _results(self, dataset: str, name: str) -> list[Result]:
        return self.scale.predictions(dataset, self._run_ids(dataset, name))

    def _recognizers(self, fraction: float, name: str) -> list[Recognition]:
        for dataset in self.settings.experiments:
            if fraction in getattr(self.settings.datasets[dataset], "fractions", []):
                return [self.recognitions[f"{dataset}/{run}"] for run in self._run_ids(dataset, name)]
        raise Missing(f"{LACKS}early activity recognition")

    # Predicted frames

    def _metric(self, claim: MetricClaim, other: str) -> Iterator[Evidence]:
        ours, theirs = (self._results(claim.dataset, name) for name in (claim.better, other))
        after = self._horizon(claim.dataset, claim.after) if claim.after else None
        for printed in claim.horizons:
            horizon = self._horizon(claim.dataset, printed)
            first = after + 1 if after else self.settings.evaluation.first_frame
            frames = in_frames(first, horizon) + (f" (the paper's {printed})" if printed != horizon else "")
            for metric in claim.metrics:
                values = [late_values(run, horizon, after, metric) for run in [*ours, *theirs]]
                where = f"{frames}, {_against(ours, theirs)}"
                symbol, ties = METRICS[metric].symbol, claim.or_equal
                found = Evidence(symbol, where, horizon=str(horizon), ties_hold=ties)
                only = {"than": [other], "horizons": [printed], "metrics": [metric]}
                found = self._in_margins(found, claim, only, claim.dataset, metric)
                yield self._frames_found(found, ours, theirs, values, metric, horizon)

    def _gain(self, claim: GainClaim, other: str) -> Iterator[Evidence]:
        ours, theirs = (self._results(claim.dataset, name) for name in (claim.better, other))
        less_at, more_at = (self._horizon(claim.dataset, h) for h in (claim.less_at, claim.more_at))
        frames = f" from {less_at} to {more_at} frames"
        for metric in claim.metrics:
            values = [
                sequence_values(run, more_at, metric) - sequence_values(run, less_at, metric)
                for run in [*ours, *theirs]
            ]
            what = f"growth of the lead in {METRICS[metric].symbol}"
            where = f"{frames}, {_against(ours, theirs)}"
            found = Evidence(what, where, horizon=f"{less_at} {more_at}")
            only = {"than": [other], "metrics": [metric]}
            found = self._in_margins(found, claim, only, claim.dataset, metric)
            yield self._frames_found(found, ours, theirs, values, metric, more_at)

    def _frames_found(
        self,
        found: Evidence,
        ours: list[Result],
        theirs: list[Result],
        values: list[pd.Series],
        metric: str,
        horizon: int,
    ) -> Evidence:
        """Return the evidence with the difference over the sequences that all runs share."""
        sign = METRICS[metric].sign
        outcomes = []
        for labels in ((GROUP,), (WIDER_GROUP, GROUP)):
            groups = ours[0].groups(horizon, *labels)
            estimate, sequences = paired(values, len(ours), groups)
            estimate = estimate.times(METRICS[metric].scale)
            text = f"{estimate.as_text()} {METRICS[metric].scaled}"
            lead, margin = estimate.times(sign), self._margin(ours[0].config.dataset_name, metric)
            outcomes.append(replace(found, lead=lead, margin=margin, text=text, sequences=sequences))
        outcome, wider = outcomes
        said = f"margin {outcome.margin:.3g}"
        if wider.found != outcome.found and not isnan(wider.interval[0]):
            said += f"; with all videos of a {WIDER_GROUP} as one group: {wider.found}, {wider.text}"
        outcome = replace(outcome, text=f"{outcome.text} ({said})")
        return _of_runs(outcome, ours, theirs)

    def _gap(self, claim: GapClaim, other: str) -> Iterator[Evidence]:
        ours, theirs = (self._results(claim.dataset, name) for name in (claim.better, other))
        seen = [run.on_training for run in [*ours, *theirs]]
        if any(table.empty for table in seen):
            raise Missing("no training sequence is as long as the shortest horizon")
        horizon = int(seen[0]["horizon"].iloc[0])
        values = [run.values(horizon, "mse") for run in [*ours, *theirs]], [table["mse"] for table in seen]
        groups = ours[0].groups(horizon, GROUP), seen[0]["group"]
        estimate, (sequences, _) = paired_gap(values, len(ours), groups)
        estimate = estimate.times(METRICS["mse"].scale)
        frames = in_frames(self.settings.evaluation.first_frame, horizon)
        where = f"{frames}, test minus training sequences, {_against(ours, theirs)}"
        margin = self._margin(claim.dataset, "mse")
        text = f"{estimate.as_text()} {METRICS['mse'].scaled} (margin {margin:.3g})"
        found = Evidence("MSE", where, estimate.times(-1), margin, text=text, horizon=str(horizon))
        yield _of_runs(replace(found, unit=margin, sequences=sequences), ours, theirs)

    def _value(self, claim: ValueClaim) -> Iterator[Evidence]:
        self._require_papers_scale()
        runs = self._results(claim.dataset, claim.system)
        title = self.catalogue.title(claim.system)
        for horizon in claim.horizons:
            for metric in claim.metrics:
                printed = self.paper.printed_metric(claim.dataset, claim.system, metric, horizon)
                values = np.stack([sequence_values(run, horizon, metric).to_numpy() for run in runs])
                estimate = mean(values, runs[0].groups(horizon, GROUP).to_numpy())
                estimate = estimate.times(METRICS[metric].scale)
                lead = within(estimate, float(printed), self._tolerance(claim.dataset, metric))
                text = f"{estimate.as_text(sign='')} {METRICS[metric].scaled}; the paper has {printed}"
                found = Evidence(METRICS[metric].symbol, f" at {horizon} frames, {title}", lead, text=text)
                unit, tolerance = (of(claim.dataset, metric) for of in (self._margin, self._tolerance))
                found = replace(found, horizon=str(horizon), unit=unit, paper=tolerance / unit)
                yield _of_runs(replace(found, sequences=values.shape[1]), runs, runs)

    # Recognized activities

    def _accuracy(self, claim: AccuracyClaim, other: str) -> Iterator[Evidence]:
        for fraction in claim.fractions:
            ours, theirs = (self._recognizers(fraction, name) for name in (claim.better, other))
            for groups in claim.sets:
                for reading in claim.readings:
                    estimate, clips = _points(ours, theirs, fraction, reading, groups)
                    found = self._accuracy_found(claim, other, fraction, reading, " and ".join(groups))
                    only = {"than": [other], "fractions": [fraction], "groups": groups, "pooled": True}
                    found = self._in_margins(found, claim, only, "", "accuracy")
                    text = f"{estimate.as_text(decimals=1)} points"
                    lead, margin = estimate.less(claim.by), 0.0 if claim.by else self._margin("", "accuracy")
                    found = replace(found, lead=lead, margin=margin, text=text, sequences=clips)
                    yield _of_runs(found, ours, theirs)

    def _group_gain(self, claim: GroupGainClaim, other: str) -> Iterator[Evidence]:
        for fraction in claim.fractions:
            ours, theirs = (self._recognizers(fraction, name) for name in (claim.better, other))
            for reading in CORRECT:
                more, less = (
                    [answers(run, fraction, reading, groups) for run in [*ours, *theirs]]
                    for groups in (claim.more, claim.less)
                )
                clips = more[0].index.to_series(), less[0].index.to_series()
                share, counts = paired_gap((more, less), len(ours), clips)
                lead = share.times(100)
                found = self._accuracy_found(claim, other, fraction, reading)
                only = {"than": [other], "fractions": [fraction]}
                found = self._in_margins(found, claim, only, "", "accuracy")
                text = f"{lead.as_text(decimals=1)} points of lead"
                found = replace(found, lead=lead, margin=found.unit, text=text, sequences=sum(counts))
                yield _of_runs(found, ours, theirs)

    def _accuracy_found(
        self, claim: Better, other: str, fraction: float, reading: str, group: str = ""
    ) -> Evidence:
        counted = ", any activity of the group counted as correct" if reading == "group" else ""
        of = f" of {group}" if group else ""
        where = f"{of} at {percent(fraction)} of the frames{counted}, {against(self.catalogue, claim, other)}"
        return Evidence("accuracy", where, horizon=str(fraction))

    def _accuracy_value(self, claim: AccuracyValueClaim) -> Iterator[Evidence]:
        self._require_papers_scale()
        unit, tolerance = self._margin("", "accuracy"), self._tolerance("", "accuracy")
        for fraction in claim.fractions:
            runs = self._recognizers(fraction, claim.system)
            printed = self.paper.printed_accuracy(claim.system, fraction)
            hits = pd.concat([answers(run, fraction, "top1", []) for run in runs], axis=1, join="inner")
            estimate = proportion(hits.to_numpy().T, hits.index.to_numpy()).times(100)
            lead = within(estimate, float(printed), tolerance)
            text = f"{estimate.as_text(sign='', decimals=1)} %; the paper has {printed}"
            where = f" at {percent(fraction)} of the frames, {self.catalogue.title(claim.system)}"
            found = Evidence("accuracy", where, lead, text=text, horizon=str(fraction), sequences=len(hits))
            yield _of_runs(replace(found, unit=unit, paper=tolerance / unit), runs, runs)

    def _require_papers_scale(self) -> None:
        """Raise Missing unless this is the paper's scale: only its values compare with the paper's."""
        if self.scale.name != "paper":
            raise Missing(f"{self.settings.label} is not the paper's")

    def _in_margins(
        self, found: Evidence, claim: Better, only: dict[str, Any], dataset: str, metric: str
    ) -> Evidence:
        """Return the evidence with its unit, and the paper's lead in `claim` restricted by `only`."""
        unit, printed = self._margin(dataset, metric), self.paper.lead(claim.model_copy(update=only))
        return replace(found, unit=unit, paper=None if printed is None else printed / unit)

    def _margin(self, dataset: str, metric: str) -> float:
        return self.catalogue.claims.margin * self.paper.smallest_lead(dataset, metric)

    def _tolerance(self, dataset: str, metric: str) -> float:
        return self.catalogue.claims.tolerance * self.paper.smallest_lead(dataset, metric)


def _or_missing(decide: Callable[[], Iterator[Evidence]], what: str) -> list[Evidence]:
    try:
        return list(decide())
    except Missing as reason:
        return [Evidence(what, "", refused=str(reason))]


def _against(ours: list[Result], theirs: list[Result]) -> str:
    """Return the two models, each with the settings in which its runs differ from the catalogue."""
    return f"{ours[0].variant_title} against {theirs[0].variant_title}"


def _of_runs(
    found: Evidence, ours: Sequence[Result | Recognition], theirs: Sequence[Result | Recognition]
) -> Evidence:
    """Return the evidence with its runs, excluded if they must not be compared."""
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
