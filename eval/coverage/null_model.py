"""How much evidence chance alone gives, and so which k to require.

Two unrelated fragments agree in a shared context with the probability q that two random rows have the same output. They
look k-equivalent when they share m >= k contexts and agree in all of them, with probability q^m. Summed over the pairs
of fragments that share m contexts, this is the expected number of false pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtrc

from .observations import Observations, Subset
from .pairs import PairsBySubset, shared_contexts

FALSE_SHARE, FALSE_CHANCE = 0.1, 1e-3
CLOSURE_FLOOR = 3
"""Below this k one false pair merges whole classes of the closure, as measured on random tables (see
`docs/results/coverage_engine.md`)."""


@dataclass(frozen=True)
class NullModel:
    """Equivalent pairs that chance alone gives; arrays are [largest_k] with k at index k-1.

    Attributes:
        q: Probability that two random rows have the same output.
        expected_false_pairs: Pairs that chance makes k-equivalent, over all subsets.
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
        """A warning for readers of results at this k, None if it is large enough.

        With `closure` for the paper's closure; determined coverage has no floor.
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

    def supported(self, k: int) -> tuple[Subset, ...]:
        """Subsets whose k-equivalent pairs are mostly not due to chance.

        At most `FALSE_SHARE` of the observed pairs may be expected by chance, and if all were false, as many pairs must
        have at most the Poisson probability `FALSE_CHANCE`, which matters for few pairs.
        """
        found = []
        for subset, observed in self.observed_by_subset.items():
            count, expected = int(observed[k - 1]), float(self.expected_by_subset[subset][k - 1])
            if count and expected <= FALSE_SHARE * count and pdtrc(count - 1, expected) <= FALSE_CHANCE:
                found.append(subset)
        return tuple(found)


def smallest_k(observations: Observations, pairs_by_subset: PairsBySubset, largest_k: int = 20) -> NullModel:
    """The null model of the observations over the subsets of `pairs_by_subset`.

    Where there are too many fragments, shared contexts are estimated from a seeded sample of them.
    """
    counts = np.bincount(observations.outputs).astype(np.float64)
    rows = len(observations)
    # Two rows drawn without replacement.
    q = float((counts * (counts - 1)).sum() / (rows * (rows - 1))) if rows > 1 else 0.0
    expected, observed = {}, {}
    for subset, pairs in pairs_by_subset.items():
        sharing = shared_contexts(observations, subset)
        chance = sharing * q ** np.arange(len(sharing))
        expected[subset] = np.array([chance[k:].sum() for k in range(1, largest_k + 1)])
        evidence = np.sort(pairs.agree[pairs.disagree == 0])
        observed[subset] = len(evidence) - np.searchsorted(evidence, np.arange(1, largest_k + 1))
    zero = np.zeros(largest_k)
    total = sum(expected.values(), zero)
    below = np.flatnonzero(total < 1)
    k = int(below[0]) + 1 if len(below) else largest_k + 1
    found = sum(observed.values(), zero.astype(np.int64))
    return NullModel(q, total, found, expected, observed, k, max(k, CLOSURE_FLOOR))
