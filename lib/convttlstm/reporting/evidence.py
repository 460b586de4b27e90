"""What one comparison of a claim came to, and what decides nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from convttlstm.config import Run

Verdict = Literal["reproduced", "contradicted", "undecided", "not assessed"]
TIMING_NOISE = 0.05  # by how much a timing, taken again, may differ: less decides nothing
TIE = 1e-12


class Missing(Exception):
    """Something that a comparison needs is not there; the message says what."""


@dataclass(frozen=True)
class Evidence:
    """What was measured of one system against one other.

    Attributes:
        what: is compared, such as "LPIPS".
        where: and of whom, such as " at 30 frames, Conv-TT-LSTM against ConvLSTM (baseline)".
        low: of the lead, which is positive where it is as claimed; with `high` a 95 % interval, or a range.
        high: see `low`.
        text: the figures in words.
        refused: why they decide nothing, "" if they do.
        exact: whether it is a count or a range of timings, and no interval.
        seeds: trainings of each side, of the two the fewer; 0 where none is compared.
        sequences: test sequences, or clips, that both were judged on; 0 where none is.
        dataset: its name, "" where none is compared.
        horizon: numbers of frames, or the share of them, separated by spaces.
        runs: folders below runs/.
    """

    what: str
    where: str
    low: float = 0.0
    high: float = 0.0
    text: str = ""
    refused: str = ""
    exact: bool = False
    seeds: int = 0
    sequences: int = 0
    dataset: str = ""
    horizon: str = ""
    runs: tuple[str, ...] = ()

    @property
    def found(self) -> Verdict:
        """What this comparison alone says of the claim."""
        if self.refused:
            return "not assessed"
        return "reproduced" if self.low > 0 else "contradicted" if self.high < 0 else "undecided"


def refused(configs: Sequence[Run]) -> str:
    """Return why runs say nothing of a claim when they are compared, "" if they do."""
    first = configs[0]
    if not first.judges_claims:
        return f"{first.label} proves nothing about the paper"
    if first.dataset.stand_in:
        return f"the data are a {first.dataset.stand_in}"
    if any(config.dataset != first.dataset for config in configs):
        return "the two were trained or judged on different data"
    for config in configs:
        if config.short:
            return f"{config.title} saw fewer samples in training than this scale's other systems"
    samples = {config.title: config.training.samples for config in configs if config.trained}
    if len(set(samples.values())) > 1:
        seen = " and ".join(f"{title} {count:,}" for title, count in samples.items())
        return f"the two saw different numbers of samples in training: {seen}"
    return ""


def ratio(
    ours: Sequence[float], theirs: Sequence[float], factor: float, noise: float = TIMING_NOISE
) -> tuple[float, float]:
    """Return low and high of the lead of `ours` to be at most `factor` times `theirs`.

    Args:
        ours: all measurements of it.
        theirs: the same of the other.
        factor: an exact tie with it is as claimed.
        noise: share by which a measurement may differ when it is taken again.
    """
    least, most = min(ours) / max(theirs) / (1 + noise), max(ours) / min(theirs) * (1 + noise)
    return factor - most + TIE, factor - least + TIE


def difference_of_independent(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return the difference of two independent estimates with its interval, from theirs.

    By Zou and Donner's method of variance estimates recovery (Statistics in Medicine 2008).

    Args:
        first: mean, low and high.
        second: the same, from other sequences.
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    low = a - b - float(np.hypot(a - a_low, b_high - b))
    high = a - b + float(np.hypot(a_high - a, b - b_low))
    return a - b, low, high


def mean(values: Sequence[float]) -> float:
    """Return the mean of at least one value."""
    return sum(values) / len(values)


def percent(share: float) -> str:
    """Return a share of 1 in words, such as "25 %"."""
    return f"{100 * share:g} %"
