"""Which fragments are equivalent: shared contexts with equal and unequal outputs, by a sparse join."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, triu

from .observations import IntArray, Observations, Subset, context_of, row_keys
from .observations import subsets as proper_subsets

JOIN_CELLS = 4_000_000
"""Most cells of a sparse product in memory at once."""


@dataclass(frozen=True)
class Caps:
    """Bounds on memory. `Pairs.capped` and `Reach.undecided` report what they cut off.

    Attributes:
        bucket: Most fragments of one (context, output) that are compared with each other.
        pairs: Most pairs of one subset that the join may hold; buckets are thinned until they fit.
        vertices: Most inputs outside the observed set that a closure search may visit.
    """

    bucket: int = 4096
    pairs: int = 5_000_000
    vertices: int = 5_000_000


DEFAULT_CAPS = Caps()


@dataclass(frozen=True)
class Capped:
    """What the caps cut off in the join of one subset.

    Attributes:
        buckets: Number of buckets that were thinned to the bound.
        fragments: Number of memberships of fragments in buckets that were dropped.
    """

    bucket: int
    buckets: int
    fragments: int


@dataclass(frozen=True)
class Pairs:
    """Pairs of observed fragments of one subset with at least one shared context of equal output.

    Counts are exact for every listed pair: a cap can drop a pair, but not change its counts.

    Attributes:
        subset: Positions of the fragments.
        fragments: [F, |I|] observed fragments in lexicographic order.
        left, right: [P] indices into `fragments`, left < right.
        agree: [P] shared contexts with equal outputs, >= 1.
        disagree: [P] shared contexts with unequal outputs.
        capped: What the caps cut off, None if nothing.
    """

    subset: Subset
    fragments: IntArray
    left: IntArray
    right: IntArray
    agree: IntArray
    disagree: IntArray
    capped: Capped | None = None


PairsBySubset = Mapping[Subset, Pairs]


def fragment_pairs(observations: Observations, subset: Subset, caps: Caps = DEFAULT_CAPS) -> Pairs:
    """Count agreements and disagreements of the fragments of one subset.

    A sparse join on (context, output) finds the pairs that agree somewhere, far fewer than all pairs, and shared
    contexts are counted for these only. The published script compares all pairs.

    Raises:
        ValueError: The subset is not a non-empty proper subset of the positions.
    """
    if not 0 < len(set(subset)) < observations.slots or not set(subset) < set(range(observations.slots)):
        raise ValueError(f"subset {subset}: give some, not all, of the positions 0..{observations.slots - 1}")
    contexts = context_of(subset, observations.slots)
    fragments, fragment = distinct_at(observations, subset)
    context = distinct_at(observations, contexts)[1]
    group = np.unique(np.stack((context, observations.outputs), axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    by_context = _incidence(fragment, context, len(fragments))
    by_output = _incidence(fragment, group, len(fragments))
    joined, capped = _thin(by_output, caps)
    left, right, agree = _join(joined)
    if capped:
        agree = _shared(by_output, left, right)
    disagree = _shared(by_context, left, right) - agree
    return Pairs(subset, fragments, left, right, agree, disagree, capped)


def all_pairs(
    observations: Observations, subsets: Sequence[Subset] | None = None, caps: Caps = DEFAULT_CAPS
) -> PairsBySubset:
    """`fragment_pairs` of each subset (default: every proper subset)."""
    family = proper_subsets(observations.slots) if subsets is None else subsets
    return {subset: fragment_pairs(observations, subset, caps) for subset in family}


def pairs_of(
    observations: Observations, subsets: Sequence[Subset] | None, pairs: PairsBySubset | None, caps: Caps
) -> PairsBySubset:
    """Pairs of the given subsets, computed where `pairs` lacks them; without `subsets`, all of `pairs`, or all."""
    if subsets is None:
        return all_pairs(observations, None, caps) if pairs is None else pairs
    known = pairs or {}
    return {s: known[s] if s in known else fragment_pairs(observations, s, caps) for s in subsets}


def shared_contexts(observations: Observations, subset: Subset, seed: int = 0) -> NDArray[np.float64]:
    """How many pairs of a subset's fragments share m contexts, at index m >= 1.

    Exact if the join of all fragments fits into `JOIN_CELLS`, else scaled up from a seeded sample of fragments.
    """
    fragments, fragment = distinct_at(observations, subset)
    context = distinct_at(observations, context_of(subset, observations.slots))[1]
    incidence = _incidence(fragment, context, len(fragments))
    share = min(1.0, JOIN_CELLS / max(_cells(incidence)[-1], 1))
    size = max(1, round(share * len(fragments)))
    sample = np.sort(np.random.default_rng(seed).choice(len(fragments), size, replace=False))
    product = (incidence[sample] @ incidence.T).tocoo()
    shared = np.bincount(product.data[sample[product.row] != product.col], minlength=2).astype(np.float64)
    return shared * len(fragments) / (2 * size)


def distinct_at(observations: Observations, positions: Subset) -> tuple[IntArray, IntArray]:
    """Distinct values at some positions in lexicographic order, and the index of each row's value."""
    columns = observations.inputs[:, positions]
    keys = row_keys(columns, [observations.sizes[slot] for slot in positions])
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return columns[first], inverse


def _incidence(fragment: IntArray, group: IntArray, fragments: int) -> csr_array:
    """0/1 matrix [fragments, groups] without groups of one fragment, which cannot give a pair."""
    several = np.bincount(group) > 1
    kept = several[group]
    column = np.cumsum(several)[group[kept]] - 1
    cells = (np.ones(len(column), np.int32), (fragment[kept].astype(np.int32), column.astype(np.int32)))
    return coo_array(cells, shape=(fragments, int(several.sum()))).tocsr()


def _thin(incidence: csr_array, caps: Caps) -> tuple[csr_array, Capped | None]:
    """Drop evenly spaced fragments from buckets that exceed the caps."""
    sizes = np.bincount(incidence.indices, minlength=incidence.shape[1]).astype(np.int64)
    limit = min(caps.bucket, int(sizes.max(initial=0)))
    while limit > 1 and _bound(np.minimum(sizes, limit)) > caps.pairs:
        limit -= max(1, limit // 16)
    over = sizes > limit
    if not over.any():
        return incidence, None
    columns = incidence.tocsc()
    size = np.repeat(sizes, sizes)
    rank = np.arange(columns.nnz) - np.repeat(columns.indptr[:-1].astype(np.int64), sizes)
    # Of `size` members, the i-th stays where i * limit / size passes a whole number: `limit` members, evenly spaced.
    kept = (size <= limit) | ((rank + 1) * limit // size > rank * limit // size)
    cells = (columns.data[kept], (columns.indices[kept], np.repeat(np.arange(len(sizes)), sizes)[kept]))
    return coo_array(cells, shape=incidence.shape).tocsr(), Capped(limit, int(over.sum()), int((~kept).sum()))


def _bound(sizes: IntArray) -> int:
    """Most pairs that a join over buckets of these sizes can have."""
    return int((sizes * (sizes - 1) // 2).sum())


def _join(incidence: csr_array) -> tuple[IntArray, IntArray, IntArray]:
    """Pairs of rows with a common column, left < right, and in how many columns."""
    found = []
    for start, stop in _blocks(incidence):
        product = triu(incidence[start:stop] @ incidence.T, k=start + 1, format="coo")
        found.append((product.row.astype(np.int64) + start, product.col.astype(np.int64), product.data))
    if not found:
        return (np.zeros(0, np.int64),) * 3
    left, right, count = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return left, right, count.astype(np.int64)


def _blocks(incidence: csr_array) -> list[tuple[int, int]]:
    """Ranges of rows whose join with all rows stays within `JOIN_CELLS`, at least one row each."""
    cost = _cells(incidence)
    blocks, start = [], 0
    while start < incidence.shape[0]:
        stop = int(np.searchsorted(cost, cost[start] + JOIN_CELLS, side="right")) - 1
        blocks.append((start, max(stop, start + 1)))
        start = blocks[-1][1]
    return blocks


def _cells(incidence: csr_array) -> IntArray:
    """Upper bound of the cells of the join of the first n rows with all rows, for every n."""
    degrees = np.bincount(incidence.indices, minlength=incidence.shape[1]).astype(np.int64)
    return np.concatenate(([0], np.cumsum(degrees[incidence.indices])))[incidence.indptr]


def _shared(incidence: csr_array, left: IntArray, right: IntArray) -> IntArray:
    """In how many columns both rows of each pair are set; the cheaper of two exact ways."""
    if not len(left):
        return np.zeros(0, np.int64)
    lengths = np.diff(incidence.indptr)
    sizes = np.bincount(incidence.indices, minlength=incidence.shape[1]).astype(np.int64)
    by_pair = int((lengths[left] + lengths[right]).sum())
    counts = [np.zeros(0, np.int64)]
    if int((sizes**2).sum()) < by_pair:
        for start, stop in _blocks(incidence):
            low, high = np.searchsorted(left, (start, stop))
            product = incidence[start:stop] @ incidence.T
            product.sum_duplicates()  # sorts rows, without which each look-up would scan one
            counts.append(product[left[low:high] - start, right[low:high]])
    else:
        step = max(1, int(len(left) * JOIN_CELLS / max(by_pair, 1)))
        for low in range(0, len(left), step):
            part = slice(low, low + step)
            counts.append(incidence[left[part]].multiply(incidence[right[part]]).sum(axis=1))
    return np.concatenate([np.asarray(part).reshape(-1) for part in counts]).astype(np.int64)
