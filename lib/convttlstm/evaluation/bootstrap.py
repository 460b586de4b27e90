"""How sure a mean over test sequences is."""

import numpy as np


def interval(values: np.ndarray, resamples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean over sequences and its 95 % percentile bootstrap interval.

    Sequences are drawn with replacement, whole rows at a time (Efron 1979). The interval speaks
    of other test sequences, not of other trainings.

    Args:
        values: (sequences,) or (sequences, metrics).
        resamples: how often to draw.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        mean, low and high, each of shape () or (metrics,).

    Raises:
        ValueError: there is no sequence, or a value is not finite.
    """
    if len(values) == 0 or not np.isfinite(values).all():
        raise ValueError("a bootstrap needs at least one sequence, and finite values")
    random = np.random.default_rng(seed)
    # One draw at a time keeps memory at the size of `values`, whatever the number of resamples.
    draws = (random.integers(len(values), size=len(values)) for _ in range(resamples))
    means = np.stack([values[draw].mean(axis=0) for draw in draws])
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return values.mean(axis=0), low, high


def wilson(hits: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share (1927), for figures of which the single answers are not known.

    Args:
        hits: of `n`.
        n: how many were counted.
    """
    z = 1.959964
    share, spread = hits / n, z**2 / n
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * (share * (1 - share) / n + spread / (4 * n)) ** 0.5
    return middle - half, middle + half
