"""k-coverage: which inputs are reached from the observed ones by substituting equivalent fragments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .observations import IntArray, Observations, Subset
from .pairs import DEFAULT_CAPS, Caps, PairsBySubset

Mode = Literal["definition", "one_step", "legacy"]


@dataclass(frozen=True)
class Reach:
    """k-cutoffs and what the caps left open.

    Attributes:
        cutoffs: [Q] highest k at which a query is covered, 0 if never; `largest_k` for an observed one.
        undecided: [Q] the search hit `Caps.vertices`; the cutoff is a lower bound.
        capped: Subsets whose pairs were capped; cutoffs are lower bounds if there are any.
    """

    cutoffs: IntArray
    undecided: NDArray[np.bool_]
    capped: tuple[Subset, ...]


def k_cutoffs(
    observations: Observations,
    queries: ArrayLike,
    subsets: Sequence[Subset] | None = None,
    largest_k: int = 20,
    mode: Mode = "definition",
    *,
    pairs: PairsBySubset | None = None,
    query_outputs: ArrayLike | None = None,
    caps: Caps = DEFAULT_CAPS,
) -> IntArray:
    """The highest k in 1..largest_k at which each query is covered, 0 if never; [Q].

    Args:
        observations: The observed set.
        queries: [Q, slots] codes; values that were never seen are allowed.
        subsets: Family of fragments; by default all proper subsets.
        largest_k: Where to stop; observed queries get this value.
        mode: `definition` is the paper's closure over all of X^l, `one_step` a single substitution into an observed
            row, `legacy` the published script with its quirks.
        pairs: `all_pairs` of the same observations and subsets, if at hand.
        query_outputs: [Q] outputs of the queries; needed by `legacy` only and refused otherwise, since no test label
            may enter coverage.
        caps: Bounds on memory.

    Warns:
        UserWarning: A cap was in force (then use `reach` to see where).
    """
    raise NotImplementedError


def reach(
    observations: Observations,
    queries: ArrayLike,
    subsets: Sequence[Subset] | None = None,
    largest_k: int = 20,
    smallest_k: int = 1,
    *,
    pairs: PairsBySubset | None = None,
    caps: Caps = DEFAULT_CAPS,
) -> Reach:
    """`k_cutoffs` of mode `definition` with what the caps left open; cutoffs below `smallest_k` are 0."""
    raise NotImplementedError


def covered(
    observations: Observations,
    queries: ArrayLike,
    k: int,
    subsets: Sequence[Subset] | None = None,
    mode: Mode = "definition",
    *,
    pairs: PairsBySubset | None = None,
    query_outputs: ArrayLike | None = None,
    caps: Caps = DEFAULT_CAPS,
) -> NDArray[np.bool_]:
    """Whether each query is covered at k; [Q]."""
    raise NotImplementedError


def class_counts(observations: Observations, subset: Subset, k: int) -> int:
    """Number of classes of observed fragments of a subset under the closure of k-equivalence, singletons included."""
    raise NotImplementedError
