"""k-coverage as the published script computes it, for comparison with published figures.

Written anew from a description of `determine_coverage.py` in kaistAI/coverage-principle (commit 49d368b). It differs
from the definition in four ways. Vertices are only the observed rows and the queries, not all inputs. An edge requires
equal outputs, so the labels of the queries enter. The key of a bucket is (representative of the class, context, output)
without the subset, so fragments of different subsets of one size collide: (5, a, b) with the first slot replaced and
(a, 5, b) with the second. And the representative of a class depends on the order of rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .observations import IntArray, Observations, Subset, as_queries, context_of
from .pairs import Pairs, PairsBySubset
from .search import components

Fragment = tuple[int, ...]


def legacy_cutoffs(
    observations: Observations, queries: ArrayLike, outputs: ArrayLike, pairs: PairsBySubset, ks: Iterable[int]
) -> IntArray:
    """The largest of the given k (ascending) at which the published script marks each query as covered, 0 if none; [Q].

    Observations are in the order of the training file; the script takes queries of type 0 only.
    """
    table, labels = as_queries(queries, observations), np.asarray(outputs)
    inputs = np.concatenate((observations.inputs, table))
    # A query that is also an observed row is one vertex, with the query's label.
    vertex = {tuple(row): label for row, label in zip(inputs.tolist(), [*observations.outputs, *labels], strict=True)}
    place = {row: index for index, row in enumerate(vertex)}
    where = np.array([place[tuple(row)] for row in table.tolist()], dtype=np.int64)
    cutoffs = np.zeros(len(table), np.int64)
    for k in ks:
        representatives = {subset: _representatives(observations, found, k) for subset, found in pairs.items()}
        component = _components(list(vertex), list(vertex.values()), representatives)
        cutoffs[np.isin(component[where], component[: len(observations)])] = k
    return cutoffs


def _representatives(observations: Observations, pairs: Pairs, k: int) -> dict[Fragment, Fragment]:
    """The representative of each fragment's class: union by size, fragments in order of occurrence as in the script."""
    names = [tuple(fragment) for fragment in pairs.fragments.tolist()]
    number = {name: index for index, name in enumerate(names)}
    appears = dict.fromkeys(number[tuple(row)] for row in observations.inputs[:, pairs.subset].tolist())
    rank = np.empty(len(names), np.int64)
    rank[list(appears)] = np.arange(len(names))
    kept = (pairs.agree >= k) & (pairs.disagree == 0)
    ends = np.sort(np.stack((rank[pairs.left[kept]], rank[pairs.right[kept]]), axis=1), axis=1)
    parent, size = list(range(len(names))), [1] * len(names)

    def find(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for first, second in ends[np.lexsort((ends[:, 1], ends[:, 0]))].tolist():
        high, low = find(first), find(second)
        if high == low:
            continue
        if size[high] < size[low]:
            high, low = low, high
        parent[low] = high
        size[high] += size[low]
    order = list(appears)
    return {names[order[node]]: names[order[find(node)]] for node in range(len(names))}


def _components(
    vertices: list[Fragment], outputs: list[int], classes: dict[Subset, dict[Fragment, Fragment]]
) -> IntArray:
    """Component of each vertex when all vertices of a bucket are connected."""
    buckets: dict[Any, int] = {}
    ends: list[tuple[int, int]] = []
    for subset, representative in classes.items():
        context = context_of(subset, len(vertices[0]))
        for index, (vertex, output) in enumerate(zip(vertices, outputs, strict=True)):
            fragment = tuple(vertex[slot] for slot in subset)
            key = (representative.get(fragment, fragment), tuple(vertex[slot] for slot in context), output)
            ends.append((index, buckets.setdefault(key, index)))
    return components(len(vertices), *np.array(ends, dtype=np.int64).reshape(-1, 2).T)
