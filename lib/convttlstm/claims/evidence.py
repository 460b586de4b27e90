"""The outcome of one comparison of a claim, and the reasons to exclude a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from convttlstm.config import Run, RunId
from convttlstm.evaluation.intervals import TAIL, Estimate

Verdict = Literal[
    "reproduced",
    "contradicted",
    "no difference",
    "undecided",
    "not tested",
    "holds",
    "fails",
    "not decidable",
]
TIMING_NOISE = 0.05  # relative difference that repeated timings may have; smaller leads decide nothing
TIE = 1e-12
LACKS = "this scale has no runs of "


class Missing(Exception):
    """A comparison needs something that is missing; the message names it."""


@dataclass(frozen=True)
class Evidence:
    """One comparison of a model with another, or with a printed value.

    Attributes:
        what: the compared quantity, such as "LPIPS".
        where: the conditions and the models, such as " at 30 frames, Conv-TT-LSTM against ConvLSTM
            (baseline)".
        lead: the difference in the claimed direction; negative if it contradicts the claim.
        margin: leads smaller than this, in either direction, count as no difference.
        ties_hold: whether no difference supports the claim.
        text: the values, for a sentence.
        refused: why the comparison is excluded, "" if it is not.
        seeds: number of runs of each model, the smaller of the two; 0 if runs are not compared.
        sequences: number of test sequences or clips that both models saw; 0 if runs are not compared.
        dataset: name of the data set, "" if there is none.
        title: the data set's title.
        horizon: numbers of frames, or the fraction of frames, separated by spaces.
        runs: folders below runs/.
        unit: divisor that makes leads of several metrics comparable: the metric's margin, or the bound on a
            count or a time; 0 if there is none.
        paper: the paper's lead in that unit, None where it prints none.
    """

    what: str
    where: str
    lead: Estimate | None = None
    margin: float = 0.0
    ties_hold: bool = False
    text: str = ""
    refused: str = ""
    seeds: int = 0
    sequences: int = 0
    dataset: str = ""
    title: str = ""
    horizon: str = ""
    runs: tuple[str, ...] = ()
    unit: float = 0.0
    paper: float | None = None

    @property
    def on_dataset(self) -> str:
        """The data set, to end a sentence with: ", KTH", or ""."""
        name = self.title or self.dataset
        return f", {name}" if name else ""

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high of the lead at 95 %."""
        return self.lead.interval if self.lead else (float("nan"), float("nan"))

    def is_small(self, tail: float = TAIL) -> bool:
        """Return whether the lead's whole interval is smaller than the margin, in either direction."""
        low, high = self.lead.bounds(tail) if self.lead else (float("nan"), float("nan"))
        return -self.margin < low and high < self.margin

    @property
    def found(self) -> Verdict:
        """The verdict of this comparison alone, one of the first five."""
        low, high = self.interval
        if self.refused:
            return "not tested"
        if self.ties_hold and low > -self.margin:
            return "reproduced"
        if self.is_small():
            return "no difference"
        return "reproduced" if low > 0 else "contradicted" if high < 0 else "undecided"


def exactly(low: float, high: float | None = None) -> Estimate:
    """Return an estimate without uncertainty, or with a fixed range."""
    bounds = low, low if high is None else high
    return Estimate(sum(bounds) / 2, lambda tail: bounds)


def within(estimate: Estimate, target: float, tolerance: float) -> Estimate:
    """Return `tolerance` minus the distance of an estimate from `target`; negative if it is too far."""

    def bounds(tail: float) -> tuple[float, float]:
        low, high = (bound - target for bound in estimate.bounds(tail))
        nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        return tolerance - max(abs(low), abs(high)), tolerance - nearest

    return Estimate(tolerance - abs(estimate.value - target), bounds)


def refused(configs: Sequence[Run]) -> str:
    """Return why runs must not be compared for a claim, "" if they may be."""
    first = configs[0]
    if not first.decides_claims:
        return f"{first.label} shows nothing about the paper"
    if first.dataset.stand_in:
        return f"the data are a {first.dataset.stand_in}"
    if any(config.dataset != first.dataset for config in configs):
        return "the two were trained or evaluated on different data"
    for config in configs:
        if config.short:
            return f"{config.title} saw fewer samples in training than this scale's other models"
    samples = {config.title: config.training.samples for config in configs if config.trained}
    if len(set(samples.values())) > 1:
        seen = " and ".join(f"{title} {count:,}" for title, count in samples.items())
        return f"the two saw different numbers of samples in training: {seen}"
    seeds: dict[tuple[str, RunId], set[int]] = {}
    for config in configs:
        if config.trained:
            seeds.setdefault((config.title, config.name.without_seed), set()).add(config.seed)
    single = [title for (title, _), found in seeds.items() if len(found) == 1]
    if single:
        return f"one seed of {' and '.join(dict.fromkeys(single))} says nothing about others"
    return ""


def ratio(
    ours: Sequence[float], theirs: Sequence[float], factor: float, noise: float = TIMING_NOISE
) -> tuple[float, float]:
    """Return low and high of `factor` minus the ratio of `ours` to `theirs`; positive supports the claim.

    Args:
        ours: all measurements of the one.
        theirs: all measurements of the other.
        factor: claimed largest ratio; an exact tie supports the claim.
        noise: relative difference that repeated measurements may have.
    """
    least, most = min(ours) / max(theirs) / (1 + noise), max(ours) / min(theirs) * (1 + noise)
    return factor - most + TIE, factor - least + TIE


def percent(share: float) -> str:
    """Return a fraction as a percentage, such as "25 %"."""
    return f"{100 * share:g} %"
