"""k-coverage as the published script computes it, for comparison with figures that were made by it.

Written anew from a description of what `determine_coverage.py` of kaistAI/coverage-principle (commit 49d368b) does.
It differs from the definition in four ways. Vertices are the observed rows and the queries only, not all inputs. An
edge asks for equal outputs, so the labels of the queries enter. The key of a bucket is (representative of the class,
context, output) without the subset, so fragments of different subsets of one size fall together: (5, a, b) with the
first slot replaced and (a, 5, b) with the second. And which fragment represents a class depends on the order of rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .observations import IntArray, Observations, as_queries, context_of
from .pairs import Pairs, PairsBySubset

Fragment = tuple[int, ...]


def legacy_cutoffs(
    observations: Observations, queries: ArrayLike, outputs: ArrayLike, pairs: PairsBySubset, ks: Iterable[int]
) -> IntArray:
    """The largest of the given k at which the published script marks each query as covered, 0 if none; [Q].

    Args:
        observations: The observed set, in the order of the training file.
        queries: [Q, slots] codes; the script takes those of type 0 only.
        outputs: [Q] outputs of the queries.
        pairs: Pairs of every subset, in the order of the subsets.
        ks: Evidence asked for, ascending.
    """
    table, labels = as_queries(queries, observations), np.asarray(outputs)
    inputs = np.concatenate((observations.inputs, table))
    # A query that is also an observed row is one vertex, with the query's label.
    vertex = {tuple(row): label for row, label in zip(inputs.tolist(), [*observations.outputs, *labels], strict=True)}
    place = {row: index for index, row in enumerate(vertex)}
    where = np.array([place[tuple(row)] for row in table.tolist()], dtype=np.int64)
    cutoffs = np.zeros(len(table), np.int64)
    for k in ks:
        component = _components(list(vertex), list(vertex.values()), _representatives(observations, pairs, k))
        cutoffs[np.isin(component[where], component[: len(observations)])] = k
    return cutoffs


def _representatives(
    observations: Observations, pairs: PairsBySubset, k: int
) -> dict[tuple[int, ...], dict[Fragment, Fragment]]:
    """Per subset, the fragment that stands for the class of each fragment."""
    return {subset: _union(observations, found, k) for subset, found in pairs.items()}


def _union(observations: Observations, pairs: Pairs, k: int) -> dict[Fragment, Fragment]:
    """Union by size in the order of the script: fragments as they first occur in the rows, the first wins a tie."""
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
    vertices: list[Fragment], outputs: list[int], classes: dict[tuple[int, ...], dict[Fragment, Fragment]]
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
    edges = np.array(ends, dtype=np.int64).reshape(-1, 2)
    cells = (np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1]))
    graph = coo_array(cells, shape=(len(vertices), len(vertices)))
    return connected_components(graph, directed=False)[1].astype(np.int64)
