"""The substitution graph around some queries, explored only where it is needed.

Every input is a vertex, observed or not. For one k and one subset, all inputs with the same context whose fragments
share a class are connected (a hub), since classes are transitive. A query is covered if a chain of hubs leads from it
to a hub that holds an observed row. The search starts at the queries and stops at the first such hub, so the graph over
all inputs is never built.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .observations import IntArray, Observations, Subset, context_of, find_keys, row_keys
from .pairs import Pairs

Keys = NDArray[Any]
Flags = NDArray[np.bool_]


class Linkage:
    """Classes of the fragments of one subset under the closure of k-equivalence, for falling k from `largest_k`."""

    def __init__(self, pairs: Pairs, largest_k: int) -> None:
        equivalent = pairs.disagree == 0
        self.pairs = pairs
        self._left, self._right = pairs.left[equivalent], pairs.right[equivalent]
        self._evidence = np.minimum(pairs.agree[equivalent], largest_k)
        self.labels: IntArray = np.arange(len(pairs.fragments))
        """[F] class of each fragment."""

    def join(self, k: int) -> bool:
        """Join the classes of pairs with evidence k, for falling k; returns whether there were any."""
        new = self._evidence == k
        if not new.any():
            return False
        left, right = self.labels[self._left[new]], self.labels[self._right[new]]
        self.labels = components(self.labels.max() + 1, left, right)[self.labels]
        return True


def components(vertices: int, left: IntArray, right: IntArray) -> IntArray:
    """Component of each vertex of a graph given by its edges; [vertices]."""
    cells = (np.ones(len(left), np.int8), (left, right))
    return connected_components(coo_array(cells, shape=(vertices, vertices)), directed=False)[1].astype(np.int64)


class Hubs:
    """The hubs of one subset at one k, those of classes with more than one fragment.

    The sizes are those of observations and queries together.
    """

    def __init__(self, observations: Observations, linkage: Linkage, sizes: Sequence[int]) -> None:
        self.subset: Subset = linkage.pairs.subset
        self._context = context_of(self.subset, observations.slots)
        self._sizes = sizes
        self._fragments = linkage.pairs.fragments
        self._labels = linkage.labels
        self._fragment_keys = row_keys(self._fragments, [sizes[slot] for slot in self.subset])
        self._order = np.argsort(linkage.labels, kind="stable")
        self.members = np.bincount(linkage.labels)
        self._starts = np.cumsum(self.members) - self.members
        self.observed: Keys = np.unique(self.of(observations.inputs)[1])
        """Keys of the hubs that hold an observed row."""

    def of(self, inputs: IntArray) -> tuple[IntArray, Keys]:
        """Indices of the inputs that lie in a hub, and the keys of their hubs."""
        label = self._label(inputs)
        inside = np.flatnonzero(label >= 0)
        table = np.column_stack((label[inside], inputs[inside][:, self._context]))
        # There are at most as many classes as possible fragments, so these keys fit if those of the inputs do.
        return inside, row_keys(table, [len(self.members), *(self._sizes[slot] for slot in self._context)])

    def size(self, inputs: IntArray) -> int:
        """Number of inputs that `expand` returns."""
        return int(self.members[self._label(inputs)].sum())

    def expand(self, inputs: IntArray) -> tuple[IntArray, IntArray]:
        """All inputs of the hubs of the given inputs, each of which lies in one, and the index of its origin."""
        label = self._label(inputs)
        counts = self.members[label]
        origin = np.repeat(np.arange(len(inputs)), counts)
        within = np.arange(len(origin)) - np.repeat(np.cumsum(counts) - counts, counts)
        found = inputs[origin]
        found[:, self.subset] = self._fragments[self._order[np.repeat(self._starts[label], counts) + within]]
        return found, origin

    def _label(self, inputs: IntArray) -> IntArray:
        """Class of each input's fragment; -1 if it was never observed or is alone in its class."""
        keys = row_keys(inputs[:, self.subset], [self._sizes[slot] for slot in self.subset])
        fragment = find_keys(keys, self._fragment_keys)
        label = self._labels[fragment]
        return np.where((fragment >= 0) & (self.members[label] > 1), label, -1)


@dataclass
class Explored:
    """The explored part of the graph.

    Attributes:
        inputs: [V, slots] vertices, the queries first.
        left, right: Ends of the edges, in parts; both ends of an edge lie in one hub.
        visited: Keys of the visited hubs of each subset; none holds an observed row.
        touching: [V] the vertex lies in a hub that holds an observed row.
        frontier: Vertices to continue from; after a stopped search, those it may not have continued from.
    """

    inputs: IntArray
    keys: Keys
    left: list[IntArray]
    right: list[IntArray]
    visited: list[Keys]
    touching: Flags
    frontier: IntArray
    stopped: bool = False

    def components(self) -> IntArray:
        """[V] component of each vertex."""
        return components(len(self.inputs), np.concatenate(self.left), np.concatenate(self.right))

    def add(self, inputs: IntArray, keys: Keys) -> IntArray:
        """Add inputs, known or new; returns their positions."""
        unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        order = np.argsort(self.keys, kind="stable")
        place = find_keys(unique, self.keys[order])
        new = place < 0
        where = np.where(new, np.cumsum(new) - 1 + len(self.keys), order[place])
        self.inputs = np.concatenate((self.inputs, inputs[first[new]]))
        self.keys = np.concatenate((self.keys, unique[new]))
        self.touching = np.concatenate((self.touching, np.zeros(int(new.sum()), bool)))
        return where[inverse]


def search(hubs: Sequence[Hubs], queries: IntArray, sizes: Sequence[int], most: int) -> tuple[Flags, Flags]:
    """Which queries are connected to the observed set, and which are undecided because of the bound.

    `hubs` are those of each subset at one k, `queries` distinct unobserved inputs, [Q, slots], `sizes` the numbers of
    values of the slots, and `most` bounds the vertices visited besides the queries.
    """
    seen = explore(hubs, queries, sizes, most)
    component = seen.components()
    found = np.isin(component[: len(queries)], component[seen.touching])
    if not seen.stopped:
        return found, np.zeros(len(queries), bool)
    return found, ~found & np.isin(component[: len(queries)], component[seen.frontier])


def explore(hubs: Sequence[Hubs], queries: IntArray, sizes: Sequence[int], most: int) -> Explored:
    """Explore from the queries until each component touches the observed set or is complete; arguments as `search`."""
    none: IntArray = np.zeros(0, np.int64)
    start = np.arange(len(queries))
    keys = row_keys(queries, sizes)
    visited = [hub.observed[:0] for hub in hubs]
    seen = Explored(queries, keys, [none], [none], visited, np.zeros(len(queries), bool), start)
    while len(seen.frontier) and not seen.stopped:
        known = len(seen.inputs)
        for index, hub in enumerate(hubs):
            _step(seen, index, hub, sizes, most + len(queries))
        component = seen.components()
        reached = np.bincount(component, weights=seen.touching) > 0
        new = np.arange(known, len(seen.inputs))
        if seen.stopped:
            seen.frontier = np.concatenate((seen.frontier, new))
        else:
            seen.frontier = new[~reached[component[new]]]
    return seen


def _step(seen: Explored, index: int, hub: Hubs, sizes: Sequence[int], most: int) -> None:
    """Expand the frontier through the hubs of one subset, unless that takes too many vertices."""
    inside, keys = hub.of(seen.inputs[seen.frontier])
    touches = find_keys(keys, hub.observed) >= 0
    seen.touching[seen.frontier[inside[touches]]] = True
    keys, first = np.unique(keys[~touches], return_index=True)
    new = find_keys(keys, seen.visited[index]) < 0
    origins = seen.frontier[inside[~touches][first[new]]]
    if not len(origins):
        return
    if len(seen.inputs) + hub.size(seen.inputs[origins]) > most:
        seen.stopped = True
        return
    seen.visited[index] = np.sort(np.concatenate((seen.visited[index], keys[new])))
    inputs, origin = hub.expand(seen.inputs[origins])
    seen.left.append(origins[origin])
    seen.right.append(seen.add(inputs, row_keys(inputs, sizes)))
