"""How many rows a composition needs: power laws of N against |X|, and the planner's kappa.

arXiv 2505.20278 bounds the rows of two-hop composition by N ~ n^c with c = 2.5 - 0.5 / k, and measures exponents by
training. The planner is a closed form beside it: with a share p of all fragments in use, a fragment stands in
m = N / (p n^2) of p n contexts, so two fragments of one bridge value share kappa = m^2 / (p n) = N^2 / (p^3 n^5) of
them on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
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
    """Kappa as it is in a data set: mean contexts shared by two fragments that have the same bridge value.

    For any family: the context is whatever is not in the fragment.

    Args:
        inputs: Training rows `[rows, slots]`, without repeats.
        bridge: What the fragment's table gives, `[rows]`.
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
    if len(x) < 3 or len(np.unique(x)) < 2 or not (np.isfinite(y).all() and (x > 0).all() and (y > 0).all()):
        raise StatisticsError(
            f"power law: {len(x)} measurements at {len(np.unique(x))} numbers of values, all above 0 and finite: "
            f"{bool(np.isfinite(y).all() and (y > 0).all())}; at least three at two are needed"
        )
    x, y = np.log(x), np.log(y)
    spread = ((x - x.mean()) ** 2).sum()
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / spread)
    offset = float(y.mean() - slope * x.mean())
    left = float(((y - offset - slope * x) ** 2).sum())
    half = float(student.ppf(0.5 + level / 2, len(x) - 2) * np.sqrt(left / (len(x) - 2) / spread))
    total = float(((y - y.mean()) ** 2).sum())
    return PowerLaw(
        exponent=Interval(slope, slope - half, slope + half, level),
        factor=float(np.exp(offset)),
        r_squared=1.0 - left / total if total else 1.0,
    )
