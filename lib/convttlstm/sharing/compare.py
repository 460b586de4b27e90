"""Compare two folders of results: which metrics and settings differ, by how much, with intervals."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isnan
from pathlib import Path

import numpy as np
import pandas as pd

from convttlstm.config import Run, RunId, read_run
from convttlstm.config.base import flattened
from convttlstm.evaluation.intervals import Estimate, difference, independent_difference, mean
from convttlstm.files import UserError, write_text
from convttlstm.markup import Row, Table, markdown, to_markdown
from convttlstm.metrics import METRICS
from convttlstm.reporting.cells import NOT_COMPUTED
from convttlstm.results import (
    GROUP,
    Recognition,
    Result,
    load_recognition,
    load_result,
    read_table,
    seed_by_seed,
)

NOTE = (
    "B - A, with 95 % intervals over test sequences, and over seeds if a side has several. If both were "
    "evaluated on the same sequences, the interval is that of paired differences. * marks intervals that "
    "exclude zero. If a folder holds tables only, as in git, * marks values whose intervals do not overlap, "
    "which is a stricter criterion."
)
SAME, OTHER, TABLES = "the same sequences", "other sequences", "not known: tables only"


@dataclass(frozen=True)
class Value:
    """One metric or cost of one model.

    Attributes:
        mean: mean over seeds and sequences, in the units of tables.
        low: lower bound of its interval.
        high: upper bound of its interval.
        values: (seeds, sequences); None for costs, and if only tables exist.
        groups: (sequences,); see `convttlstm.evaluation.intervals`.
        cost: whether it is a cost, which does not depend on test sequences.
    """

    mean: float
    low: float
    high: float
    values: np.ndarray | None = None
    groups: np.ndarray | None = None
    cost: bool = False


@dataclass(frozen=True)
class ModelResults:
    """Runs that differ in the seed only: their metrics and costs by name, settings and provenance.

    `run`, the settings, and `origin` are those of the first run; they are missing if only tables exist.
    """

    metrics: dict[str, Value]
    seeds: int
    run: Run | None = None
    origin: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """One metric or cost, `quantity`, on both sides.

    The bounds of B - A are None for costs, if only tables exist, or if a side has one group of sequences.

    `sure` is whether the interval of B - A excludes zero or, from tables, whether the two intervals are
    disjoint.
    """

    dataset: str
    run: str
    quantity: str
    a: float
    b: float
    low: float | None
    high: float | None
    sure: bool
    evaluated_on: str


def compare(a: Path, b: Path) -> "Comparison":
    """Compare two folders of results, such as results/laptop and results/paper.

    Runs are matched by data set and name without the seed; all seeds of a side are compared together.

    Args:
        a: a folder with runs/, or with tables/ alone.
        b: likewise.

    Raises:
        UserError: a folder holds no results, a file is damaged, or the two have no run in common.
    """
    sides = _models(a), _models(b)
    found = Comparison(a, b, *sides)
    if not found.common:
        raise UserError(f"{a} and {b} have no run in common; {a} has {', '.join(map('/'.join, sides[0]))}")
    return found


@dataclass(frozen=True)
class Comparison:
    """Both sides, by data set and run name without the seed."""

    a: Path
    b: Path
    of_a: dict[tuple[str, str], ModelResults]
    of_b: dict[tuple[str, str], ModelResults]

    @property
    def common(self) -> list[tuple[str, str]]:
        """The keys that both sides have, in the order of A."""
        return [key for key in self.of_a if key in self.of_b]

    @cached_property
    def differences(self) -> list[Difference]:
        """The differences of all metrics and costs that both sides have."""
        return [
            _difference(key, name, self.of_a[key], self.of_b[key])
            for key in self.common
            for name in self.of_a[key].metrics
            if name in self.of_b[key].metrics
        ]

    def tables(self) -> list[Table]:
        """Return a table of differences for each data set, and one of differing settings and provenance."""
        tables = []
        for dataset in dict.fromkeys(key[0] for key in self.common):
            own = [line for line in self.differences if line.dataset == dataset]
            rows = [
                Row([line.run, line.quantity, *_numbers(line), line.evaluated_on], ours=True) for line in own
            ]
            header = [("", name) for name in ("Run", "Metric", "A", "B", "B - A", "Evaluated on")]
            tables.append(Table(dataset, NOTE, header, "llrrrl", rows))
        rows = [Row(list(cells), ours=True) for cells in self._others()]
        header = [("", name) for name in ("Setting", "A", "B", "Runs")]
        note = "Settings and provenance, of the first seed."
        return [*tables, Table("Other differences", note, header, "llll", rows)] if rows else tables

    def _others(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield each differing setting or provenance entry, both values, and the runs that differ in it."""
        found: dict[tuple[str, str, str], list[str]] = {}
        for key in self.common:
            for what, a, b in _changed(_facts(self.of_a[key]), _facts(self.of_b[key])):
                found.setdefault((what, a, b), []).append("/".join(key))
        known = [key for key in self.common if self.of_a[key].run and self.of_b[key].run]
        for (what, a, b), runs in found.items():
            yield what, a, b, "all" if len(runs) == len(known) else ", ".join(runs)
        only_a = ["/".join(key) for key in self.of_a if key not in self.of_b]
        only_b = ["/".join(key) for key in self.of_b if key not in self.of_a]
        if only_a:
            yield "only in A", "yes", "-", ", ".join(only_a)
        if only_b:
            yield "only in B", "-", "yes", ", ".join(only_b)

    def to_text(self) -> str:
        """Return the whole comparison as Markdown."""
        head = f"# A: {self.a}, B: {self.b}\n\nA is {_label(self.of_a)}; B is {_label(self.of_b)}.\n"
        return markdown("\n".join([head, *map(to_markdown, self.tables())]))

    def write(self, output: Path) -> None:
        """Write the comparison as Markdown, or its differences as CSV, by the suffix of `output`.

        Raises:
            UserError: the suffix is neither .md nor .csv, or the file cannot be written.
        """
        if output.suffix == ".md":
            write_text(output, self.to_text())
        elif output.suffix == ".csv":
            write_text(output, pd.DataFrame(self.differences).to_csv(index=False, float_format="%.6g"))
        else:
            raise UserError(f"{output}: unknown suffix; name a .md or .csv file")


def _difference(key: tuple[str, str], name: str, a: ModelResults, b: ModelResults) -> Difference:
    of_a, of_b = a.metrics[name], b.metrics[name]
    if of_b.cost:
        return Difference(*key, name, of_a.mean, of_b.mean, None, None, False, "-")
    if of_b.values is None or of_a.values is None:
        apart = of_b.low > of_a.high or of_b.high < of_a.low
        return Difference(*key, name, of_a.mean, of_b.mean, None, None, apart, TABLES)
    assert of_b.groups is not None and of_a.groups is not None
    same = _same_sequences(a.run, b.run) and np.array_equal(of_a.groups, of_b.groups)
    found: Estimate = (
        difference(of_b.values, of_a.values, of_b.groups)
        if same
        else independent_difference(mean(of_b.values, of_b.groups), mean(of_a.values, of_a.groups))
    )
    low, high = (None if isnan(bound) else bound for bound in found.interval)  # NaN: a single group
    sure = low is not None and high is not None and not low <= 0 <= high
    return Difference(*key, name, of_a.mean, of_b.mean, low, high, sure, SAME if same else OTHER)


def _same_sequences(a: Run | None, b: Run | None) -> bool:
    """Return whether both were evaluated on the same sequences: the settings of the test split are equal."""
    if a is None or b is None:
        return False
    of_training = {"train", "validation", "title"}
    return a.dataset.model_dump(exclude=of_training) == b.dataset.model_dump(exclude=of_training)


def _numbers(line: Difference) -> list[str]:
    difference = f"{line.b - line.a:+.4g}"
    if line.low is not None and line.high is not None:
        difference += f" [{line.low:+.4g}, {line.high:+.4g}]"
    return [f"{line.a:.4g}", f"{line.b:.4g}", difference + (" *" if line.sure else "")]


def _label(models: Mapping[tuple[str, str], ModelResults]) -> str:
    labels = dict.fromkeys(model.run.label for model in models.values() if model.run)
    return ", ".join(labels) or "known by its tables only; intervals of differences need its runs/"


def _facts(model: ModelResults) -> dict[str, str]:
    if model.run is None:
        return {}
    settings = model.run.model_dump(
        mode="json", include={"model", "dataset", "training", "evaluation", "compute"}
    )
    values = {name: str(value) for name, value in flattened(settings).items()}
    return values | {"seeds": str(model.seeds)} | model.origin


def _changed(a: Mapping[str, str], b: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in dict.fromkeys([*a, *b]) if a and b else ():
        if a.get(name) != b.get(name):
            yield name, a.get(name, "-"), b.get(name, "-")


def _models(results: Path) -> dict[tuple[str, str], ModelResults]:
    folders = sorted(path.parent for path in results.glob("runs/*/*/metrics.json"))
    if not folders:
        return _from_tables(results)
    predictors: dict[str, list[Result]] = {}
    recognizers: dict[tuple[str, str], list[Recognition]] = {}
    for folder in folders:
        dataset, run = folder.parent.name, folder.name
        if read_run(folder).dataset.recognition:
            recognizers.setdefault((dataset, _without_seed(run)), []).append(
                load_recognition(results, dataset, run)
            )
        else:
            predictors.setdefault(dataset, []).append(load_result(results, dataset, run))
    found = {
        (dataset, _without_seed(runs[0].config.id)): _predictor(runs)
        for dataset, loaded in predictors.items()
        for runs in seed_by_seed(loaded)
    }
    return found | {key: _recognizer(runs) for key, runs in recognizers.items()}


def _without_seed(run: str) -> str:
    return str(RunId.parse(run).without_seed)


def _predictor(runs: list[Result]) -> ModelResults:
    first, found = runs[0], {}
    for horizon, metrics in first.metrics.horizons.items():
        for metric in METRICS:
            if metric in metrics and all(metric in run.metrics.horizons.get(horizon, {}) for run in runs):
                values = [run.values(horizon, metric).to_numpy() * METRICS[metric].scale for run in runs]
                groups = first.groups(horizon, GROUP).to_numpy()
                found[f"{METRICS[metric].name}, {horizon} frames"] = _value(values, groups, first.folder)
    return ModelResults(found | _costs(runs), len(runs), first.config, _origin(first))


def _recognizer(runs: list[Recognition]) -> ModelResults:
    found = {}
    for fraction in sorted(set(runs[0].predictions["fraction"])):
        tables = [
            run.predictions[run.predictions["fraction"] == fraction].sort_values("clip") for run in runs
        ]
        right = [(own["label"] == own["predicted"]).to_numpy(float) for own in tables]
        clips = tables[0]["clip"].to_numpy()
        found[f"accuracy in %, first {fraction:.0%}"] = _value(
            [100 * hits for hits in right], clips, runs[0].folder
        )
    return ModelResults(found | _costs(runs), len(runs), runs[0].config, _origin(runs[0]))


def _value(values: list[np.ndarray], groups: np.ndarray, first: Path) -> Value:
    if len({len(own) for own in values}) > 1:
        raise UserError(f"{first}: its seeds were evaluated on different test sequences; evaluate them again")
    stacked = np.stack(values)
    found = mean(stacked, groups)
    return Value(found.value, *found.interval, stacked, groups)


def _costs(runs: list[Result] | list[Recognition]) -> dict[str, Value]:
    """Return the model's costs, which do not depend on test sequences."""
    costs = {"parameters": float(runs[0].metrics.parameters)}
    minutes = [run.provenance.minutes_per_10000_samples for run in runs if run.provenance]
    if minutes:
        costs["minutes for 10,000 samples, fastest seed"] = min(minutes)
    return {name: Value(value, value, value, cost=True) for name, value in costs.items()}


def _origin(run: Result | Recognition) -> dict[str, str]:
    made, evaluated = run.provenance, run.metrics.evaluated_by
    found = {"evaluated at commit": str(evaluated.commit), "evaluated on": evaluated.device}
    found |= {f"evaluated with {name}": version for name, version in evaluated.versions.items()}
    if made:
        found |= {
            "trained at commit": str(made.commit),
            "trained on": made.device,
            "source": made.source_digest,
        }
        found |= {f"trained with {name}": version for name, version in made.versions.items()}
    return found


def _from_tables(results: Path) -> dict[tuple[str, str], ModelResults]:
    """Return the contents of Table 2's CSV files, which are in git while runs are not."""
    paths = sorted(results.glob("tables/table2_*.csv"))
    if not paths:
        raise UserError(f"{results}: holds neither runs/ nor tables/table2_*.csv; name a folder in results/")
    found = {}
    for path in paths:
        table = read_table(path, ["origin", "runs", "seeds", "part_of"])
        shown = table[(table["origin"] == "reproduced") & (table["part_of"] == "")]
        for _, row in shown.iterrows():
            key = path.stem.removeprefix("table2_"), _without_seed(row["runs"].split()[0])
            found[key] = ModelResults(_cells(row), int(row["seeds"]))
    return found


def _cells(row: pd.Series) -> dict[str, Value]:
    found = {}
    for metric in METRICS.values():
        for name in row.index:
            horizon = name.removeprefix(f"{metric.column}_")
            if horizon.isdigit() and row[name] not in ("", NOT_COMPUTED):
                low, high = (float(row.get(f"{name}_{end}") or "nan") for end in ("low", "high"))
                bounds = (float(row[name]), low, high)
                found[f"{metric.name}, {horizon} frames"] = Value(*bounds)
    return found
