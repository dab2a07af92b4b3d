"""Power laws of the rows N that a composition needs against the number of values n, beside the paper's exponents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import linregress
from scipy.stats import t as student

from ..measure.statistics import Interval, StatisticsError

PAPER_EXPONENTS = {
    ("two_hop", "direct"): 2.26,
    ("parallel", "direct"): 2.43,
    ("three_hop", "direct"): 2.58,
    ("two_hop", "cot"): 2.09,
    ("three_hop", "cot"): 1.76,
    ("five_hop", "cot"): 1.80,
}
"""Exponents measured by the paper with GPT-2, by family and target."""


def theory_exponent(k: int) -> float:
    """The paper's exponent for two-hop where k shared contexts, at least one, make two fragments equivalent."""
    if k < 1:
        raise ValueError(f"theory exponent: k = {k}, evidence starts at 1")
    return 2.5 - 0.5 / k


@dataclass(frozen=True)
class PowerLaw:
    """N = factor * n^exponent, fitted on logarithms."""

    exponent: Interval
    r_squared: float  # Share of the variance of log N that is explained


def fit_power_law(values: ArrayLike, rows: ArrayLike, level: float = 0.95) -> PowerLaw:
    """Fit log N to log n, the |X| of each measurement, by least squares, with Student's interval of the slope.

    Raises:
        StatisticsError: Fewer than three measurements, one |X| only, or a number that has no logarithm.
    """
    x, y = np.asarray(values, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    usable = bool(np.isfinite(y).all() and (x > 0).all() and (y > 0).all())
    if len(x) < 3 or len(np.unique(x)) < 2 or not usable:
        raise StatisticsError(
            f"power law: {len(x)} measurements at {len(np.unique(x))} numbers of values, all above 0 and finite: "
            f"{usable}; at least three at two are needed"
        )
    fit = linregress(np.log(x), np.log(y))
    slope, half = float(fit.slope), float(student.ppf(0.5 + level / 2, len(x) - 2) * fit.stderr)
    explained = float(fit.rvalue**2) if np.ptp(y) else 1.0
    return PowerLaw(Interval(slope, slope - half, slope + half, level), explained)
