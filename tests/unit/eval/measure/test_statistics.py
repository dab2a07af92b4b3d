from __future__ import annotations

import time
from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quince.eval.measure.statistics import (
    StatisticsError,
    bootstrap_mean,
    bootstrap_means,
    mcnemar,
    minimum_detectable_difference,
    paired_difference,
    paired_shares,
    pass_at_k,
    standard_error,
    wilson,
    wilson_clustered,
)


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


def test_wilson_against_a_published_value():
    interval = wilson(81, 263)  # Newcombe 1998, table I
    assert (interval.low, interval.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)


@pytest.mark.parametrize(("successes", "end"), [(0, "low"), (10, "high")])
def test_wilson_at_the_ends(successes, end):
    interval = wilson(successes, 10)
    assert 0 <= interval.low < interval.high <= 1
    assert getattr(interval, end) == pytest.approx(successes / 10)


def test_bootstrap_has_the_standard_error_of_the_mean():
    values = np.random.default_rng(1).normal(size=400)
    interval = bootstrap_mean(values, draws=4_000)
    half = 1.96 * values.std() / 20
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.06)
    assert interval.estimate == pytest.approx(values.mean())


def test_bootstrap_resamples_a_table_as_it_does_a_column():
    table = np.random.default_rng(1).normal(size=(50, 3))
    np.testing.assert_allclose(bootstrap_means(table)[:, 1], bootstrap_means(table[:, 1]))


def test_bootstrap_is_fast():
    values = np.random.default_rng(1).random(500)
    bootstrap_mean(values)
    start = time.process_time()
    bootstrap_mean(values)
    assert time.process_time() - start < 0.4


def test_pairing_finds_what_independent_intervals_hide():
    rng = np.random.default_rng(2)
    hard = rng.random(200)
    a, b = hard, hard + 0.03 + rng.normal(0, 0.05, 200)
    difference = paired_difference(a, b)
    assert not difference.contains(0)
    assert difference.p_value < 0.01
    assert bootstrap_mean(a).high > bootstrap_mean(b).low


def test_the_second_model_is_better_where_the_difference_is_positive():
    a, b = [0.0, 0.0, 0.25, 1.0], [1.0, 1.0, 0.25, 1.0]
    assert paired_difference(a, b).estimate == 0.5 == -paired_difference(b, a).estimate
    assert paired_difference(a, b, level=0.5).low > 0


def test_equal_models_are_not_different():
    a = np.random.default_rng(3).random(100)
    same = paired_difference(a, a)
    assert (same.estimate, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_p_values_are_uniform_when_nothing_differs():
    rng = np.random.default_rng(4)
    p = [paired_difference(rng.random(60), rng.random(60), draws=200, seed=i).p_value for i in range(300)]
    assert np.mean(np.array(p) < 0.1) == pytest.approx(0.1, abs=0.05)


def test_unpaired_problems_are_refused():
    with pytest.raises(StatisticsError, match="not the same problems"):
        paired_difference([1, 2], [1, 2, 3])


def test_power_is_what_it_says():
    rng = np.random.default_rng(5)
    spread = rng.normal(0, 0.3, 150)
    effect = minimum_detectable_difference(spread, power=0.8)
    found = [
        abs(x.mean()) > 1.96 * x.std(ddof=1) / np.sqrt(150)
        for x in rng.normal(effect, spread.std(ddof=1), (2_000, 150))
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


def test_empty_input_is_refused():
    with pytest.raises(StatisticsError, match="no problems"):
        bootstrap_mean([])


@pytest.mark.parametrize(("a", "b", "p"), [(0, 0, 1), (1, 1, 1), (0, 5, 2 / 32), (2, 8, 2 * 56 / 1024)])
def test_mcnemar_is_the_exact_test_of_a_fair_coin(a, b, p):
    assert mcnemar(a, b) == mcnemar(b, a) == pytest.approx(p)


def test_mcnemar_refuses_negative_counts():
    with pytest.raises(StatisticsError, match="at least 0"):
        mcnemar(-1, 2)


def shares(both, only_a, only_b, neither):
    """Two columns of answers with these counts."""
    counts = (both, only_a, only_b, neither)
    return np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts)


def test_paired_shares_against_a_published_value():
    # Newcombe 1998, table III, method 10: 36, 12, 2, 0.
    b, a = shares(36, 12, 2, 0)
    difference = paired_shares(a, b)
    assert difference.estimate == pytest.approx(0.2)
    assert (difference.low, difference.high) == pytest.approx((0.0569, 0.3404), abs=1e-4)
    assert difference.p_value == pytest.approx(mcnemar(12, 2))


@pytest.mark.parametrize("cells", [(0.7, 0.2, 0.05, 0.05), (0.3, 0.1, 0.3, 0.3), (0.9, 0.0, 0.02, 0.08)])
def test_paired_shares_cover_what_they_claim(cells):
    generator = np.random.default_rng(0)
    draws = [paired_shares(*shares(*generator.multinomial(40, cells))) for _ in range(400)]
    assert np.mean([interval.contains(cells[2] - cells[1]) for interval in draws]) >= 0.93


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_paired_shares_turn_round_with_the_models(pairs):
    a, b = zip(*pairs, strict=True)
    there, back = paired_shares(a, b), paired_shares(b, a)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert -1 <= there.low <= there.estimate + 1e-12 and there.estimate - 1e-12 <= there.high <= 1
    assert there.p_value == back.p_value


def test_paired_shares_never_claim_certainty():
    same = paired_shares([1] * 30, [1] * 30)
    assert same.low < -0.05 and same.high > 0.05 and same.p_value == 1


def test_unpaired_shares_are_refused():
    with pytest.raises(StatisticsError, match="not the same problems"):
        paired_shares([1, 0], [1])


def grouped(rng, groups=40, size=10, between=1.0):
    """Values that share most of their spread within groups, and the labels of the groups."""
    labels = np.repeat(np.arange(groups), size)
    return rng.normal(0, between, groups)[labels] + rng.normal(0, 0.3, groups * size), labels.tolist()


def test_clusters_of_one_change_nothing():
    values = np.random.default_rng(0).random(60)
    labels = list(range(60))
    assert standard_error(values, labels) == pytest.approx(values.std(ddof=1) / np.sqrt(60))
    np.testing.assert_allclose(bootstrap_means(values, clusters=labels), bootstrap_means(values))
    assert wilson_clustered([1, 0, 1], "abc").high == pytest.approx(wilson(2, 3).high)


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


def test_the_clustered_bootstrap_covers_what_it_claims():
    rng = np.random.default_rng(7)
    samples = [grouped(rng) for _ in range(200)]
    held = [bootstrap_mean(values, draws=400, clusters=labels).contains(0) for values, labels in samples]
    assert np.mean(held) == pytest.approx(0.95, abs=0.05)


def test_clusters_of_different_sizes_weigh_by_their_problems():
    draws = bootstrap_means([1.0, 1.0, 1.0, 0.0], clusters="aaab")
    assert set(np.unique(draws)) == {0.0, 0.75, 1.0}


def test_shares_in_clusters_have_fewer_trials():
    values, labels = np.repeat([1, 1, 0, 1, 0, 1, 1, 0], 10), np.repeat(np.arange(8), 10).tolist()
    clustered, plain = wilson_clustered(values, labels), wilson_clustered(values, None)
    assert clustered.estimate == plain.estimate == 50 / 80
    assert clustered.high - clustered.low > 2 * (plain.high - plain.low)
    assert wilson_clustered([1] * 80, labels).low == pytest.approx(wilson(8, 8).low)


def test_a_paired_difference_is_over_clusters():
    rng = np.random.default_rng(8)
    difference, labels = grouped(rng, groups=12)
    a = rng.random(len(difference))
    wide, narrow = (paired_difference(a, a + difference, clusters=c) for c in (labels, None))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert minimum_detectable_difference(difference, clusters=labels) > 2 * minimum_detectable_difference(difference)


@pytest.mark.parametrize(("labels", "message"), [("ab", "2 labels for 3 problems"), ("aaa", "needs 2 clusters, got 1")])
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(StatisticsError, match=message):
        standard_error([1.0, 0.0, 1.0], labels)
