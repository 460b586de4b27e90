"""Confidence intervals of means over seeds and test sequences, and of differences of two models.

The value of sequence i in group c for seed s is modeled as

    y(s, c, i) = mean + seed(s) + group(c) + noise(s, c, i)

Seeds are a random sample of all seeds. Groups (videos, or single sequences where each is generated
separately) are a random sample of all that could be tested on. Sequences of one group may be correlated,
groups are independent. Seeds of two models are independent, but both models see the same sequences. The
variance of a mean is then the sum of

- the variance over groups of the mean over seeds, which the cluster bootstrap also estimates, in closed form
  (Davison and Hinkley 1997; Cameron and Miller 2015), and
- the variance of the seeds' means divided by their number, one term for each model with several seeds.

The interval is Student's with Welch and Satterthwaite's degrees of freedom, which widen it for few seeds or
groups. Both terms contain the noise, so the interval is rather too wide than too narrow. docs/statistics.md
reports how often intervals cover the truth in simulations.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, isnan, log10, nan

import numpy as np
from scipy.special import stdtrit

TAIL = 0.025  # of a 95 % interval, on each side


@dataclass(frozen=True)
class Estimate:
    """A value and its uncertainty.

    Attributes:
        value: the estimate.
        bounds: returns low and high of the interval, given the probability of missing the truth on each side.
    """

    value: float
    bounds: Callable[[float], tuple[float, float]]

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high at 95 %; NaN for a single group."""
        return self.bounds(TAIL)

    def as_json(self) -> dict[str, float | None]:
        """Return mean, low and high for metrics.json; low and high are None if there is no interval."""
        bounds = (bound if np.isfinite(bound) else None for bound in self.interval)
        return dict(zip(("mean", "low", "high"), (self.value, *bounds), strict=True))

    def as_text(self, sign: str = "+", decimals: int | None = None) -> str:
        """Return the value and its 95 % interval, by default with the decimals of `decimals_of`."""
        numbers = self.value, *self.interval
        places = decimals_of(*numbers) if decimals is None else decimals
        value, low, high = (f"{number:{sign}.{places}f}" for number in numbers)
        return f"{value} [no interval]" if isnan(numbers[1]) else f"{value} [{low}, {high}]"

    def times(self, factor: float) -> "Estimate":
        """Return the estimate times a factor, which may be negative."""

        def bounds(tail: float) -> tuple[float, float]:
            low, high = (factor * bound for bound in self.bounds(tail))
            return (high, low) if factor < 0 else (low, high)

        return Estimate(factor * self.value, bounds)

    def less(self, constant: float) -> "Estimate":
        """Return the estimate minus a constant."""

        def bounds(tail: float) -> tuple[float, float]:
            low, high = self.bounds(tail)
            return low - constant, high - constant

        return Estimate(self.value - constant, bounds)


def decimals_of(value: float, low: float = nan, high: float = nan) -> int:
    """Return the decimals that three digits of the value or of its interval's width need, the larger one."""
    largest = max(abs(value), 0.0 if isnan(low) else high - low)
    return max(0, 2 - floor(log10(largest))) if largest else 2


def mean(values: np.ndarray, groups: Sequence | np.ndarray) -> Estimate:
    """Return the mean over seeds and sequences; for a single seed, the interval covers that run only.

    Args:
        values: (seeds, sequences), each seed evaluated on the same sequences.
        groups: (sequences,), equal for sequences that may be correlated.

    Raises:
        ValueError: values are empty or not finite, or the numbers of sequences differ.
    """
    _check(values, groups)
    return _student(float(values.mean()), [_over_groups(values, groups), *_over_seeds(values)])


def difference(ours: np.ndarray, theirs: np.ndarray, groups: Sequence | np.ndarray) -> Estimate:
    """Return the mean of `ours` minus that of `theirs`, both on the same sequences.

    Args:
        ours: (seeds, sequences).
        theirs: (seeds, sequences), more or fewer seeds.
        groups: (sequences,); see `mean`.

    Raises:
        ValueError: as for `mean`.
    """
    _check(ours, groups)
    _check(theirs, groups)
    paired = ours.mean(axis=0, keepdims=True) - theirs.mean(axis=0, keepdims=True)
    parts = [_over_groups(paired, groups), *_over_seeds(ours), *_over_seeds(theirs)]
    return _student(float(paired.mean()), parts)


def gap_difference(
    ours: tuple[np.ndarray, np.ndarray],
    theirs: tuple[np.ndarray, np.ndarray],
    groups: tuple[np.ndarray, np.ndarray],
) -> Estimate:
    """Return the gap of `ours` minus that of `theirs`; a gap is the mean on one set minus that on another.

    Args:
        ours: (seeds, sequences) of two sets without a group in common, such as test and training sequences.
        theirs: the same sequences, more or fewer seeds.
        groups: of both sets.

    Raises:
        ValueError: as for `mean`.
    """
    parts, value = [], 0.0
    for sign, own, other, group in zip((1, -1), ours, theirs, groups, strict=True):
        _check(own, group)
        _check(other, group)
        paired = own.mean(axis=0, keepdims=True) - other.mean(axis=0, keepdims=True)
        parts.append(_over_groups(paired, group))
        value += sign * float(paired.mean())
    for one, another in (ours, theirs):
        parts += _over_seeds((one.mean(axis=1) - another.mean(axis=1))[:, None])
    return _student(value, parts)


def proportion(hits: np.ndarray, groups: Sequence | np.ndarray) -> Estimate:
    """Return the share of hits with Wilson's interval (1927), widened for seeds and groups.

    Wilson's interval is computed for the effective number of independent answers, which would have the same
    variance (Korn and Graubard 1998, Dean and Pagano 2015). For one seed and groups of one it is Wilson's.
    For several answers in a single group it is NaN.

    Args:
        hits: (seeds, answers), 1 or 0.
        groups: (answers,); see `mean`.

    Raises:
        ValueError: as for `mean`.
    """
    _check(hits, groups)
    share, answers = float(hits.mean()), hits.shape[1]
    parts = [_over_groups(hits, groups), *_over_seeds(hits)]
    if answers == 1:
        parts[0] = Variance(0.0, np.inf)
    elif isnan(parts[0].size):
        return Estimate(share, lambda tail: (nan, nan))
    expected = share * (1 - share) / max(1, answers - 1)
    effective = float(answers)
    if expected:
        # Seeds that err on different answers can leave no spread: then every hit counts as one answer.
        spread = sum(part.size for part in parts)
        effective = min(answers * expected / spread, hits.size) if spread else hits.size
    # Wilson uses the normal quantile: groups alone get infinite degrees of freedom.
    freedom = _freedom([Variance(parts[0].size, np.inf), *parts[1:]])
    return Estimate(share, lambda tail: wilson(share, effective, -stdtrit(freedom, tail)))


def difference_of_proportions(
    ours: np.ndarray, theirs: np.ndarray, groups: Sequence | np.ndarray
) -> Estimate:
    """Return the share of hits of `ours` minus that of `theirs`, by Newcombe's method for pairs (1998).

    It combines the two intervals of `proportion` with the correlation of the two models' answers.

    Args:
        ours: (seeds, answers), 1 or 0.
        theirs: (seeds, answers) to the same questions, more or fewer seeds.
        groups: (answers,); see `mean`.

    Raises:
        ValueError: as for `mean`.
    """
    _check(ours, groups)
    _check(theirs, groups)
    ours_sums, theirs_sums = _group_sums(ours, groups), _group_sums(theirs, groups)
    count, answers = len(ours_sums), ours.shape[1]
    shared = float(ours_sums @ theirs_sums) / answers**2
    if shared > 0:
        shared = max(0.0, shared - 0.5 / answers**2)  # Newcombe's continuity correction
    shared *= count / max(1, count - 1)
    both = [sum(p.size for p in (_over_groups(v, groups), *_over_seeds(v))) for v in (ours, theirs)]
    scale = float(np.sqrt(both[0] * both[1]))
    correlation = float(np.clip(shared / scale, -1, 1)) if scale > 0 else 0.0
    return _difference_of(proportion(ours, groups), proportion(theirs, groups), correlation)


def independent_difference(first: Estimate, second: Estimate) -> Estimate:
    """Return `first` minus `second`, estimates that share neither sequences nor seeds.

    The variances are recovered from the intervals (Zou and Donner, Statistics in Medicine 2008).
    """
    return _difference_of(first, second, correlation=0.0)


def wilson(share: float, answers: float, quantile: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's interval of a share of independent answers.

    Args:
        share: share of hits, 0 to 1.
        answers: number of answers, not necessarily whole.
        quantile: quantile of the normal or Student's distribution.
    """
    spread = quantile**2 / answers
    middle = (share + spread / 2) / (1 + spread)
    half = quantile / (1 + spread) * (share * (1 - share) / answers + spread / (4 * answers)) ** 0.5
    # The share lies inside, whatever the rounding.
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def below_zero(estimates: Sequence[Estimate], tail: float = TAIL) -> set[int]:
    """Return the indices of the estimates that lie below zero, by Holm's procedure (1979).

    The probability that any of them is returned wrongly is at most `tail`, whatever their number.
    """
    left, found = set(range(len(estimates))), set[int]()
    while new := {i for i in left if estimates[i].bounds(tail / len(left))[1] < 0}:
        found, left = found | new, left - new
        if not left:
            break
    return found


@dataclass(frozen=True)
class Variance:
    """One term of a mean's variance, and its degrees of freedom."""

    size: float
    freedom: float


def _check(values: np.ndarray, groups: Sequence | np.ndarray) -> None:
    if values.ndim != 2 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError("an interval needs at least one seed and sequence, and finite values")
    if values.shape[1] != len(groups):
        raise ValueError(f"{values.shape[1]} sequences, but groups of {len(groups)}")


def _group_sums(values: np.ndarray, groups: Sequence | np.ndarray) -> np.ndarray:
    """Return each group's sum of deviations from the overall mean, averaged over seeds."""
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    return np.bincount(number, values.mean(axis=0) - values.mean())


def _over_groups(values: np.ndarray, groups: Sequence | np.ndarray) -> Variance:
    sums = _group_sums(values, groups)
    count = len(sums)
    if count == 1:
        return Variance(np.nan, 1)  # no variance from one group
    return Variance(float(sums @ sums) / values.shape[1] ** 2 * count / (count - 1), count - 1)


def _over_seeds(values: np.ndarray) -> list[Variance]:
    """Return the variance of the mean over seeds; an empty list for a single seed."""
    means, seeds = values.mean(axis=1), len(values)
    return [Variance(float(means.var(ddof=1)) / seeds, seeds - 1)] if seeds > 1 else []


def _freedom(parts: Sequence[Variance]) -> float:
    """Return the degrees of freedom of a sum of variances (Satterthwaite 1946, Welch 1947)."""
    spread = sum(part.size**2 / part.freedom for part in parts)
    total = sum(part.size for part in parts)
    return total**2 / spread if spread else np.inf


def _student(value: float, parts: Sequence[Variance]) -> Estimate:
    error, freedom = sum(part.size for part in parts) ** 0.5, _freedom(parts)

    def bounds(tail: float) -> tuple[float, float]:
        half = float(-stdtrit(freedom, tail)) * error
        return value - half, value + half

    return Estimate(value, bounds)


def _difference_of(first: Estimate, second: Estimate, correlation: float) -> Estimate:
    def half(a: float, b: float) -> float:
        return float(np.sqrt(np.maximum(0.0, a * a - 2 * correlation * a * b + b * b)))

    def bounds(tail: float) -> tuple[float, float]:
        (low, high), (other_low, other_high) = first.bounds(tail), second.bounds(tail)
        below = half(first.value - low, other_high - second.value)
        above = half(high - first.value, second.value - other_low)
        middle = first.value - second.value
        return middle - below, middle + above

    return Estimate(first.value - second.value, bounds)
