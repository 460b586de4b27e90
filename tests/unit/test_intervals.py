"""Intervals against textbook formulas, published values and a bootstrap by brute force."""

import math

import numpy as np
import pytest
from scipy import stats

from convttlstm.evaluation.intervals import (
    Estimate,
    below_zero,
    difference,
    difference_of_proportions,
    gap_difference,
    independent_difference,
    mean,
    proportion,
    wilson,
)


def each(count: int) -> np.ndarray:
    return np.arange(count)


def test_the_interval_of_one_seed_is_students() -> None:
    values = np.random.default_rng(0).exponential(2.0, size=30)
    expected = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    assert mean(values[None], each(30)).interval == pytest.approx(expected)


def test_a_paired_difference_is_that_of_a_paired_t_test() -> None:
    random = np.random.default_rng(1)
    shared = random.normal(0, 20, size=25)
    ours, theirs = shared + random.normal(size=25), shared + random.normal(size=25)
    expected = stats.ttest_rel(ours, theirs).confidence_interval()
    found = difference(ours[None], theirs[None], each(25))
    assert found.interval == pytest.approx((expected.low, expected.high))
    assert found.value == pytest.approx(ours.mean() - theirs.mean())


def test_seeds_that_differ_in_their_means_alone_are_welchs_t_test() -> None:
    """Constant over sequences, so that seeds are all that varies."""
    ours, theirs = np.array([1.0, 2.0, 4.0]), np.array([3.0, 3.5, 5.0, 9.0])
    expected = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval()
    found = difference(np.repeat(ours[:, None], 8, 1), np.repeat(theirs[:, None], 8, 1), each(8))
    assert found.interval == pytest.approx((expected.low, expected.high))


def two_level_bootstrap(values: np.ndarray, groups: np.ndarray, resamples: int) -> float:
    """The standard error of the mean where seeds and whole groups are drawn with replacement."""
    random = np.random.default_rng(2)
    seeds, names = len(values), np.unique(groups)
    members = [np.flatnonzero(groups == name) for name in names]
    means = []
    for _ in range(resamples):
        drawn = np.concatenate([members[i] for i in random.integers(len(names), size=len(names))])
        means.append(values[random.integers(seeds, size=seeds)][:, drawn].mean())
    return float(np.std(means))


@pytest.mark.parametrize("seeds", [1, 40])
def test_the_variance_is_that_of_a_two_level_cluster_bootstrap(seeds: int) -> None:
    """Of many seeds and groups of unequal sizes, where the bootstrap's own bias is small."""
    random = np.random.default_rng(3)
    groups = np.repeat(np.arange(60), random.integers(1, 12, size=60))
    values = 0.5 * random.normal(size=(seeds, 1)) + random.normal(size=60)[groups]
    values = values + 0.3 * random.normal(size=(seeds, len(groups)))
    low, high = mean(values, groups).interval
    error = (high - low) / 2 / stats.t.ppf(0.975, 59 if seeds == 1 else 97)
    assert error == pytest.approx(two_level_bootstrap(values, groups, 4_000), rel=0.06)
    # As if windows of a video were independent, it would be far too small.
    low, high = mean(values, each(len(groups))).interval
    assert seeds > 1 or (high - low) / 2 / 1.96 < 0.6 * error


def test_one_group_has_no_interval() -> None:
    found = mean(np.array([[1.0, 2.0, 3.0]]), ["a", "a", "a"])
    assert found.value == 2.0 and all(map(math.isnan, found.interval))
    assert found.as_json() == {"mean": 2.0, "low": None, "high": None}


@pytest.mark.parametrize("values", [np.zeros((1, 0)), np.zeros((0, 2)), np.array([[math.nan, 1.0]])])
def test_values_without_a_mean_are_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite"):
        mean(values, each(values.shape[1]))


def test_unequal_numbers_of_sequences_are_refused() -> None:
    with pytest.raises(ValueError, match="3 sequences, but groups of 4"):
        difference(np.zeros((1, 4)), np.zeros((1, 3)), each(4))


def test_a_share_of_one_seed_has_wilsons_interval() -> None:
    """81 of 263 and 0 of 20 as in Newcombe (Statistics in Medicine 1998), 12 of 12 by scipy."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    for hits, answers in ((81, 263), (0, 20), (12, 12)):
        values = (np.arange(answers) < hits).astype(float)[None]
        expected = stats.binomtest(hits, answers).proportion_ci(method="wilson")
        found = proportion(values, each(answers)).interval
        assert found == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_newcombes_paired_interval_is_the_published_one() -> None:
    """36 both correct, 12 and 2 one alone: Newcombe (Statistics in Medicine 1998), Table II, method 10."""
    ours, theirs = np.repeat([1.0, 1.0, 0.0], [36, 12, 2]), np.repeat([1.0, 0.0, 1.0], [36, 12, 2])
    found = difference_of_proportions(ours[None], theirs[None], each(50))
    assert found.value == pytest.approx(0.2)
    assert found.interval == pytest.approx((0.0569, 0.3404), abs=5e-5)


def test_differing_seeds_widen_the_interval_of_a_share() -> None:
    random = np.random.default_rng(4)
    chances = np.array([0.2, 0.4, 0.6])[:, None]
    apart = (random.random((3, 200)) < chances).astype(float)
    alike = (random.random((3, 200)) < 0.4).astype(float)
    widths = [np.diff(proportion(hits, each(200)).interval)[0] for hits in (apart, alike)]
    assert widths[0] > 4 * widths[1]


def test_squared_errors_of_independent_estimates_add_up() -> None:
    first, second = Estimate(10, lambda tail: (7, 13)), Estimate(4, lambda tail: (0, 8))
    found = independent_difference(first, second)
    assert (found.value, *found.interval) == (6, 1, 11)  # 3, 4 and 5 are a right-angled triangle


def test_a_gap_is_the_difference_of_two_differences() -> None:
    random = np.random.default_rng(5)
    test, training = random.normal(1, 1, size=(3, 80)), random.normal(0, 1, size=(3, 60))
    worse = test + 0.5, training
    found = gap_difference(worse, (test, training), (each(80), each(60)))
    assert found.value == pytest.approx(0.5)
    low, high = found.interval
    assert low < 0.5 < high
    with pytest.raises(ValueError, match="60 sequences, but groups of 80"):
        gap_difference(worse, (test, training), (each(80), each(80)))


def test_estimates_can_be_scaled_and_shifted() -> None:
    found = Estimate(2.0, lambda tail: (1.0, 4.0))
    assert found.times(-1_000).interval == (-4_000, -1_000)
    assert found.less(1.5).interval == (-0.5, 2.5) and found.less(1.5).value == 0.5


def test_holms_procedure_follows_its_definition() -> None:
    """p-values sorted, compared with tail / m, tail / (m - 1), ..., up to the first that is greater."""
    random = np.random.default_rng(6)
    for _ in range(200):
        z = random.normal(-1.5, 1.5, size=random.integers(1, 9))
        estimates = [
            Estimate(
                value, lambda tail, value=value: (value + stats.norm.ppf(tail), value - stats.norm.ppf(tail))
            )
            for value in z
        ]
        expected = set()
        p = stats.norm.cdf(z)
        for rank, index in enumerate(np.argsort(p)):
            if p[index] > 0.025 / (len(z) - rank):
                break
            expected.add(int(index))
        assert below_zero(estimates) == expected
    assert below_zero([]) == set()
