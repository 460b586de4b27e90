"""What it would take to assess a claim: hours of training at the paper's scale, from measured times."""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import pandas as pd

from convttlstm.claims.catalogue import (
    AccuracyClaim,
    AccuracyValueClaim,
    Better,
    Catalogue,
    Claim,
    Comparison,
    GroupGainClaim,
    ValueClaim,
)
from convttlstm.config import Run, RunId, planned_run, run_id
from convttlstm.planning.clock import REFERENCE, Clock, read_times

Trained = Better | ValueClaim | AccuracyValueClaim
# The paper's 10,000 samples of Moving-MNIST-2 took Conv-TT-LSTM so many minutes with the optimized code.
REFERENCE_MINUTES = 7.40


class Requirements:
    """How long trainings take at the paper's scale, as `convttlstm estimate --minutes 7.4` says it.

    All are counted with the paper's number of samples, since only equal trainings are compared.

    Args:
        catalogue: of the claims.
        counts: complexity.csv's rows of the paper's scale, by system.
        measured: files of benchmarks.system_times; without any there are no hours.

    Raises:
        UserError: a file is damaged.
    """

    def __init__(self, catalogue: Catalogue, counts: pd.DataFrame, measured: Sequence[Path]) -> None:
        self.catalogue, self.counts = catalogue, counts
        self.clock: Clock | None = None
        if measured:
            self.clock = Clock(read_times(measured[0]), _TableCounts(counts), REFERENCE_MINUTES)

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
        if self.clock is None or any(_counted(run) not in self.counts.index for _, run in runs):
            return 0.0
        planned = [planned_run(self.catalogue.paper, "paper", dataset, run) for dataset, run in runs]
        return sum(run.usual_samples * self.clock.training(run) for run in planned) / 3600


class _TableCounts:
    """Counts of the paper's models from complexity.csv; see `planning.clock.Counts`."""

    def __init__(self, counts: pd.DataFrame) -> None:
        self.counts = counts

    def parameters(self, run: Run) -> float:
        """Return the parameters of a run's model."""
        return self._count(_counted(run.id), "parameters")

    def parameter_ratio(self, run: Run) -> float:
        """Return the parameters of a run's model, relative to those of the catalogue's."""
        return self.parameters(run) / self._count(run.system, "parameters")

    def multiplication_ratio(self, run: Run, size: int) -> float:
        """Return the multiplications of a step, relative to the reference's on frames of `size` pixels."""
        own = run.dataset.size
        own = own if self.counts.loc[run.system].get(f"multiplications_{own}") else size
        column = f"multiplications_{own}"
        return self._count(run.system, column) / self._count(REFERENCE, f"multiplications_{size}")

    def _count(self, system: str, column: str) -> float:
        return float(self.counts.loc[system, column])


def _names(comparison: Comparison) -> list[str]:
    """Return the models, or rows of Table 4, that a comparison is about."""
    if isinstance(comparison, Better):
        return [comparison.better, *comparison.than]
    return [comparison.system] if isinstance(comparison, ValueClaim | AccuracyValueClaim) else []


def _counted(run: str) -> str:
    """Return the name that complexity.csv has for a run's system, such as "conv_tt_lstm S1"."""
    name = RunId.parse(run)
    return " ".join([name.system, *name.parts])
