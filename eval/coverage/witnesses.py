"""Rows that witness a substitution, found by context."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

from .observations import IntArray, Observations, Subset, context_of, find_keys, row_keys


@dataclass(frozen=True)
class Step:
    """One substitution on the way from the query to an observed row.

    Attributes:
        source, target: Values before and after.
        evidence: Shared contexts, all with equal output; in determined coverage, those of the classes of source and
            target when they were joined.
        witnesses: For each of these contexts a pair of rows (indices into `Observations.inputs`), one of the source's
            and one of the target's side, equal in context and output.
    """

    subset: Subset
    source: tuple[int, ...]
    target: tuple[int, ...]
    evidence: int
    witnesses: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Attempt:
    """The best substitution that one subset offers for a query that is not reached.

    Attributes:
        seen: Rows that have the fragment; with 0, the data say nothing about it.
        target: The most similar fragment observed in the query's context: first one that never disagrees, then one
            that agrees most. None if no row has the context, or none of these fragments ever agrees.
        agree, disagree: Shared contexts of fragment and target with equal and unequal outputs.
    """

    subset: Subset
    fragment: tuple[int, ...]
    seen: int
    target: tuple[int, ...] | None = None
    row: int | None = None
    agree: int = 0
    disagree: int = 0


class Side:
    """The observations by fragment and context of one subset."""

    def __init__(self, observations: Observations, subset: Subset) -> None:
        self.subset = subset
        self.context = context_of(subset, observations.slots)
        self._outputs = observations.outputs
        self._fragments = _Lookup(observations.inputs[:, subset], [observations.sizes[slot] for slot in subset])
        self._contexts = _Lookup(observations.inputs[:, self.context], [observations.sizes[s] for s in self.context])
        self.fragment = self._fragments.number
        """[rows] which fragment each row carries, in lexicographic order of the fragments."""

    def index(self, vertex: IntArray) -> int:
        """Number of the fragment of an input, -1 if it was never observed."""
        return self._fragments.find(vertex[list(self.subset)])

    def rows_in_context(self, vertex: IntArray) -> IntArray:
        """Rows that have an input's context."""
        context = self._contexts.find(vertex[list(self.context)])
        return self._contexts.rows([context] if context >= 0 else [])

    def witnesses(self, sources: Iterable[int], targets: Iterable[int]) -> tuple[tuple[int, int], ...]:
        """Pairs of rows of source and target fragments with equal context and output, one pair for each context."""
        first = self._by_context(sources)
        second = self._by_context(targets)
        shared = sorted(first.keys() & second.keys())
        return tuple(
            (first[context], second[context])
            for context in shared
            if self._outputs[first[context]] == self._outputs[second[context]]
        )

    def attempt(self, vertex: IntArray) -> Attempt:
        """The best substitution of an input's fragment by one that was observed in its context."""
        values = tuple(vertex[list(self.subset)].tolist())
        number = self._fragments.find(vertex[list(self.subset)])
        own = self._by_context([number]) if number >= 0 else {}
        best = Attempt(self.subset, values, len(own))
        if not own:
            return best
        # Rows that share a context with the fragment, and whether they agree with it there.
        rows = self._contexts.rows(own)
        equal = self._outputs[rows] == self._outputs[[own[c] for c in self._contexts.number[rows].tolist()]]
        fragments = self.fragment[rows]
        agree = np.bincount(fragments[equal], minlength=self._fragments.count)
        disagree = np.bincount(fragments[~equal], minlength=self._fragments.count)
        for row in self.rows_in_context(vertex).tolist():
            target = int(self.fragment[row])
            found = (int(agree[target]), int(disagree[target]))
            if found[0] and _preference(*found) > _preference(best.agree, best.disagree):
                best = Attempt(self.subset, values, len(own), self._fragments.values(target), row, *found)
        return best

    def _by_context(self, fragments: Iterable[int]) -> dict[int, int]:
        """For each context of some fragments, the first row that has it."""
        rows = np.sort(self._fragments.rows(fragments))[::-1]
        return dict(zip(self._contexts.number[rows].tolist(), rows.tolist(), strict=True))


def _preference(agree: int, disagree: int) -> tuple[bool, int, int]:
    """Order of attempts: never disagreeing, then more agreement, then less disagreement."""
    return (agree > 0 and not disagree, agree, -disagree)


class _Lookup:
    """Distinct rows of a table, numbered in lexicographic order."""

    def __init__(self, table: IntArray, sizes: list[int]) -> None:
        self._table, self._sizes = table, sizes
        self._keys, self._first, self.number = np.unique(row_keys(table, sizes), return_index=True, return_inverse=True)
        self._order = np.argsort(self.number, kind="stable")
        self._starts = np.searchsorted(self.number[self._order], np.arange(self.count + 1))

    @property
    def count(self) -> int:
        """How many distinct rows there are."""
        return len(self._keys)

    def find(self, values: IntArray) -> int:
        """Number of a row, -1 if it is not there."""
        if (values >= self._sizes).any():
            return -1
        return int(find_keys(row_keys(values[None], self._sizes), self._keys)[0])

    def values(self, number: int) -> tuple[int, ...]:
        """The row with a number."""
        return tuple(self._table[self._first[number]].tolist())

    def rows(self, numbers: Iterable[int]) -> IntArray:
        """Indices of the table's rows with some numbers."""
        parts = [self._order[self._starts[number] : self._starts[number + 1]] for number in numbers]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)


class Graph:
    """An undirected graph, for shortest paths; left and right are the ends of its edges."""

    def __init__(self, vertices: int, left: IntArray, right: IntArray) -> None:
        ends = (np.concatenate((left, right)), np.concatenate((right, left)))
        self._matrix = csr_array((np.ones(len(ends[0]), np.int8), ends), shape=(vertices, vertices))

    def path(self, start: int, targets: NDArray[np.bool_]) -> list[int] | None:
        """Vertices of a shortest path from start to a target, None if no target can be reached."""
        order, before = breadth_first_order(self._matrix, start, directed=True)
        reached = order[targets[order]]
        if not len(reached):
            return None
        path = [int(reached[0])]
        while path[-1] != start:
            path.append(int(before[path[-1]]))
        return path[::-1]
