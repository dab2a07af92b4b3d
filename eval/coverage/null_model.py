"""How much evidence chance alone would give, and so which k to ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .observations import Observations, Subset
from .pairs import PairsBySubset

CLOSURE_FLOOR = 3
"""Below this, one false pair merges whole classes of the closure; measured on random tables."""


@dataclass(frozen=True)
class NullModel:
    """What pairs of unrelated fragments would show.

    Attributes:
        q: Chance that two random rows have the same output.
        expected_false_pairs: [largest_k] at index k-1, pairs with evidence >= k that chance alone gives, all subsets.
        observed_pairs: [largest_k] at index k-1, pairs with evidence >= k and no disagreement, all subsets.
        expected_by_subset: The same expectation for each subset.
        k: Smallest k with less than one expected false pair.
        closure_k: The same, but at least `CLOSURE_FLOOR`.
    """

    q: float
    expected_false_pairs: NDArray[np.float64]
    observed_pairs: NDArray[np.int64]
    expected_by_subset: Mapping[Subset, NDArray[np.float64]]
    k: int
    closure_k: int

    def warning(self, k: int, closure: bool = True) -> str | None:
        """What to tell a reader who uses this k, None if nothing speaks against it."""
        raise NotImplementedError


def smallest_k(observations: Observations, pairs_by_subset: PairsBySubset, largest_k: int = 20) -> NullModel:
    """Compute the null model of the observations over the subsets of `pairs_by_subset`."""
    raise NotImplementedError
