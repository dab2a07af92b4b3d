"""Power laws of rows against values: known laws, the interval's coverage, and what cannot be fitted."""

from __future__ import annotations

import numpy as np
import pytest
from quince.eval.coverage.power_law import PAPER_EXPONENTS, fit_power_law, theory_exponent
from quince.eval.measure.statistics import StatisticsError


def test_theory_rises_to_two_and_a_half():
    assert [theory_exponent(k) for k in (1, 2, 5)] == pytest.approx([2.0, 2.25, 2.4])
    assert theory_exponent(2) == pytest.approx(PAPER_EXPONENTS["two_hop", "direct"], abs=0.02)
    with pytest.raises(ValueError, match="k = 0"):
        theory_exponent(0)


def test_a_power_law_is_found():
    n = np.array([20, 30, 50, 80])
    law = fit_power_law(n, 3.0 * n**2.26)
    assert law.exponent.estimate == pytest.approx(2.26)
    assert law.r_squared == pytest.approx(1.0)
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
