"""How sure a mean over test sequences is, and a difference of two."""

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


def interval_over_seeds(values: np.ndarray, resamples: int, seed: int = 0) -> tuple[float, float, float]:
    """Return the mean over trainings and sequences, low and high of its 95 % bootstrap interval.

    Trainings and sequences are both drawn with replacement (Owen's pigeonhole bootstrap, 2007), so the
    interval speaks of other trainings too, if there are several.

    Args:
        values: (trainings, sequences), each training judged on the same sequences.
        resamples: how often to draw.
        seed: of the draws.

    Raises:
        ValueError: there is no value, or one is not finite.
    """
    random = np.random.default_rng(seed)
    means = _means(values, _drawn_sequences(values.shape[1], resamples, random), random)
    return float(values.mean()), *_bounds(means)


def paired_interval(
    ours: np.ndarray, theirs: np.ndarray, resamples: int, seed: int = 0
) -> tuple[float, float, float]:
    """Return the mean difference `ours` - `theirs`, low and high of its 95 % paired bootstrap interval.

    Both are judged on the same sequences, so each draw takes the same sequences of both; trainings,
    which have nothing in common but a number, are drawn for each by itself.

    Args:
        ours: (trainings, sequences).
        theirs: (trainings, sequences), the same sequences; there may be more or fewer trainings.
        resamples: how often to draw.
        seed: of the draws.

    Raises:
        ValueError: there is no value, one is not finite, or the sequences differ in number.
    """
    if ours.shape[1] != theirs.shape[1]:
        raise ValueError(f"{ours.shape[1]} and {theirs.shape[1]} sequences are no pairs")
    random = np.random.default_rng(seed)
    drawn = _drawn_sequences(ours.shape[1], resamples, random)
    difference = _means(ours, drawn, random) - _means(theirs, drawn, random)
    return float(ours.mean() - theirs.mean()), *_bounds(difference)


def unpaired_interval(
    ours: np.ndarray, theirs: np.ndarray, resamples: int, seed: int = 0
) -> tuple[float, float, float]:
    """Return what `paired_interval` does, where the two were judged on different sequences.

    Args:
        ours: (trainings, sequences).
        theirs: (trainings, other sequences), more or fewer of both.
        resamples: how often to draw.
        seed: of the draws.

    Raises:
        ValueError: there is no value, or one is not finite.
    """
    random = np.random.default_rng(seed)
    difference = [
        _means(values, _drawn_sequences(values.shape[1], resamples, random), random)
        for values in (ours, theirs)
    ]
    return float(ours.mean() - theirs.mean()), *_bounds(difference[0] - difference[1])


def _drawn_sequences(sequences: int, resamples: int, random: np.random.Generator) -> np.ndarray:
    """Return the share of each sequence in each resample, (sequences, resamples)."""
    counts = random.multinomial(sequences, np.full(sequences, 1 / sequences), size=resamples)
    return counts.T / sequences


def _means(values: np.ndarray, drawn: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the mean of each resample, trainings drawn too."""
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError("a bootstrap needs at least one training and sequence, and finite values")
    trainings, resamples = len(values), drawn.shape[1]
    of_trainings = values @ drawn
    middle = of_trainings.mean(axis=0)
    # Few trainings, drawn with replacement, vary too little by (n - 1) / n (Davison and Hinkley 1997).
    wider = (trainings / max(1, trainings - 1)) ** 0.5
    chosen = random.integers(trainings, size=(trainings, resamples))
    chosen_mean: np.ndarray = np.take_along_axis(of_trainings, chosen, axis=0).mean(axis=0)
    return middle + wider * (chosen_mean - middle)


def _bounds(means: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


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
