"""What it would take to assess a claim: hours of training at the paper's scale, from measured times."""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import pandas as pd

from convttlstm.config import Run, RunId, planned_run, run_id
from convttlstm.reporting.claims import (
    AccuracyClaim,
    AccuracyValueClaim,
    Better,
    Catalogue,
    Claim,
    Comparison,
    GroupGainClaim,
    ValueClaim,
)
from convttlstm.reporting.results import read_table

Trained = Better | ValueClaim | AccuracyValueClaim
REFERENCE, REFERENCE_SIZE = "conv_tt_lstm", 64
# The paper's 10,000 samples of Moving-MNIST-2 took Conv-TT-LSTM so many minutes with the optimized code.
REFERENCE_MINUTES = 7.40
TIMES = ["system", "size", "training_seconds", "sequence_steps"]


class Requirements:
    """How long trainings take at the paper's scale, as `convttlstm estimate --minutes 7.4` says it.

    All are counted with the paper's number of samples, since only equal trainings are compared.

    Args:
        catalogue: of the claims.
        counts: complexity.csv's rows of the paper's scale, by system.
        measured: CSV files of benchmarks/results; without system_times-*.csv no hours are told.

    Raises:
        UserError: a file is damaged.
    """

    def __init__(self, catalogue: Catalogue, counts: pd.DataFrame, measured: Sequence[Path]) -> None:
        self.catalogue, self.counts = catalogue, counts
        paths = [path for path in measured if path.name.startswith("system_times-")]
        self.times: pd.DataFrame | None = None
        if paths:
            table = read_table(paths[0], TIMES)
            self.times = table[TIMES].set_index("system").apply(pd.to_numeric)

    def of(self, claim: Claim) -> str:
        """Return in words what it would take to assess a claim."""
        if claim.needs or claim.undecidable:
            return claim.needs
        compared = [c for c in claim.comparisons if isinstance(c, Trained)]
        names = [name for c in compared for name in _names(c)]
        printed = self.catalogue.claims.printed_only
        absent = dict.fromkeys(self.catalogue.title(name) for name in names if name in printed)
        runs = dict.fromkeys(run for comparison in compared for run in self._runs(comparison))
        parts = (
            [f"about {hours:,.0f} device hours at the paper's scale"] if (hours := self._hours(runs)) else []
        )
        if any(isinstance(c, AccuracyClaim | AccuracyValueClaim | GroupGainClaim) for c in compared):
            parts.append("Something-Something V2, which is behind a licence")
        parts += [f"a recogniser like {title}, which is not among those here" for title in absent]
        return ", and ".join(parts)

    def _runs(self, comparison: Comparison) -> Iterator[tuple[str, str]]:
        """Yield data set and run of all seeds that a comparison rests on."""
        paper = self.catalogue.paper
        fractions = getattr(comparison, "fractions", [])
        datasets = [getattr(comparison, "dataset", "")] if not fractions else []
        datasets += [
            name
            for name in paper.experiments
            if set(getattr(paper.datasets[name], "fractions", [])) & {*fractions}
        ]
        for dataset in datasets:
            for name, seed in product(_names(comparison), paper.experiments[dataset].seeds):
                if name in self.catalogue.claims.ablations:
                    row = self.catalogue.ablation(paper, dataset, name)
                    if row is not None:
                        yield dataset, run_id(paper, row.system, row.hyper(), seed)
                elif name in paper.systems and paper.systems[name].trained:
                    yield dataset, run_id(paper, name, {}, seed)

    def _hours(self, runs: dict[tuple[str, str], None]) -> float:
        """Return the hours of all trainings, 0 if those of one are not known."""
        if self.times is None or any(_counted(run) not in self.counts.index for _, run in runs):
            return 0.0
        planned = [planned_run(self.catalogue.paper, "paper", dataset, run) for dataset, run in runs]
        return sum(run.usual_samples * self.seconds(run) for run in planned) / 3600

    def seconds(self, run: Run) -> float:
        """Return what a training step on one sequence takes on a device of the reference's speed.

        In proportion to measured times as `evaluation.estimate` has it, with counts from complexity.csv.
        """
        assert self.times is not None
        reference = self._measured(REFERENCE, REFERENCE_SIZE)
        factor = REFERENCE_MINUTES * 60 / 10_000 / reference["training_seconds"]
        size, steps = run.dataset.size, run.dataset.context + run.dataset.horizon - 1
        if run.system in self.times.index:
            row = self._measured(run.system, size)
            ratio = self._count(_counted(run.id), "parameters") / self._count(run.system, "parameters")
            ratio *= (size / row["size"]) ** 2
        else:
            row = reference
            ratio = self._count(run.system, f"multiplications_{self._counted_size(run.system, size)}")
            ratio /= self._count(REFERENCE, f"multiplications_{REFERENCE_SIZE}")
        return float(factor * row["training_seconds"] * ratio * steps / row["sequence_steps"])

    def _count(self, system: str, column: str) -> float:
        return float(self.counts.loc[system, column])

    def _counted_size(self, system: str, size: int) -> int:
        return size if self.counts.loc[system].get(f"multiplications_{size}") else REFERENCE_SIZE

    def _measured(self, system: str, size: int) -> pd.Series:
        assert self.times is not None
        rows = self.times.loc[[system]]
        row: pd.Series = rows.iloc[int((rows["size"] - size).abs().argmin())]
        return row


def _names(comparison: Comparison) -> list[str]:
    """Return the models, or rows of Table 4, that a comparison is about."""
    if isinstance(comparison, Better):
        return [comparison.better, *comparison.than]
    return [comparison.system] if isinstance(comparison, ValueClaim | AccuracyValueClaim) else []


def _counted(run: str) -> str:
    """Return the name that complexity.csv has for a run's system, such as "conv_tt_lstm S1"."""
    name = RunId.parse(run)
    return " ".join([name.system, *name.parts])
