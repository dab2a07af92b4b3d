"""How much evidence chance alone would give, and so which k to ask for.

Two fragments that have nothing in common agree in a shared context with the chance q that two random rows have the
same output. They pass for k-equivalent when they share m >= k contexts and agree in all of them: q^m. The sum over the
pairs of fragments that share m contexts is the expected number of false pairs. It is a little below the number of pairs
that share at least k contexts times q^k, since a pair that shares more has more chances to be found out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtrc

from .observations import Observations, Subset
from .pairs import Pairs, PairsBySubset, shared_contexts

CLOSURE_FLOOR = 3
"""Below this, one false pair merges whole classes of the closure; measured on random tables (see
`docs/results/coverage_engine.md`)."""


@dataclass(frozen=True)
class NullModel:
    """What pairs of unrelated fragments would show.

    Attributes:
        q: Chance that two random rows have the same output.
        expected_false_pairs: [largest_k] at index k-1, pairs that chance alone makes k-equivalent, all subsets.
        observed_pairs: [largest_k] at index k-1, k-equivalent pairs found, all subsets.
        expected_by_subset: The expectation for each subset.
        observed_by_subset: The count for each subset.
        k: Smallest k with less than one expected false pair; largest_k + 1 if there is none.
        closure_k: The same, but at least `CLOSURE_FLOOR`.
    """

    q: float
    expected_false_pairs: NDArray[np.float64]
    observed_pairs: NDArray[np.int64]
    expected_by_subset: Mapping[Subset, NDArray[np.float64]]
    observed_by_subset: Mapping[Subset, NDArray[np.int64]]
    k: int
    closure_k: int

    def warning(self, k: int, closure: bool = True) -> str | None:
        """What to tell a reader who uses this k, None if nothing speaks against it.

        Args:
            k: Evidence asked for.
            closure: Whether it is for the closure of the paper; determined coverage has no floor.
        """
        least = self.closure_k if closure else self.k
        if k >= least:
            return None
        expected = self.expected_false_pairs[k - 1]
        found = int(self.observed_pairs[k - 1])
        text = f"k = {k} is below {least}: chance alone makes about {expected:.3g} of the {found} equivalent pairs"
        if closure:
            text += ", and in the closure one false pair merges whole classes"
        return f"{text}. Read this as an upper bound of what the data pins down."

    def supported(self, k: int, largest_false_share: float = 0.1, largest_chance: float = 1e-3) -> tuple[Subset, ...]:
        """Subsets whose k-equivalent pairs are mostly not chance.

        Args:
            k: Evidence asked for.
            largest_false_share: Expected false pairs over found ones that is still accepted.
            largest_chance: Chance that is still accepted of finding as many pairs where all are false, by Poisson's
                law; it matters where few were found.
        """
        found = []
        for subset, observed in self.observed_by_subset.items():
            count, expected = int(observed[k - 1]), float(self.expected_by_subset[subset][k - 1])
            if count and expected <= largest_false_share * count and pdtrc(count - 1, expected) <= largest_chance:
                found.append(subset)
        return tuple(found)


def smallest_k(observations: Observations, pairs_by_subset: PairsBySubset, largest_k: int = 20) -> NullModel:
    """Compute the null model of the observations over the subsets of `pairs_by_subset`.

    Shared contexts are counted for a seeded sample of the fragments where all would be too many.
    """
    counts = np.bincount(observations.outputs).astype(np.float64)
    rows = len(observations)
    # Two different rows drawn without replacement.
    q = float((counts * (counts - 1)).sum() / (rows * (rows - 1))) if rows > 1 else 0.0
    expected, observed = {}, {}
    for subset, pairs in pairs_by_subset.items():
        sharing = shared_contexts(observations, subset)
        chance = sharing * q ** np.arange(len(sharing))
        expected[subset] = np.array([chance[k:].sum() for k in range(1, largest_k + 1)])
        observed[subset] = _observed(pairs, largest_k)
    zero = np.zeros(largest_k)
    total = sum(expected.values(), zero)
    below = np.flatnonzero(total < 1)
    k = int(below[0]) + 1 if len(below) else largest_k + 1
    found = sum(observed.values(), zero.astype(np.int64))
    return NullModel(q, total, found, expected, observed, k, max(k, CLOSURE_FLOOR))


def _observed(pairs: Pairs, largest_k: int) -> NDArray[np.int64]:
    """k-equivalent pairs for each k."""
    evidence = np.sort(pairs.agree[pairs.disagree == 0])
    return len(evidence) - np.searchsorted(evidence, np.arange(1, largest_k + 1))
