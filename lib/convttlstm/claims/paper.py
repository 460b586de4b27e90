"""The values that the paper prints for its claims."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path

import pandas as pd

from convttlstm.claims.catalogue import (
    AccuracyClaim,
    Better,
    Catalogue,
    Claim,
    Comparison,
    CountClaim,
    GainClaim,
    GroupGainClaim,
    MetricClaim,
    TimeClaim,
)
from convttlstm.claims.evidence import percent
from convttlstm.files import UserError
from convttlstm.metrics import METRICS
from convttlstm.results import read_table

OPTIMIZED = ", optimized code)"
COLUMNS = {
    1: ["method", "fraction", "group", "accuracy", "clips"],
    2: ["dataset", "method", "reference", "parameters_millions", "flops_billions", "minutes_per_epoch"],
    3: ["method", "fraction", "accuracy"],
    4: ["dataset", "filters", "order"],
}
# Returns the row of the paper's tables that a name in a claim refers to.
Rows = Callable[[str], str]


@dataclass(frozen=True)
class PrintedValues:
    """The paper's values for a claim as text, whether they support it, and reservations."""

    text: str
    holds: bool | None
    note: str


@dataclass(frozen=True)
class Pair:
    """Two printed values.

    Attributes:
        label: name of the quantity.
        compared: the values, as text.
        lead: positive where they support the claim, zero for a tie.
        ties: whether a tie supports the claim.
    """

    label: str
    compared: str
    lead: float
    ties: bool = False

    @property
    def text(self) -> str:
        """The label and both values."""
        return f"{self.label}: {self.compared}"

    @property
    def holds(self) -> bool:
        """Whether the values support the claim."""
        return self.lead > 0 or (self.ties and self.lead == 0)


class Paper:
    """The paper's tables.

    Args:
        folder: data/paper.
        catalogue: the claims; their names lead to rows of the tables.

    Raises:
        UserError: a table is missing or damaged.
    """

    def __init__(self, folder: Path, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.tables: dict[int, list[dict[str, str]]] = {
            number: read_table(folder / f"table{number}.csv", columns).to_dict("records")
            for number, columns in COLUMNS.items()
        }

    def printed_values(self, claim: Claim) -> PrintedValues:
        """Return the paper's values for a claim; `holds` is None if it prints none."""
        several = len({getattr(comparison, "dataset", "") for comparison in claim.comparisons}) > 1
        pairs = []
        for comparison in claim.comparisons:
            found = self._closest(comparison, self._row)
            dataset = getattr(comparison, "dataset", "")
            of = f"{self._title(dataset)}, " if several and dataset else ""
            pairs += [replace(pair, label=of + pair.label) for pair in found]
        holds = all(pair.holds for pair in pairs) if pairs else None
        notes = [note for note in (claim.note, self._optimized(claim)) if note]
        return PrintedValues("\n".join(pair.text for pair in pairs), holds, " ".join(notes))

    def printed_metric(self, dataset: str, name: str, metric: str, horizon: int) -> str:
        """Return the printed value of a model or of a row of Table 4, "" if there is none."""
        return self._printed_metric(dataset, name, metric, horizon, self._row)

    def printed_accuracy(self, name: str, fraction: float) -> str:
        """Return the printed accuracy of a recognizer over all activities, "" if there is none."""
        return self._accuracy(name, fraction, [], self._row)

    def smallest_lead(self, dataset: str, metric: str) -> float:
        """Return the smallest difference that the paper prints between its model and its ConvLSTM baseline.

        Args:
            dataset: data set of Table 2; not used for accuracies, which are in Table 3.
            metric: a key of METRICS, or "accuracy".

        Raises:
            UserError: the paper prints none.
        """
        if metric == "accuracy":
            names = ("recognizer_conv_tt", "recognizer_conv_lstm")
            pairs = [[self.printed_accuracy(name, fraction) for name in names] for fraction in (0.25, 0.5)]
        else:
            names = ("conv_tt_lstm", "conv_lstm")
            horizons = self.catalogue.paper.datasets[dataset].test_horizons
            pairs = [[self.printed_metric(dataset, n, metric, h) for n in names] for h in horizons]
        leads = [abs(float(ours) - float(theirs)) for ours, theirs in pairs if ours and theirs]
        if not leads:
            raise UserError(f"data/paper: the paper has no {metric} on {dataset}; remove it from claims.yaml")
        return round(min(leads), 9)

    def lead(self, comparison: Better) -> float | None:
        """Return the lead of a comparison of two numbers, positive where it is as claimed.

        Of counts and times it is a share of the claimed bound. None if the paper does not print both.
        """
        pairs = self._pairs(comparison, self._row)
        if not pairs:
            return None
        return (
            pairs[0].lead / comparison.factor
            if isinstance(comparison, CountClaim | TimeClaim)
            else pairs[0].lead
        )

    def _optimized(self, claim: Claim) -> str:
        """Return a sentence if the values of the authors' optimized code contradict a claim, else ""."""
        against = []
        for comparison in claim.comparisons:
            if isinstance(comparison, MetricClaim | GainClaim) and "conv_lstm" in comparison.than:
                alone = comparison.model_copy(update={"than": ["conv_lstm"]})
                pairs = self._closest(alone, self._optimized_row)
                against += [pair.text for pair in pairs if not pair.holds]
        said = "With the authors' optimized code it is the other way"
        return f"{said}: {'; '.join(against)}." if against else ""

    def _row(self, name: str) -> str:
        if name in self.catalogue.claims.printed_only:
            return self.catalogue.claims.printed_only[name]
        return self.catalogue.paper.systems[name].paper_row or ""

    def _optimized_row(self, name: str) -> str:
        return self._row(name).removesuffix(")") + OPTIMIZED

    def _closest(self, comparison: Comparison, row: Rows) -> list[Pair]:
        """Return each pair of values; among several other models, the one with the smallest lead."""
        if not isinstance(comparison, Better):
            return []
        closest: dict[str, Pair] = {}
        for pair in self._pairs(comparison, row):
            if pair.label not in closest or pair.lead < closest[pair.label].lead:
                closest[pair.label] = pair
        ties = isinstance(comparison, TimeClaim) or getattr(comparison, "or_equal", False)
        return [replace(pair, ties=ties) for pair in closest.values()]

    def _pairs(self, comparison: Better, row: Rows) -> list[Pair]:
        kinds: dict[type, Callable[..., list[Pair]]] = {
            MetricClaim: self._metric_pairs,
            GainClaim: self._gain_pairs,
            AccuracyClaim: self._accuracy_pairs,
            GroupGainClaim: self._group_gain_pairs,
            CountClaim: self._count_pairs,
            TimeClaim: self._time_pairs,
        }
        if type(comparison) not in kinds:  # the paper prints no gaps
            return []
        pairs = kinds[type(comparison)]
        return [pair for other in comparison.than for pair in pairs(comparison, other, row)]

    def _metric_pairs(self, claim: MetricClaim, other: str, row: Rows) -> list[Pair]:
        pairs = []
        for horizon in claim.horizons:
            for metric in claim.metrics:
                ours, theirs = (
                    self._metric(claim.dataset, n, metric, horizon, claim.after, row)
                    for n in (claim.better, other)
                )
                if ours and theirs:
                    frames = f"frames {claim.after + 1} to {horizon}" if claim.after else f"{horizon} frames"
                    other_row = f"of {self._name(claim.dataset, other, row)}"
                    label = f"{METRICS[metric].symbol}, {frames}"
                    pairs.append(self._pair(label, ours, theirs, other_row, METRICS[metric].lower))
        return pairs

    def _metric(
        self, dataset: str, name: str, metric: str, horizon: int, after: int | None, row: Rows
    ) -> str:
        """Return a value as printed, or the mean of the late frames, computed from two printed means."""
        whole = self._printed_metric(dataset, name, metric, horizon, row)
        if after is None or not whole:
            return whole
        early = self._printed_metric(dataset, name, metric, after, row)
        return f"{(horizon * float(whole) - after * float(early)) / (horizon - after):.1f}" if early else ""

    def _printed_metric(self, dataset: str, name: str, metric: str, horizon: int, row: Rows) -> str:
        column = f"{METRICS[metric].printed}_{horizon}"
        if line := self.catalogue.claims.ablations.get(name):
            keys = {"dataset": dataset, "filters": line.filters, "order": line.row}
            return self._cell(4, keys, column)
        return self._cell(2, {"dataset": dataset, "method": row(name)}, column)

    def _gain_pairs(self, claim: GainClaim, other: str, row: Rows) -> list[Pair]:
        pairs = []
        for metric in claim.metrics:
            gains = []
            for horizon in (claim.more_at, claim.less_at):
                ours, theirs = (
                    self._printed_metric(claim.dataset, n, metric, horizon, row)
                    for n in (claim.better, other)
                )
                if ours and theirs:
                    sign = METRICS[metric].sign
                    gains.append(round(sign * (float(ours) - float(theirs)), 9))
            if len(gains) == 2:
                label = f"lead in {METRICS[metric].symbol} at {claim.more_at} and at {claim.less_at} frames"
                other_row = f"over {self._name(claim.dataset, other, row)}"
                pairs.append(self._pair(label, f"{gains[0]:g}", f"{gains[1]:g}", other_row, lower=False))
        return pairs

    def _accuracy_pairs(self, claim: AccuracyClaim, other: str, row: Rows) -> list[Pair]:
        pairs = []
        for fraction in claim.fractions:
            for groups in claim.sets:
                ours, theirs = (self._accuracy(n, fraction, groups, row) for n in (claim.better, other))
                if ours and theirs:
                    label = f"{' and '.join(groups)}, {percent(fraction)}".removeprefix(", ")
                    other_row = f"of {row(other).rstrip('*')}"
                    pairs.append(self._pair(label, ours, theirs, other_row, lower=False, by=claim.by))
        return pairs

    def _accuracy(self, name: str, fraction: float, groups: list[str], row: Rows) -> str:
        """Return a value as printed, or for several groups the mean over their clips."""
        keys = {"method": row(name), "fraction": str(fraction)}
        if len(groups) > 1:
            return f"{self._share(name, fraction, groups, row):.1f}"
        return self._cell(*((1, keys | {"group": groups[0]}) if groups else (3, keys)), "accuracy")

    def _group_gain_pairs(self, claim: GroupGainClaim, other: str, row: Rows) -> list[Pair]:
        pairs = []
        for fraction in claim.fractions:
            more, less = (
                self._share(claim.better, fraction, groups, row) - self._share(other, fraction, groups, row)
                for groups in (claim.more, claim.less)
            )
            label, other_row = f"lead in points, {percent(fraction)}", f"over {row(other)}"
            pairs.append(self._pair(label, f"{more:.1f}", f"{less:.1f}", other_row, lower=False))
        return pairs

    def _share(self, name: str, fraction: float, groups: list[str], row: Rows) -> float:
        """Return the percentage over the clips of several groups."""
        own = [
            line
            for line in self.tables[1]
            if line["method"] == row(name) and line["fraction"] == str(fraction) and line["group"] in groups
        ]
        clips = sum(int(line["clips"]) for line in own)
        return sum(float(line["accuracy"]) * int(line["clips"]) for line in own) / clips if own else nan

    def _count_pairs(self, claim: CountClaim, other: str, row: Rows) -> list[Pair]:
        column, unit = {
            "parameters": ("parameters_millions", "M"),
            "multiplications": ("flops_billions", "G"),
        }[claim.what]
        name = {"parameters": "parameters", "multiplications": "FLOPs"}[claim.what]
        return self._ratio(claim, other, row, column, unit, name)

    def _time_pairs(self, claim: TimeClaim, other: str, row: Rows) -> list[Pair]:
        row = self._optimized_row if claim.optimized else row
        return self._ratio(claim, other, row, "minutes_per_epoch", " min", "time of 10,000 samples")

    def _ratio(
        self, claim: CountClaim | TimeClaim, other: str, row: Rows, column: str, unit: str, label: str
    ) -> list[Pair]:
        ours, theirs = (
            self._cell(2, {"dataset": claim.dataset, "method": row(n)}, column) for n in (claim.better, other)
        )
        if not ours or not theirs:
            return []
        lead = round(claim.factor * float(theirs) - float(ours), 9)
        times = "" if claim.factor == 1 else f"{claim.factor:g} x "
        sign = "<" if lead > 0 else "=" if lead == 0 else ">"
        text = f"{ours}{unit} {sign} {times}{theirs}{unit} of {self._name(claim.dataset, other, row)}"
        # `_closest` needs the ratio: the smallest difference may belong to another model.
        return [Pair(label, text, round(claim.factor - float(ours) / float(theirs), 9) if lead else 0.0)]

    def _pair(self, label: str, ours: str, theirs: str, other_row: str, lower: bool, by: float = 0) -> Pair:
        difference = round(float(ours) - float(theirs), 9)
        sign = "<" if difference < 0 else "=" if difference == 0 else ">"
        by_more = f", by {difference:.2f} and not {by:g}" if by and 0 < difference <= by else ""
        text = f"{ours} {sign} {theirs} {other_row}{by_more}"
        return Pair(label, text, (-difference if lower else difference) - by)

    def _title(self, dataset: str) -> str:
        return self.catalogue.paper.datasets[dataset].title

    def _name(self, dataset: str, name: str, row: Rows) -> str:
        """Return the paper's name of a row, with its reference number."""
        if line := self.catalogue.claims.ablations.get(name):
            return f"{line.filters}, {line.row}"
        return f"{row(name)} {self._cell(2, {'dataset': dataset, 'method': row(name)}, 'reference')}".strip()

    def _cell(self, number: int, keys: dict[str, str], column: str) -> str:
        if column not in self.tables[number][0]:
            raise UserError(
                f"data/paper/table{number}.csv: no column {column!r}, which claims.yaml needs; correct either"
            )
        found = (line[column] for line in self.tables[number] if keys.items() <= line.items())
        return next(found, "")


def printed_groups(paper: Path) -> set[str]:
    """Return the groups of activities in data/paper/table1.csv."""
    table: pd.DataFrame = read_table(paper / "table1.csv", COLUMNS[1])
    return set(table["group"])
