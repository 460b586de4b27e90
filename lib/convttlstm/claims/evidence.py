"""The outcome of one comparison of a claim, and the reasons why a comparison decides nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from convttlstm.config import Run
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
TIMING_NOISE = 0.05  # share by which a timing may differ when it is repeated; less decides nothing
TIE = 1e-12


class Missing(Exception):
    """A comparison needs something that is not there; the message names it."""


@dataclass(frozen=True)
class Evidence:
    """One model against another, or against a printed value.

    Attributes:
        what: the quantity that is compared, such as "LPIPS".
        where: the conditions and the models, such as " at 30 frames, Conv-TT-LSTM against ConvLSTM
            (baseline)".
        lead: by how much it is as claimed, negative if it is the other way round.
        margin: leads smaller than this, either way, count as no difference.
        ties_hold: whether no difference is as claimed.
        text: the numbers in words.
        refused: why they decide nothing, "" if they do.
        seeds: runs of each model, of the two the fewer; 0 where none is compared.
        sequences: test sequences, or clips, that both models saw; 0 where none is compared.
        dataset: its name, "" where none is compared.
        horizon: numbers of frames, or the share of them, separated by spaces.
        runs: folders below runs/.
        unit: what leads are divided by where those of several metrics share an axis: the metric's margin, or
            what a count or a time should stay below; 0 for what has no size.
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
    horizon: str = ""
    runs: tuple[str, ...] = ()
    unit: float = 0.0
    paper: float | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high of the lead at 95 %."""
        return self.lead.interval if self.lead else (float("nan"), float("nan"))

    def is_small(self, tail: float = TAIL) -> bool:
        """Return whether the lead is smaller than the margin, either way, with its whole interval."""
        low, high = self.lead.bounds(tail) if self.lead else (float("nan"), float("nan"))
        return -self.margin < low and high < self.margin

    @property
    def found(self) -> Verdict:
        """What this comparison alone says: one of the first five verdicts."""
        low, high = self.interval
        if self.refused:
            return "not tested"
        if self.ties_hold and low > -self.margin:
            return "reproduced"
        if self.is_small():
            return "no difference"
        return "reproduced" if low > 0 else "contradicted" if high < 0 else "undecided"


def exactly(low: float, high: float | None = None) -> Estimate:
    """Return an estimate that is a count, or a range of timings."""
    bounds = low, low if high is None else high
    return Estimate(sum(bounds) / 2, lambda tail: bounds)


def within(estimate: Estimate, target: float, tolerance: float) -> Estimate:
    """Return by how much an estimate is nearer to `target` than `tolerance`; negative where it is farther."""

    def bounds(tail: float) -> tuple[float, float]:
        low, high = (bound - target for bound in estimate.bounds(tail))
        nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        return tolerance - max(abs(low), abs(high)), tolerance - nearest

    return Estimate(tolerance - abs(estimate.value - target), bounds)


def refused(configs: Sequence[Run]) -> str:
    """Return why runs say nothing about a claim when they are compared, "" if they do."""
    first = configs[0]
    if not first.judges_claims:
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
    seeds: dict[str, set[int]] = {}
    for config in configs:
        if config.trained:
            seeds.setdefault(f"{config.title}, {config.name.without_seed}", set()).add(config.seed)
    single = [name.partition(", ")[0] for name, found in seeds.items() if len(found) == 1]
    if single:
        return f"one seed of {' and '.join(dict.fromkeys(single))} says nothing about others"
    return ""


def ratio(
    ours: Sequence[float], theirs: Sequence[float], factor: float, noise: float = TIMING_NOISE
) -> tuple[float, float]:
    """Return low and high of the lead of `ours` to be at most `factor` times `theirs`.

    Args:
        ours: all measurements of it.
        theirs: the same of the other.
        factor: an exact tie with it is as claimed.
        noise: share by which a measurement may differ when it is repeated.
    """
    least, most = min(ours) / max(theirs) / (1 + noise), max(ours) / min(theirs) * (1 + noise)
    return factor - most + TIE, factor - least + TIE


def percent(share: float) -> str:
    """Return a share of 1 in words, such as "25 %"."""
    return f"{100 * share:g} %"
