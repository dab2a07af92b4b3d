"""Determined coverage: labels that the data pins down, by merging fragments only where nothing contradicts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .observations import IntArray, Observations, Subset
from .pairs import DEFAULT_CAPS, Caps, PairsBySubset

SEEN = int(np.iinfo(np.int32).max)
"""Evidence of an observed query: no substitution is needed."""


@dataclass(frozen=True)
class Merge:
    """One join of two classes of fragments of a subset; `left` and `right` are fragments that stand for them.

    Attributes:
        left, right: Indices into `Classes.fragments`, one fragment of each class.
        evidence: Contexts that both classes had seen when they were joined, all with equal outputs.
    """

    left: int
    right: int
    evidence: int


@dataclass(frozen=True)
class Classes:
    """Classes of the observed fragments of a subset.

    Attributes:
        subset: Positions.
        fragments: [F, |I|] observed fragments in lexicographic order.
        labels: [F] class of each fragment, 0..classes-1.
        merges: The joins, in the order in which they were made.
    """

    subset: Subset
    fragments: IntArray
    labels: IntArray
    merges: tuple[Merge, ...]


@dataclass(frozen=True)
class Determined:
    """Labels that follow from the observations.

    Attributes:
        labels: [Q] the one output that is reached, -1 if none or if subsets disagree.
        evidence: [Q] weakest join between the query's fragment and the observed one that gives the label, the best
            over subsets; 0 without label, `SEEN` for an observed query.
        conflict: [Q] two subsets give different outputs.
        classes: Per subset, the classes of its fragments.
    """

    labels: IntArray
    evidence: IntArray
    conflict: NDArray[np.bool_]
    classes: Mapping[Subset, Classes]


def determine(
    observations: Observations,
    queries: ArrayLike,
    k: int = 2,
    subsets: Sequence[Subset] | None = None,
    *,
    pairs: PairsBySubset | None = None,
    caps: Caps = DEFAULT_CAPS,
) -> Determined:
    """Labels of queries by contradiction-aware agglomeration of fragments.

    Per subset, the two classes with most shared contexts of equal output are joined first, only if their maps from
    context to output nowhere disagree; evidence is counted again on the joined maps; it ends below `k`. A query gets
    the output that the class of its fragment has in the query's context.
    """
    raise NotImplementedError
