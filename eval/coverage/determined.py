"""Determined coverage: labels that follow from the data, by merging fragments only where nothing contradicts it."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .observations import IntArray, Observations, Subset, as_queries, common_sizes, context_of, find_keys, row_keys
from .pairs import DEFAULT_CAPS, Caps, Pairs, PairsBySubset, distinct_at, pairs_of
from .search import Hubs, Linkage, components

SEEN = int(np.iinfo(np.int32).max)
"""Evidence of an observed query, which needs no substitution."""


@dataclass(frozen=True, kw_only=True)
class Classes(Pairs):
    """Classes of the observed fragments of a subset, with the joins that made them as pairs in the order of joining.

    A join merges the class that holds `left` with the one that holds `right`; `agree` counts the contexts that both
    classes had at that time. The joins form a forest over the fragments.

    Attributes:
        labels: [F] class of each fragment, 0..classes-1.
    """

    labels: IntArray


@dataclass(frozen=True)
class Determined:
    """Labels that follow from the observations.

    Attributes:
        labels: [Q] the output that follows, -1 if none does or subsets disagree.
        evidence: [Q] weakest join between the query's fragment and the observed one that gives the label; of several,
            the largest, at most `largest_k`. 0 without label, `SEEN` for an observed query.
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
    classes: Mapping[Subset, Classes] | None = None,
    largest_k: int = 20,
    caps: Caps = DEFAULT_CAPS,
) -> Determined:
    """Labels of queries, [Q, slots] codes, by contradiction-aware agglomeration of fragments.

    For each subset, the two classes that share most contexts of equal output are joined first, provided that their maps
    from context to output disagree nowhere. Evidence is recounted on the joined maps, and joining ends below `k`. A
    query gets the output that the class of its fragment has in the query's context. Unlike in the paper's closure,
    whole classes must agree, so that a false pair is mostly detected before it spreads.

    `pairs` and `classes` are those of the same observations and settings, to save computing them. Evidence is cut off
    at `largest_k`. Pairs that `caps` omits can only mean fewer labels.
    """
    table = as_queries(queries, observations)
    if classes is None:
        pairs = pairs_of(observations, subsets, pairs, caps)
        classes = {subset: agglomerate(observations, found, k) for subset, found in pairs.items()}
    sizes = common_sizes(observations, table)
    keys = row_keys(observations.inputs, sizes)
    order = np.argsort(keys, kind="stable")
    place = find_keys(row_keys(table, sizes), keys[order])
    labels = np.where(place >= 0, observations.outputs[order[place]], -1)
    evidence = np.where(place >= 0, SEEN, 0)
    conflict = np.zeros(len(table), bool)
    for found in classes.values():
        label, support = _labels_of_subset(observations, table, found, sizes, largest_k)
        new = (label >= 0) & (evidence < SEEN)
        conflict |= new & (labels >= 0) & (labels != label)
        labels[new] = label[new]
        evidence[new] = np.maximum(evidence[new], support[new])
    labels[conflict], evidence[conflict] = -1, 0
    return Determined(labels, evidence, conflict, classes)


def _labels_of_subset(
    observations: Observations, queries: IntArray, classes: Classes, sizes: Sequence[int], largest_k: int
) -> tuple[IntArray, IntArray]:
    """Label (-1: none) and evidence of each query by the classes of one subset."""
    labels, evidence = np.full(len(queries), -1, np.int64), np.zeros(len(queries), np.int64)
    linkage = Linkage(classes, largest_k)
    for k in range(largest_k, 0, -1):
        if not linkage.join(k):
            continue
        open_queries = np.flatnonzero(evidence == 0)
        hubs = Hubs(observations, linkage, sizes)
        rows, row_hubs = hubs.of(observations.inputs)
        _, first = np.unique(row_hubs, return_index=True)
        inside, keys = hubs.of(queries[open_queries])
        place = find_keys(keys, hubs.observed)
        hit = open_queries[inside[place >= 0]]
        # All rows of a hub have one output, else its fragments would not have been joined.
        labels[hit] = observations.outputs[rows[first[place[place >= 0]]]]
        evidence[hit] = k
    return labels, evidence


def agglomerate(observations: Observations, pairs: Pairs, k: int) -> Classes:
    """Join classes of fragments of one subset, best supported first, while nothing contradicts and evidence is >= k.

    The queue holds upper bounds of evidence, since the sum over the parts of a class counts a context twice when both
    have it. A popped bound is replaced by the exact count, so the order is that of exact counts. Ties go to the classes
    whose representatives come first in lexicographic order; the order of rows does not matter.
    """
    maps = _maps(observations, pairs)
    bounds: list[dict[int, int]] = [{} for _ in maps]
    free = pairs.disagree == 0
    ends = zip(pairs.left[free].tolist(), pairs.right[free].tolist(), pairs.agree[free].tolist(), strict=True)
    queue = []
    for left, right, agree in ends:
        bounds[left][right] = bounds[right][left] = agree
        if agree >= k:
            queue.append((-agree, left, right))
    heapq.heapify(queue)
    joins: list[tuple[int, int, int]] = []
    while queue:
        bound, left, right = heapq.heappop(queue)
        if bounds[left].get(right) != -bound:
            continue
        count = _agreement(maps[left], maps[right])
        if count == -bound:
            joins.append((left, right, count))
            _join(left, right, maps, bounds, queue, k)
        elif count < 0:
            del bounds[left][right], bounds[right][left]
        else:
            bounds[left][right] = bounds[right][left] = count
            if count >= k:
                heapq.heappush(queue, (-count, left, right))
    left, right, evidence = np.array(joins, np.int64).reshape(-1, 3).T
    labels = components(len(maps), left, right)
    return Classes(pairs.subset, pairs.fragments, left, right, evidence, np.zeros_like(evidence), labels=labels)


def _maps(observations: Observations, pairs: Pairs) -> list[dict[int, int]]:
    """Map from context to output of each fragment."""
    fragment = distinct_at(observations, pairs.subset)[1]
    context = distinct_at(observations, context_of(pairs.subset, observations.slots))[1]
    maps: list[dict[int, int]] = [{} for _ in pairs.fragments]
    for index, seen, output in zip(fragment.tolist(), context.tolist(), observations.outputs.tolist(), strict=True):
        maps[index][seen] = output
    return maps


def _agreement(first: dict[int, int], second: dict[int, int]) -> int:
    """Shared contexts if all have equal outputs, else -1."""
    if len(first) > len(second):
        first, second = second, first
    count = 0
    for context, output in first.items():
        if (other := second.get(context)) is not None:
            if other != output:
                return -1
            count += 1
    return count


def _join(
    left: int,
    right: int,
    maps: list[dict[int, int]],
    bounds: list[dict[int, int]],
    queue: list[tuple[int, int, int]],
    k: int,
) -> None:
    """Merge the smaller class, its map and its bounds into the larger one."""
    keep, drop = (left, right) if len(maps[left]) >= len(maps[right]) else (right, left)
    maps[keep].update(maps[drop])
    del bounds[keep][drop], bounds[drop][keep]
    for other, bound in bounds[drop].items():
        del bounds[other][drop]
        total = bounds[keep].get(other, 0) + bound
        bounds[keep][other] = bounds[other][keep] = total
        if total >= k:
            heapq.heappush(queue, (-total, min(keep, other), max(keep, other)))
    maps[drop], bounds[drop] = {}, {}
