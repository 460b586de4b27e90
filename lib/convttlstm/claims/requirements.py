"""Requirements for deciding a claim: hours of training at the paper's scale, from measured times."""

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
# Minutes for 10,000 samples of Moving-MNIST-2, for Conv-TT-LSTM with the authors' optimized code.
REFERENCE_MINUTES = 7.40


class Requirements:
    """Training times at the paper's scale, as in `convttlstm estimate --minutes 7.4`.

    All runs are counted with the paper's number of samples, since only runs with equal training are compared.

    Args:
        catalogue: the claims.
        counts: rows of complexity.csv for the paper's scale, by model.
        measured: files that benchmarks.system_times wrote; if empty, hours are left out.

    Raises:
        UserError: a file is damaged.
    """

    def __init__(self, catalogue: Catalogue, counts: pd.DataFrame, measured: Sequence[Path]) -> None:
        self.catalogue, self.counts = catalogue, counts
        self.clock: Clock | None = None
        if measured:
            self.clock = Clock(read_times(measured[0]), _TableCounts(counts), REFERENCE_MINUTES)

    def of(self, claim: Claim) -> str:
        """Return a phrase with the requirements for deciding a claim, or ""."""
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
        parts += [f"a recognizer like {title}, which is not among those here" for title in absent]
        return ", and ".join(parts)

    def _runs(self, comparison: Comparison) -> Iterator[tuple[str, str]]:
        """Yield data set and name of every run that a comparison needs."""
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
        """Return the training hours of all runs, 0 if the time of one is not known."""
        if self.clock is None or any(_counted(run) not in self.counts.index for _, run in runs):
            return 0.0
        planned = [planned_run(self.catalogue.paper, "paper", dataset, run) for dataset, run in runs]
        return sum(run.usual_samples * self.clock.training(run) for run in planned) / 3600


class _TableCounts:
    """Counts of the paper's models from complexity.csv; see `planning.clock.Counts`."""

    def __init__(self, counts: pd.DataFrame) -> None:
        self.counts = counts

    def parameters(self, run: Run) -> float:
        """Return the number of parameters of a run's model."""
        return self._count(_counted(run.id), "parameters")

    def parameter_ratio(self, run: Run) -> float:
        """Return the number of parameters of a run's model, relative to the paper's of that name."""
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
    """Return the name of a run's model in complexity.csv, such as "conv_tt_lstm S1"."""
    name = RunId.parse(run)
    return " ".join([name.system, *name.parts])
