"""Power laws, thresholds and the planner."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from quince.data.compositional.generate import Task, generate
from quince.eval.coverage.scaling import (
    KAPPA_NEEDED,
    PAPER_EXPONENTS,
    fit_power_law,
    kappa,
    rows_for,
    shared_contexts,
    theory_exponent,
)
from quince.eval.measure.statistics import StatisticsError


def test_theory_rises_to_two_and_a_half():
    assert [theory_exponent(k) for k in (1, 2, 5)] == pytest.approx([2.0, 2.25, 2.4])
    assert theory_exponent(2) == pytest.approx(PAPER_EXPONENTS["two_hop", "direct"], abs=0.02)
    with pytest.raises(ValueError, match="k = 0"):
        theory_exponent(0)


def test_the_planner_gives_the_paper_s_size():
    assert rows_for(KAPPA_NEEDED, 50) == pytest.approx(20_700, rel=0.01)
    for rows, values, seen in ((1600, 20, 0.7), (20_000, 50, 0.5)):
        assert rows_for(kappa(rows, values, seen), values, seen) == pytest.approx(rows)


def test_shared_contexts_by_brute_force():
    data = generate(Task("two_hop", values=7, rows=90))
    contexts: dict = {}
    for given, results in zip(data.train.inputs.tolist(), data.train.results.tolist(), strict=True):
        contexts.setdefault((results[0], *given[:2]), set()).add(given[2])
    pairs = [(a, b) for a, b in itertools.combinations(contexts, 2) if a[0] == b[0]]
    expected = np.mean([len(contexts[a] & contexts[b]) for a, b in pairs])
    assert shared_contexts(data.train.inputs, data.train.results[:, 0], (0, 1)) == pytest.approx(expected)
    assert np.isnan(shared_contexts([[0, 0, 0]], [0], (0, 1)))


@pytest.mark.parametrize(("values", "rows"), [(20, 1600), (20, 3000), (50, 10_000)])
def test_the_planner_agrees_with_the_data(values, rows):
    data = generate(Task("two_hop", values=values, rows=rows))
    found = shared_contexts(data.train.inputs, data.train.results[:, 0], (0, 1))
    assert found == pytest.approx(kappa(rows, values), rel=0.1)


def test_a_power_law_is_found():
    n = np.array([20, 30, 50, 80])
    law = fit_power_law(n, 3.0 * n**2.26)
    assert law.exponent.estimate == pytest.approx(2.26)
    assert (law.factor, law.r_squared) == pytest.approx((3.0, 1.0))
    assert law(100) == pytest.approx(3.0 * 100**2.26)
    assert law.exponent.high - law.exponent.low < 1e-6


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    n = np.array([20, 30, 50, 80, 120])
    hits = [fit_power_law(n, n**2.3 * rng.lognormal(0, 0.1, 5)).exponent.contains(2.3) for _ in range(400)]
    assert 0.92 < np.mean(hits) < 0.98


@pytest.mark.parametrize("rows", [[1.0, 2.0], [1.0, np.nan, 2.0], [1.0, 0.0, 2.0]])
def test_what_cannot_be_fitted_is_said(rows):
    with pytest.raises(StatisticsError, match="at least three"):
        fit_power_law([10, 20, 30][: len(rows)], rows)
