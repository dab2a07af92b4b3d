"""How many rows a composition needs: power laws of N against |X|, and the planner's kappa.

arXiv 2505.20278 bounds the rows of two-hop composition by N ~ n^c with c = 2.5 - 0.5 / k, and measures exponents by
training. The planner is a closed form beside it: with a share p of all fragments in use, a fragment occurs in
m = N / (p n^2) of p n contexts, so two fragments of one bridge value share kappa = m^2 / (p n) = N^2 / (p^3 n^5)
contexts on average.
"""

from __future__ import annotations

from collections.abc import Sequence
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
KAPPA_NEEDED = 4.0
"""Shared contexts at which the paper's 20,000 rows for 50 values lie (the planner gives 20,700)."""


def theory_exponent(k: int) -> float:
    """The paper's exponent for two-hop where k shared contexts make two fragments equivalent.

    Raises:
        ValueError: k is below 1.
    """
    if k < 1:
        raise ValueError(f"theory exponent: k = {k}, evidence starts at 1")
    return 2.5 - 0.5 / k


def kappa(rows: float, values: int, seen: float = 0.7) -> float:
    """Mean shared contexts of two equivalent two-hop fragments, N^2 / (p^3 n^5)."""
    return rows**2 / (seen**3 * values**5)


def rows_for(wanted: float, values: int, seen: float = 0.7) -> float:
    """Rows at which two equivalent two-hop fragments share `wanted` contexts: the inverse of `kappa`."""
    return (wanted * seen**3) ** 0.5 * values**2.5


def shared_contexts(inputs: ArrayLike, bridge: ArrayLike, fragment: Sequence[int]) -> float:
    """Kappa measured on a data set: mean contexts shared by two fragments with the same bridge value.

    Works for any family: the context is the rest of the input.

    Args:
        inputs: Training rows `[rows, slots]`, without repeats.
        bridge: Result of the fragment's table, `[rows]`.
        fragment: Slots of the fragment.

    Returns:
        The mean over pairs of different fragments in use; NaN if no two have the same value.
    """
    inputs, bridge = np.asarray(inputs), np.asarray(bridge)
    rest = [slot for slot in range(inputs.shape[1]) if slot not in fragment]
    fragments = np.unique(np.column_stack([bridge, inputs[:, list(fragment)]]), axis=0)
    in_value = np.unique(fragments[:, 0], return_counts=True)[1]
    in_context = np.unique(np.column_stack([bridge, inputs[:, rest]]), axis=0, return_counts=True)[1]
    pairs = (in_value * (in_value - 1)).sum()
    return float((in_context * (in_context - 1)).sum() / pairs) if pairs else float("nan")


@dataclass(frozen=True)
class PowerLaw:
    """N = factor * n^exponent, fitted on logarithms.

    Attributes:
        exponent: With its interval.
        factor: Rows at n = 1.
        r_squared: Share of the variance of log N that is explained.
    """

    exponent: Interval
    factor: float
    r_squared: float

    def __call__(self, values: float) -> float:
        """Rows that the law gives for a number of values."""
        return self.factor * values**self.exponent.estimate


def fit_power_law(values: ArrayLike, rows: ArrayLike, level: float = 0.95) -> PowerLaw:
    """Fit log N = log factor + exponent * log n by least squares, with Student's interval of the slope.

    Args:
        values: |X| of each measurement; several seeds of one |X| are several measurements.
        rows: Rows needed at each, above 0.
        level: Coverage of the interval.

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
    return PowerLaw(Interval(slope, slope - half, slope + half, level), float(np.exp(fit.intercept)), explained)
