"""How many rows a composition needs: the planner's kappa.

arXiv 2505.20278 bounds the rows of two-hop composition by N ~ n^c with c = 2.5 - 0.5 / k. The planner is a closed form:
with a share p of all fragments in use, a fragment occurs in m = N / (p n^2) of p n contexts, so two fragments of one
bridge value share kappa = m^2 / (p n) = N^2 / (p^3 n^5) contexts on average.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

KAPPA_NEEDED = 4.0
"""Shared contexts at which the paper's 20,000 rows for 50 values lie (the planner gives 20,700)."""


def kappa(rows: float, values: int, seen: float = 0.7) -> float:
    """Mean shared contexts of two equivalent two-hop fragments, N^2 / (p^3 n^5)."""
    return rows**2 / (seen**3 * values**5)


def rows_for(wanted: float, values: int, seen: float = 0.7) -> float:
    """Rows at which two equivalent two-hop fragments share `wanted` contexts: the inverse of `kappa`."""
    return (wanted * seen**3) ** 0.5 * values**2.5


def shared_contexts(inputs: ArrayLike, bridge: ArrayLike, fragment: Sequence[int]) -> float:
    """Kappa measured on a data set: mean contexts shared by two fragments with the same bridge value.

    `inputs` are training rows without repeats, `[rows, slots]`, `bridge` the results of the fragment's table, `[rows]`,
    and `fragment` its slots; the context is the rest. The mean is over pairs of different fragments in use, NaN if no
    two have the same value.
    """
    inputs, bridge = np.asarray(inputs), np.asarray(bridge)
    rest = [slot for slot in range(inputs.shape[1]) if slot not in fragment]
    fragments = np.unique(np.column_stack([bridge, inputs[:, list(fragment)]]), axis=0)
    in_value = np.unique(fragments[:, 0], return_counts=True)[1]
    in_context = np.unique(np.column_stack([bridge, inputs[:, rest]]), axis=0, return_counts=True)[1]
    pairs = (in_value * (in_value - 1)).sum()
    return float((in_context * (in_context - 1)).sum() / pairs) if pairs else float("nan")
