from __future__ import annotations

import time
from fractions import Fraction
from itertools import product
from math import comb, inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quince.eval.measure.statistics import (
    LEAST_UNITS,
    StatisticsError,
    bounded_mean,
    holm,
    mean,
    minimum_detectable_difference,
    paired_difference,
    pass_at_k,
    proportion,
    standard_error,
)
from scipy.stats import binom, t, ttest_1samp

UNIT = st.floats(0, 1, allow_subnormal=False)  # some libraries switch them off for the whole process
values_in_01 = st.lists(UNIT, min_size=LEAST_UNITS, max_size=60)


@settings(deadline=None)
@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_exact(case):
    n, correct, k = case
    exact = 1 - Fraction(comb(n - correct, k), comb(n, k))
    assert float(pass_at_k(n, correct, k)) == pytest.approx(float(exact), abs=1e-9)


@pytest.mark.parametrize("n", range(1, 9))
def test_pass_at_k_is_exact_for_all_small_counts(n):
    """Random cases seldom have just k wrong samples."""
    for correct, k in product(range(n + 1), range(1, n + 1)):
        exact = 1 - comb(n - correct, k) / comb(n, k)
        assert float(pass_at_k(n, correct, k)) == pytest.approx(exact, abs=1e-12)


def test_pass_at_k_broadcasts_to_a_table():
    table = pass_at_k(np.array([4, 8])[:, None], np.array([1, 0])[:, None], np.array([1, 2, 4]))
    np.testing.assert_allclose(table, [[0.25, 0.5, 1.0], [0, 0, 0]])


def test_pass_at_k_refuses_more_than_was_sampled():
    with pytest.raises(StatisticsError, match=r"k = 8 needs at least 8 judged samples.*has 4"):
        pass_at_k([16, 4], [1, 1], 8)


@pytest.mark.parametrize(("n", "correct", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 0)])
def test_pass_at_k_refuses_nonsense(n, correct, k):
    with pytest.raises(StatisticsError):
        pass_at_k(n, correct, k)


def test_pass_at_k_is_unbiased():
    rng = np.random.default_rng(0)
    chance = 0.2
    correct = rng.binomial(16, chance, size=200_000)
    assert pass_at_k(16, correct, 8).mean() == pytest.approx(1 - (1 - chance) ** 8, abs=2e-3)


def test_pass_at_k_is_fast():
    rng = np.random.default_rng(0)
    n, correct = np.full((10_000, 1), 256), rng.integers(0, 257, (10_000, 1))
    start = time.process_time()
    pass_at_k(n, correct, 2 ** np.arange(9))
    assert time.process_time() - start < 0.25


@pytest.mark.parametrize("trials", [*range(1, 13), 20, 30, 50, 100, 263])
def test_the_interval_of_a_share_covers_exactly_what_it_says(trials):
    chances = np.linspace(0.03, 0.97, 189)
    ends = [proportion(right, trials) for right in range(trials + 1)]
    held = np.array([[one.contains(chance) for chance in chances] for one in ends])
    covered = (binom.pmf(np.arange(trials + 1)[:, None], trials, chances) * held).sum(0)
    assert covered.min() >= 0.935
    assert trials < 10 or covered.mean() <= 0.98


def test_a_share_is_the_mean_of_right_and_wrong():
    for right, trials in ((0, 10), (10, 10), (3, 7), (81, 263)):
        one, other = proportion(right, trials), bounded_mean(np.arange(trials) < right)
        assert (one.estimate, one.low, one.high) == pytest.approx((other.estimate, other.low, other.high))
    # Newcombe 1998, table I, method 3, has 0.2553 to 0.3662 for the last; the factors move it by a thousandth.
    assert (proportion(81, 263).low, proportion(81, 263).high) == pytest.approx((0.2553, 0.3662), abs=1e-3)
    assert (proportion(1, 2).low, proportion(1, 2).high) == (0, 1)


@given(values_in_01, st.floats(0.5, 5), st.floats(-3, 3, allow_subnormal=False))
def test_an_interval_moves_with_its_bounds_and_turns_with_its_values(values, scale, start):
    values = np.array(values)
    plain, turned = bounded_mean(values), bounded_mean(1 - values)
    assert (plain.low, plain.high) == pytest.approx((1 - turned.high, 1 - turned.low), abs=1e-9)
    moved = bounded_mean(start + scale * values, bounds=(start, start + scale))
    assert (moved.low, moved.high) == pytest.approx((start + scale * plain.low, start + scale * plain.high), abs=1e-6)
    assert 0 <= plain.low <= plain.estimate + 1e-9 and plain.estimate - 1e-9 <= plain.high <= 1
    assert plain.high - plain.low > 0


@given(values_in_01)
def test_many_equal_copies_of_problems_narrow_an_interval_and_clusters_of_copies_do_not(values):
    plain = bounded_mean(values)
    labels = [i for i, _ in enumerate(values) for _ in range(3)]
    copied = bounded_mean(np.repeat(values, 3), labels)
    assert (copied.low, copied.high) == pytest.approx((plain.low, plain.high))
    tripled = bounded_mean(np.repeat(values, 3))
    assert tripled.high - tripled.low < plain.high - plain.low + 1e-12


def hard_or_easy(rng, mean, shape):
    return rng.beta(0.3 * mean, 0.3 * (1 - mean), shape)


def spread(rng, mean, shape):
    return rng.beta(2 * mean, 2 * (1 - mean), shape)


def rare_exceptions(rng, mean, shape):
    common = mean + (1 - mean) / 2
    return np.where(rng.random(shape) < mean / common, common, 0.0)


@pytest.mark.parametrize("difficulty", [hard_or_easy, spread, rare_exceptions])
@pytest.mark.parametrize("size", [10, 20, 50, 100])
def test_intervals_of_pass_at_k_cover_what_they_say(difficulty, size):
    """The whole grid stands in docs/results/intervals.md; seeds are fixed, 800 draws have an error of 0.8 points."""
    rng, covered = np.random.default_rng(size), []
    for average, samples, k in ((0.97, 1, 1), (0.95, 16, 1), (0.8, 64, 1), (0.6, 16, 16)):
        many = difficulty(rng, average, 200_000)
        true = float((1 - (1 - many) ** k).mean())
        values = pass_at_k(samples, rng.binomial(samples, difficulty(rng, average, (800, size))), k)
        covered.append(np.mean([bounded_mean(row).contains(true) for row in values]))
    assert min(covered) >= 0.93


@pytest.mark.parametrize("groups", [3, 5, 10, 30])
@pytest.mark.parametrize("sizes", ["equal", "unequal"])
def test_intervals_over_clusters_cover_what_they_say(groups, sizes):
    rng, covered = np.random.default_rng(groups), []
    counts = np.full(groups, 8) if sizes == "equal" else np.geomspace(2, 30, groups).astype(int)
    labels = np.repeat(np.arange(groups), counts)
    for average, concentration in ((0.9, 0.01), (0.1, 1.0), (0.5, 0.01)):
        shared = rng.beta(average * concentration, (1 - average) * concentration, (800, groups))[:, labels]
        values = rng.binomial(4, shared) / 4
        covered.append(np.mean([bounded_mean(row, labels.tolist()).contains(average) for row in values]))
    assert min(covered) >= 0.93


def test_a_weighted_mean_is_a_ratio():
    weighted = bounded_mean([1, 0, 0.5, 0.3], weights=[2, 1, 1, 0])
    assert weighted.estimate == 2.5 / 4
    same = bounded_mean([1, 0, 0.5], weights=[2, 1, 1])
    assert (weighted.low, weighted.high) == pytest.approx((same.low, same.high))
    even, uneven = bounded_mean([1, 0, 1, 0] * 5), bounded_mean([1, 0, 1, 0] * 5, weights=[9, 9, 1, 1] * 5)
    assert uneven.high - uneven.low > even.high - even.low


@pytest.mark.parametrize(("labels", "why"), [(None, "2 problems"), ("aa", "1 cluster"), ("ab", "2 clusters")])
def test_too_few_units_give_no_interval(labels, why):
    for interval in (bounded_mean([0.4, 0.8], labels), mean([0.4, 0.8], labels)):
        assert (interval.estimate, interval.low, interval.high) == (pytest.approx(0.6), -inf, inf)
        assert interval.refused == f"no interval from {why}"
        assert (interval.drawn, interval.as_dict()["low"]) == ((interval.estimate, interval.estimate), None)
    change = paired_difference([0.1, 0.2], [0.3, 0.4], labels)
    assert (change.p_value, change.low, change.high) == (1, -inf, inf) and change.refused
    assert minimum_detectable_difference([0.1, 0.2], clusters=labels) == inf


def test_a_mean_without_bounds_has_students_interval():
    values = np.random.default_rng(1).normal(size=12)
    interval, exact = mean(values), ttest_1samp(values, 0).confidence_interval()
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high))
    assert mean(values, level=0.5).high < interval.high


@pytest.mark.parametrize("bad", [[1.2, 0, 0], [-0.1, 0, 0]])
def test_values_out_of_bounds_are_refused(bad):
    with pytest.raises(StatisticsError, match="do not lie in"):
        bounded_mean(bad)
    for function in (bounded_mean, mean):
        with pytest.raises(StatisticsError, match="no problems"):
            function([])
    with pytest.raises(StatisticsError, match="weights are 0"):
        bounded_mean([1, 1, 0], weights=[0, 0, 0])


def test_intervals_are_fast():
    values = np.random.default_rng(1).random(500)
    start = time.process_time()
    for _ in range(100):
        bounded_mean(values)
        paired_difference(values, values[::-1])
    assert time.process_time() - start < 0.4


def test_pairing_finds_what_independent_intervals_hide():
    rng = np.random.default_rng(2)
    hard = rng.random(200)
    a = np.clip(hard, 0.05, 0.9)
    b = np.clip(a + 0.03 + rng.normal(0, 0.05, 200), 0, 1)
    difference = paired_difference(a, b)
    assert not difference.contains(0)
    assert difference.p_value < 0.01
    assert bounded_mean(a).high > bounded_mean(b).low


def test_the_second_model_is_better_where_the_difference_is_positive():
    a, b = [0.0, 0.0, 0.25, 1.0] * 5, [1.0, 1.0, 0.25, 1.0] * 5
    assert paired_difference(a, b).estimate == 0.5 == -paired_difference(b, a).estimate
    assert paired_difference(a, b).low > 0 > paired_difference(b, a).high


def test_models_that_answer_alike_are_not_different_and_not_surely_equal():
    a = np.random.default_rng(3).random(30)
    same = paired_difference(a, a)
    assert (same.estimate, same.p_value) == (0, 1)
    assert same.low == -same.high < -0.05


@given(st.lists(st.tuples(UNIT, UNIT), min_size=3, max_size=40), st.booleans())
def test_a_difference_is_found_if_and_only_if_its_interval_leaves_out_0(pairs, grouped):
    a, b = map(list, zip(*pairs, strict=True))
    labels = [i // 2 for i in range(len(a))] if grouped and len(a) > 5 else None
    there, back = paired_difference(a, b, labels), paired_difference(b, a, labels)
    assert (there.p_value < 0.05) != there.contains(0)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.p_value == pytest.approx(back.p_value)
    assert -1 <= there.low <= there.estimate <= there.high <= 1


def test_the_difference_by_hand():
    a, b = np.zeros(6), np.array([0.5, 0.1, 0.2, 0.0, 0.4, 0.3])
    squares = ((b - 0.25) ** 2).sum() + 0.5**2  # one more problem that differs as much as the largest
    error = np.sqrt(7 / 6 * squares) / 6
    found = paired_difference(a, b)
    assert found.high - found.estimate == pytest.approx(t.ppf(0.975, 5) * error)
    assert found.p_value == pytest.approx(2 * t.sf(0.25 / error, 5))


@pytest.mark.parametrize("agreeing", range(3, 9))
def test_no_p_is_smaller_than_that_of_an_exact_test(agreeing):
    """If neither were better each problem that differs would be a fair coin, and the others say nothing."""
    b = [0.5] * agreeing + [0.0] * 20
    found = paired_difference([0.0] * len(b), b)
    assert found.p_value >= 2 / 2**agreeing
    assert found.contains(0) == (agreeing < 6)


@pytest.mark.parametrize("size", [5, 10, 20, 50, 100])
@pytest.mark.parametrize("samples", [1, 16])
def test_equal_models_seldom_differ(size, samples):
    rng = np.random.default_rng(size + samples)
    found = []
    for _ in range(400):
        chances = rng.beta(0.5, 0.5, size)
        a, b = rng.binomial(samples, chances, (2, size)) / samples
        found.append(paired_difference(a, b).p_value < 0.05)
    assert np.mean(found) <= 0.06


@pytest.mark.parametrize("groups", [2, 3, 5, 10, 30])
@pytest.mark.parametrize("sizes", ["equal", "one large"])
def test_equal_models_seldom_differ_over_clusters(groups, sizes):
    """Each model is better on some databases by chance, and both are equal over all databases."""
    rng = np.random.default_rng(groups)
    counts = np.full(groups, 8) if sizes == "equal" else np.r_[40, np.full(groups - 1, 2)]
    labels = np.repeat(np.arange(groups), counts)
    found = []
    for _ in range(300):
        a, b = (rng.binomial(4, np.clip(rng.normal(0.5, 0.25, groups), 0, 1)[labels]) / 4 for _ in range(2))
        found.append(paired_difference(a, b, labels.tolist()).p_value < 0.05)
    assert np.mean(found) <= 0.06


def test_differences_are_found():
    rng = np.random.default_rng(9)
    chances = rng.beta(1, 1, (100, 50))
    better = np.minimum(1, chances + 0.1)
    pairs = zip(rng.binomial(16, chances) / 16, rng.binomial(16, better) / 16, strict=True)
    assert np.mean([paired_difference(a, b).p_value < 0.05 for a, b in pairs]) > 0.9


@pytest.mark.parametrize(("a", "b"), [([1, 2], [1, 2, 3]), ([], [])])
def test_unpaired_problems_are_refused(a, b):
    with pytest.raises(StatisticsError, match="not the same problems"):
        paired_difference(a, b)


@pytest.mark.parametrize("size", [10, 150])
def test_power_is_what_it_says(size):
    rng = np.random.default_rng(5)
    effect = np.median([minimum_detectable_difference(rng.normal(0, 0.3, size)) for _ in range(100)])
    found = [paired_difference(np.zeros(size), x).p_value < 0.05 for x in rng.normal(effect, 0.3, (500, size))]
    assert 0.78 <= np.mean(found) <= 0.9  # with few problems it is a little cautious
    few, many = ([0.1, -0.1, 0.3, 0.0, 0.2] * times for times in (1, 4))
    assert minimum_detectable_difference(few) == inf  # five problems never differ by more than chance
    assert minimum_detectable_difference(many, power=0.5) < minimum_detectable_difference(many, power=0.9)


def test_holm_by_hand():
    # Holm 1979: the smallest p by 4, the next by 3, never less than the one before.
    assert holm([0.04, 0.001, 0.02, 0.9]) == pytest.approx([0.08, 0.004, 0.06, 0.9])
    assert holm([0.03, 0.02]) == pytest.approx([0.04, 0.04])
    assert holm([]) == [] and holm([0.6, 0.7]) == [1.0, 1.0]


def grouped(rng, groups=40, size=10, between=1.0):
    """Values that share most of their spread within groups, and the labels of the groups."""
    labels = np.repeat(np.arange(groups), size)
    return rng.normal(0, between, groups)[labels] + rng.normal(0, 0.3, groups * size), labels.tolist()


def test_clusters_of_one_change_nothing():
    values = np.random.default_rng(0).random(60)
    labels = list(range(60))
    assert standard_error(values, labels) == pytest.approx(values.std(ddof=1) / np.sqrt(60))
    for function in (bounded_mean, mean):
        one, other = function(values, labels), function(values)
        assert (one.low, one.high) == pytest.approx((other.low, other.high))
    one, other = paired_difference(values, values[::-1], labels), paired_difference(values, values[::-1])
    assert (one.low, one.p_value) == pytest.approx((other.low, other.p_value))


def test_the_clustered_error_is_that_of_repeated_experiments():
    rng = np.random.default_rng(6)
    means, errors, plain = [], [], []
    for _ in range(400):
        values, labels = grouped(rng)
        means.append(values.mean())
        errors.append(standard_error(values, labels))
        plain.append(standard_error(values))
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.1)
    assert np.mean(plain) < 0.4 * np.std(means)  # what counting questions as independent would claim


@pytest.mark.parametrize("groups", [5, 40])
def test_the_clustered_mean_covers_what_it_claims(groups):
    rng = np.random.default_rng(7)
    samples = [grouped(rng, groups) for _ in range(400)]
    assert np.mean([mean(values, labels).contains(0) for values, labels in samples]) == pytest.approx(0.95, abs=0.03)


def test_a_paired_difference_is_over_clusters():
    rng = np.random.default_rng(8)
    difference, labels = grouped(rng, groups=12)
    a = rng.random(len(difference))
    wide, narrow = (paired_difference(a, a + difference, c) for c in (labels, None))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert minimum_detectable_difference(difference, clusters=labels) > 2 * minimum_detectable_difference(difference)


@pytest.mark.parametrize(("labels", "message"), [("ab", "2 labels for 3 problems"), ("aaa", "needs 2 clusters, got 1")])
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(StatisticsError, match=message):
        standard_error([1.0, 0.0, 1.0], labels)
