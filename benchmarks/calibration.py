"""Simulates evaluations with a known truth: coverage of the intervals, and error rates of the verdicts.

`python -m benchmarks.calibration` writes benchmarks/results/calibration.csv, and prints the tables of
docs/statistics.md. Values follow the model of `convttlstm.evaluation.intervals`: two models on the same
sequences, in groups, with several seeds.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convttlstm.claims.catalogue import Claim
from convttlstm.claims.evidence import Evidence
from convttlstm.claims.verdicts import verdict_of
from convttlstm.evaluation.intervals import Estimate, difference, difference_of_proportions, mean, proportion

OUTPUT = Path(__file__).parent / "results/calibration.csv"


@dataclass(frozen=True)
class Truth:
    """The true lead in every comparison of a claim, and the margin, in units of one sequence's noise."""

    name: str
    lead: float
    margin: float


TRUTHS = (
    Truth("exact ties, no margin", 0.0, 0.0),
    Truth("exact ties, a wide margin", 0.0, 0.6),
    Truth("leads as large as the margin", 0.6, 0.6),
    Truth("large leads", 1.0, 0.1),
)


@dataclass(frozen=True)
class Setting:
    """A simulated evaluation; standard deviations are in units of one sequence's noise.

    Attributes:
        name: in tables.
        groups: number of videos, or of sequences where they are independent.
        size: sequences in a group.
        seed: standard deviation of a seed's effect.
        group: standard deviation of the effect that a group has on the difference of two models.
        skewed: whether group effects are exponential instead of normal.
    """

    name: str
    groups: int
    size: int
    seed: float
    group: float
    skewed: bool = False

    @property
    def numbers(self) -> np.ndarray:
        """The group of each sequence."""
        return np.repeat(np.arange(self.groups), self.size)

    def pair(self, random: np.random.Generator, seeds: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of two models of equal quality, (seeds, sequences) each."""
        # Sequences differ by far more than models do, as easy and hard ones do.
        shared = 3 * self._effect(random)
        return tuple(  # type: ignore[return-value]
            shared
            + self.group / 2**0.5 * self._effect(random)
            + self.seed * random.normal(size=(seeds, 1))
            + random.normal(size=(seeds, self.groups * self.size))
            for _ in range(2)
        )

    def _effect(self, random: np.random.Generator) -> np.ndarray:
        drawn = random.exponential(size=self.groups) - 1 if self.skewed else random.normal(size=self.groups)
        return drawn[self.numbers]


SETTINGS = (
    Setting("200 sequences", groups=200, size=1, seed=0.2, group=0.5),
    Setting("5,000 sequences, as at the paper's scale", groups=5_000, size=1, seed=0.05, group=0.5),
    Setting("216 videos of 10 windows, as KTH", groups=216, size=10, seed=0.1, group=0.65),
    Setting("9 persons of 24 videos", groups=9, size=24, seed=0.1, group=0.65),
    Setting("9 persons, skewed", groups=9, size=24, seed=0.1, group=0.65, skewed=True),
    Setting("200 sequences, seeds alike", groups=200, size=1, seed=0.0, group=0.5),
)


def coverage(setting: Setting, seeds: int, repetitions: int, random: np.random.Generator) -> dict[str, float]:
    """Return the share of 95 % intervals of a mean, and of a paired difference, that hold the truth, zero."""
    held = {"mean": 0, "difference": 0}
    for _ in range(repetitions):
        ours, theirs = setting.pair(random, seeds)
        held["mean"] += _holds(mean(ours, setting.numbers), 0.0)
        held["difference"] += _holds(difference(ours, theirs, setting.numbers), 0.0)
    return {name: count / repetitions for name, count in held.items()}


def coverage_of_shares(
    share: float, clips: int, seeds: int, repetitions: int, random: np.random.Generator
) -> dict[str, float]:
    """Return the same shares for accuracies, where each clip is equally hard for both models."""
    held, groups = {"mean": 0, "difference": 0}, np.arange(clips)
    # A Beta distribution of chances, with its mean at `share`.
    for _ in range(repetitions):
        chances = random.beta(2 * share, 2 * (1 - share), size=clips)
        ours, theirs = (
            (random.random((seeds, clips)) < np.clip(chances + 0.05 * random.normal(size=(seeds, 1)), 0, 1))
            for _ in range(2)
        )
        held["mean"] += _holds(proportion(ours.astype(float), groups), share)
        held["difference"] += _holds(
            difference_of_proportions(ours.astype(float), theirs.astype(float), groups), 0.0
        )
    return {name: count / repetitions for name, count in held.items()}


def verdicts(
    setting: Setting,
    seeds: int,
    comparisons: int,
    truth: Truth,
    repetitions: int,
    random: np.random.Generator,
) -> dict[str, float]:
    """Return the share of each verdict on a claim of several independent comparisons."""
    claim = Claim(id="it", topic="overall", place="here", statement="It is.", comparisons=[_COMPARISON])
    counts: dict[str, int] = {}
    for _ in range(repetitions):
        evidence = []
        for _ in range(comparisons):
            ours, theirs = setting.pair(random, seeds)
            evidence.append(
                Evidence(
                    "it", "", difference(ours + truth.lead, theirs, setting.numbers), margin=truth.margin
                )
            )
        verdict = verdict_of(claim, evidence)
        counts[verdict] = counts.get(verdict, 0) + 1
    return {name: count / repetitions for name, count in counts.items()}


_COMPARISON = {
    "kind": "metric",
    "dataset": "moving_mnist_2",
    "horizons": [10],
    "metrics": ["mse"],
    "better": "a",
    "than": ["b"],
}


def _holds(estimate: Estimate, truth: float) -> bool:
    low, high = estimate.interval
    return low <= truth <= high


def rows(repetitions: int) -> Iterator[dict[str, str | int | float]]:
    """Yield the rows of the table."""
    random = np.random.default_rng(0)
    for seeds in (2, 3, 5):
        for setting in SETTINGS:
            for quantity, value in coverage(setting, seeds, repetitions, random).items():
                yield _row("coverage", setting.name, seeds, f"interval of a {quantity}", value)
        for share, clips in ((0.2, 130), (0.05, 43)):
            name = f"accuracy of {share:.0%}, {clips} clips"
            for quantity, value in coverage_of_shares(share, clips, seeds, repetitions, random).items():
                yield _row("coverage", name, seeds, f"interval of a {quantity}", value)
    for seeds in (3, 5):
        for comparisons in (1, 6, 24):
            for truth in TRUTHS:
                found = verdicts(SETTINGS[0], seeds, comparisons, truth, repetitions // 3, random)
                for verdict in ("reproduced", "contradicted", "no difference", "undecided"):
                    name = f"{comparisons} comparison{'s' * (comparisons > 1)}, {truth.name}"
                    yield _row("verdicts", name, seeds, verdict, found.get(verdict, 0.0))


def tables(found: pd.DataFrame) -> list[str]:
    """Return the coverage and the verdicts as Markdown."""
    coverage, verdict = (found[found["table"] == name] for name in ("coverage", "verdicts"))
    names = {"interval of a mean": "mean", "interval of a difference": "difference"}
    cells = coverage.assign(quantity=coverage["quantity"].map(names))
    wide = cells.pivot_table(index="setting", columns=["quantity", "seeds"], values="share", sort=False)
    header = ["95 % intervals of ...", *(f"{quantity}, {seeds} seeds" for quantity, seeds in wide.columns)]
    first = _markdown(
        header, [[name, *(f"{100 * value:.1f} %" for value in row)] for name, row in _rows(wide)]
    )
    wide = verdict.pivot_table(index=["setting", "seeds"], columns="quantity", values="share", sort=False)
    header = ["claims of ...", "seeds", *wide.columns]
    second = _markdown(
        header, [[*map(str, key), *(f"{100 * value:.1f} %" for value in row)] for key, row in _rows(wide)]
    )
    return [first, second]


def _rows(table: pd.DataFrame) -> Iterator[tuple[Any, np.ndarray]]:
    return zip(table.index, table.to_numpy(), strict=True)


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(table: str, setting: str, seeds: int, quantity: str, share: float) -> dict[str, str | int | float]:
    return {
        "table": table,
        "setting": setting,
        "seeds": seeds,
        "quantity": quantity,
        "share": round(share, 4),
    }


def main() -> None:
    """Simulate, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="CSV file")
    output = parser.parse_args().output
    pd.DataFrame(rows(3_000)).to_csv(output, index=False)
    print("\n\n".join(tables(pd.read_csv(output))))


if __name__ == "__main__":
    main()
