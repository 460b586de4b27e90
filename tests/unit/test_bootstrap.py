import tracemalloc

import numpy as np
import pytest
from convttlstm.evaluation.bootstrap import interval, interval_over_seeds, paired_interval


def test_agrees_with_the_normal_interval() -> None:
    values = np.random.default_rng(1).exponential(2.0, size=2_000)
    mean, low, high = interval(values, resamples=2_000)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert mean == values.mean()
    # The bounds of 2,000 draws scatter by about 6 % of the standard error.
    assert (mean - low) / error == pytest.approx(1.96, abs=0.25)
    assert (high - mean) / error == pytest.approx(1.96, abs=0.25)


def test_covers_the_true_mean_95_times_in_100() -> None:
    generator = np.random.default_rng(2)
    trials, covered = 400, 0
    for trial in range(trials):
        _, low, high = interval(generator.normal(5.0, 3.0, size=60), resamples=300, seed=trial)
        covered += bool(low <= 5.0 <= high)
    # Binomial(400, 0.94) stays within 0.90 ... 0.98 but for once in a thousand.
    assert 0.90 <= covered / trials <= 0.98


def test_each_metric_has_its_own_interval_from_the_same_draws() -> None:
    values = np.random.default_rng(3).normal(size=(50, 3))
    values[:, 2] = 10 * values[:, 0] + 1
    both = np.stack(interval(values, resamples=200))
    assert both.shape == (3, 3)
    np.testing.assert_allclose(both[:, 1], np.stack(interval(values[:, 1], resamples=200)))
    np.testing.assert_allclose(both[:, 2], 10 * both[:, 0] + 1)


def test_the_seed_decides() -> None:
    values = np.random.default_rng(4).normal(size=40)
    assert interval(values, 100, seed=1) == interval(values, 100, seed=1)
    assert interval(values, 100, seed=1) != interval(values, 100, seed=2)


def test_one_sequence_has_an_interval_of_no_width() -> None:
    assert interval(np.array([0.25]), resamples=10) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [1.0, np.inf]])
def test_refuses_what_has_no_mean(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        interval(np.array(values), resamples=10)


def test_memory_stays_bounded_at_the_papers_size() -> None:
    values = np.random.default_rng(5).normal(size=(5_000, 6))
    tracemalloc.start()
    interval(values, resamples=2_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * values.nbytes  # all draws at once would take 2,000 times


def trainings(generator: np.random.Generator, seeds: int, sequences: np.ndarray, mean: float) -> np.ndarray:
    """Return values that vary by training, by sequence, and by both."""
    by_seed = generator.normal(0, 1.0, size=(seeds, 1))
    both = generator.normal(0, 0.5, size=(seeds, len(sequences)))
    return mean + by_seed + sequences + both


@pytest.mark.parametrize("seeds", [3, 10])
def test_a_paired_interval_covers_the_true_difference(seeds: int) -> None:
    generator = np.random.default_rng(6)
    trials, covered, alone = 300, 0, 0
    for trial in range(trials):
        # Sequences differ much more than systems do: only pairs can tell.
        sequences = generator.normal(0, 20.0, size=100)
        ours = trainings(generator, seeds, sequences, mean=1.0)
        theirs = trainings(generator, seeds, sequences, mean=3.0)
        _, low, high = paired_interval(ours, theirs, resamples=300, seed=trial)
        covered += bool(low <= -2.0 <= high)
        _, low, high = paired_interval(ours[:1], theirs[:1], resamples=300, seed=trial)
        alone += bool(low <= -2.0 <= high)
    # Three trainings tell less of the spread than ten; 0.85 is what such a bootstrap reaches.
    assert covered / trials >= (0.85 if seeds == 3 else 0.90)
    assert alone / trials < 0.5  # one training says nothing of others


def test_a_paired_interval_is_that_of_the_differences_if_there_is_one_training() -> None:
    generator = np.random.default_rng(7)
    sequences = generator.normal(0, 20.0, size=400)
    ours, theirs = (sequences + generator.normal(size=400) for _ in range(2))
    paired = paired_interval(ours[None], theirs[None], resamples=4_000)
    assert paired == pytest.approx(interval(ours - theirs, resamples=4_000), abs=0.01)


def test_more_trainings_of_equal_quality_do_not_widen_an_interval() -> None:
    values = np.random.default_rng(8).normal(size=200)
    alone = interval_over_seeds(values[None], resamples=2_000)
    assert interval_over_seeds(np.stack([values] * 3), resamples=2_000) == pytest.approx(alone, abs=0.02)
    assert alone == pytest.approx(interval(values, resamples=2_000), abs=0.02)


def test_trainings_that_differ_widen_an_interval() -> None:
    values = np.random.default_rng(9).normal(0, 0.01, size=200)
    mean, low, high = interval_over_seeds(np.stack([values - 1, values, values + 1]), resamples=2_000)
    assert mean == pytest.approx(0, abs=0.01)
    assert low < -0.9 and high > 0.9


def test_other_sequences_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="3 and 4 sequences"):
        paired_interval(np.zeros((1, 3)), np.zeros((1, 4)), resamples=10)


@pytest.mark.parametrize("values", [np.zeros((0, 3)), np.array([[np.nan, 1.0]])])
def test_refuses_trainings_that_have_no_mean(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite"):
        interval_over_seeds(values, resamples=10)
