import tracemalloc

import numpy as np
import pytest

from convttlstm.evaluation.bootstrap import interval


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
