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


def test_one_answer_has_wilsons_interval_and_one_group_has_none() -> None:
    for hit in (0.0, 1.0):
        expected = stats.binomtest(int(hit), 1).proportion_ci(method="wilson")
        found = proportion(np.array([[hit]]), each(1))
        assert found.interval == pytest.approx((expected.low, expected.high), abs=1e-4)
    low, high = difference_of_proportions(np.array([[1.0]]), np.array([[0.0]]), each(1)).interval
    assert low == pytest.approx(-0.122, abs=1e-3) and high == pytest.approx(1.0)
    answers = np.array([[1.0, 1.0, 1.0, 0.0, 0.0]])
    assert np.isnan(proportion(answers, np.zeros(5)).interval).all()
    assert np.isnan(difference_of_proportions(answers, 1 - answers, np.zeros(5)).interval).all()


def test_newcombes_paired_interval_is_the_published_one() -> None:
    """36 both correct, 12 and 2 one alone: Newcombe (Statistics in Medicine 1998), Table II, method 10."""
    ours, theirs = np.repeat([1.0, 1.0, 0.0], [36, 12, 2]), np.repeat([1.0, 0.0, 1.0], [36, 12, 2])
    found = difference_of_proportions(ours[None], theirs[None], each(50))
    assert found.value == pytest.approx(0.2)
    assert found.interval == pytest.approx((0.0569, 0.3404), abs=5e-5)


def newcombe_method_10(both: int, ours: int, theirs: int, none: int) -> tuple[float, float]:
    """Newcombe's interval for pairs by its printed formulas, from the four counts of a table."""
    n, minors = both + ours + theirs + none, both * none - ours * theirs
    first, second = (both + ours) / n, (both + theirs) / n
    (low1, high1), (low2, high2) = (
        stats.binomtest(hits, n).proportion_ci(method="wilson") for hits in (both + ours, both + theirs)
    )
    margins = (both + ours) * (theirs + none) * (both + theirs) * (ours + none)
    corrected = minors - n / 2 if minors > n / 2 else min(minors, 0)
    phi = corrected / math.sqrt(margins) if margins else 0
    a, b, c, d = first - low1, high2 - second, high1 - first, second - low2
    below, above = a * a - 2 * phi * a * b + b * b, c * c - 2 * phi * c * d + d * d
    return first - second - math.sqrt(below), first - second + math.sqrt(above)


@pytest.mark.parametrize(
    "counts", [(20, 8, 2, 20), (3, 2, 2, 3), (36, 12, 2, 0), (10, 0, 0, 10), (5, 5, 0, 0), (30, 1, 0, 1)]
)
def test_newcombes_correction_is_applied_where_the_two_agree(counts: tuple[int, int, int, int]) -> None:
    ours, theirs = np.repeat([1.0, 1.0, 0.0, 0.0], counts), np.repeat([1.0, 0.0, 1.0, 0.0], counts)
    found = difference_of_proportions(ours[None], theirs[None], each(sum(counts)))
    assert found.interval == pytest.approx(newcombe_method_10(*counts))


def test_answers_that_always_agree_within_a_group_count_once() -> None:
    """50 groups of 4 equal answers hold as much as 200 * 49 / 199 independent ones."""
    hits = np.repeat((np.arange(50) < 20).astype(float), 4)[None]
    found = proportion(hits, np.repeat(each(50), 4)).interval
    assert found == pytest.approx(wilson(0.4, 200 * 49 / 199))


@pytest.mark.parametrize("seeds", [[1.0, 0.0], [1.0, 0.0, 1.0]])
def test_a_share_whose_seeds_alone_differ_has_their_variance_and_freedom(seeds: list[float]) -> None:
    """Every seed gives the same answer to all 40 questions."""
    share, count = float(np.mean(seeds)), len(seeds)
    found = proportion(np.repeat(np.array(seeds)[:, None], 40, 1), each(40)).interval
    effective = min(40 * share * (1 - share) / 39 / (np.var(seeds, ddof=1) / count), 40 * count)
    assert found == pytest.approx(wilson(share, effective, stats.t.ppf(0.975, count - 1)))


def test_two_seeds_that_differ_in_their_means_alone_have_one_degree_of_freedom() -> None:
    low, high = mean(np.repeat(np.array([[1.0], [3.0]]), 8, 1), each(8)).interval
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 1, 2.0, stats.sem([1.0, 3.0])))


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


def test_the_gaps_of_single_seeds_differ_as_in_welchs_t_test() -> None:
    """Test and training sequences are independent samples of paired differences."""
    random = np.random.default_rng(7)
    ours = random.normal(1, 1, size=(1, 80)), random.normal(0, 2, size=(1, 60))
    theirs = random.normal(2, 1, size=(1, 80)), random.normal(0, 1, size=(1, 60))
    test, training = (own[0] - other[0] for own, other in zip(ours, theirs, strict=True))
    expected = stats.ttest_ind(test, training, equal_var=False).confidence_interval()
    found = gap_difference(ours, theirs, (each(80), each(60)))
    assert found.value == pytest.approx(test.mean() - training.mean())
    assert found.interval == pytest.approx((expected.low, expected.high))


def test_gaps_that_only_seeds_change_differ_as_in_welchs_t_test() -> None:
    """Constant over sequences, so that seeds are all that varies."""

    def constant(means: list[float], count: int) -> np.ndarray:
        return np.repeat(np.array(means)[:, None], count, 1)

    ours, theirs = ([3.0, 5.0, 4.5], [1.0, 2.0, 0.5]), ([2.0, 6.0, 7.0, 3.0], [1.5, 1.0, 2.5, 0.0])
    gaps = [np.subtract(*of) for of in (ours, theirs)]
    expected = stats.ttest_ind(*gaps, equal_var=False).confidence_interval()
    found = gap_difference(
        (constant(ours[0], 8), constant(ours[1], 6)),
        (constant(theirs[0], 8), constant(theirs[1], 6)),
        (each(8), each(6)),
    )
    assert found.interval == pytest.approx((expected.low, expected.high))


def test_estimates_can_be_scaled_and_shifted() -> None:
    found = Estimate(2.0, lambda tail: (1.0 - tail, 4.0 + tail))
    assert found.times(-1_000).bounds(0.5) == (-4_500, -500) and found.times(-1_000).value == -2_000
    assert found.times(0.5).bounds(0.5) == (0.25, 2.25)
    assert found.less(1.5).bounds(0.5) == (-1.0, 3.0) and found.less(1.5).value == 0.5
    assert found.as_json() == {"mean": 2.0, "low": 0.975, "high": 4.025}


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (-8.52, -27.0, 9.94, "-8.5 [-27.0, +9.9]"),
        (0.0282, -0.0189, 0.0753, "+0.0282 [-0.0189, +0.0753]"),
        (-310.2, -1200.4, 580.0, "-310 [-1200, +580]"),
        (2.5, 2.5, 2.5, "+2.50 [+2.50, +2.50]"),
        (2.5, math.nan, math.nan, "+2.50 [no interval]"),
    ],
)
def test_a_value_and_its_bounds_have_the_same_decimals(
    value: float, low: float, high: float, text: str
) -> None:
    assert Estimate(value, lambda tail: (low, high)).as_text() == text


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
    assert below_zero([Estimate(-1.0, lambda tail: (-2.0, 0.0))]) == set()  # zero is not excluded
