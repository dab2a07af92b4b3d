"""Why a query has its verdict: the rows that witness each substitution, or the evidence that is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .determined import Classes, Determined, determine
from .observations import IntArray, Observations, Subset, as_queries
from .pairs import DEFAULT_CAPS, Caps, PairsBySubset, pairs_of
from .search import Hubs, Linkage, components, explore
from .witnesses import Attempt, Graph, Side, Step

Mode = Literal["definition", "determined"]
Verdict = Literal["seen", "covered", "determined", "ambiguous", "new-primitive", "uncovered"]


@dataclass(frozen=True)
class Explanation:
    """A verdict on one query.

    Attributes:
        verdict: `seen`; `covered` or `determined` (by mode); `ambiguous` (determined coverage: subsets give different
            outputs); `new-primitive` (a slot's value was never observed, or no fragment of the query that could be
            replaced at this k was); else `uncovered`.
        label: The output that follows, None if none does. In mode `definition` it is the output of `row`, and another
            path may give another one: covered does not mean determined.
        against: For an ambiguous query, an explanation of each output.
        missing: For a query that is not reached, the best attempt of each subset, best first.
        stopped: The closure search hit `Caps.vertices`, so an `uncovered` query may in fact be covered.
    """

    verdict: Verdict
    label: int | None = None
    row: int | None = None
    steps: tuple[Step, ...] = ()
    against: tuple[Explanation, ...] = ()
    missing: tuple[Attempt, ...] = ()
    stopped: bool = False


def explain(
    observations: Observations,
    query: ArrayLike,
    k: int,
    mode: Mode = "determined",
    subsets: Sequence[Subset] | None = None,
    **options: Any,
) -> Explanation:
    """Explain the verdict on one query, [slots] codes; the other arguments are those of `Explainer`."""
    return Explainer(observations, k, mode, subsets, **options)(query)


class Explainer:
    """Explains verdicts on the same observations, by the closure of the definition or by determined coverage.

    `subsets` are by default all proper ones; `pairs` and `determined` are results of the same observations and
    settings.
    """

    def __init__(
        self,
        observations: Observations,
        k: int,
        mode: Mode = "determined",
        subsets: Sequence[Subset] | None = None,
        *,
        pairs: PairsBySubset | None = None,
        determined: Determined | None = None,
        caps: Caps = DEFAULT_CAPS,
    ) -> None:
        self._observations, self._mode, self._caps = observations, mode, caps
        self._rows = {tuple(row): index for index, row in enumerate(observations.inputs.tolist())}
        # One extra code per slot stands for every value that was never observed.
        self._sizes = [size + 1 for size in observations.sizes]
        self._classes = self._links(k, subsets, pairs, determined)
        self._sides = {subset: Side(observations, subset) for subset in self._classes}
        self._hubs = [self._hub(found) for found in self._classes.values()] if mode == "definition" else []
        self._graphs = {s: Graph(len(found.fragments), found.left, found.right) for s, found in self._classes.items()}

    def _hub(self, links: Classes) -> Hubs:
        linkage = Linkage(links, 1)
        linkage.join(1)
        return Hubs(self._observations, linkage, self._sizes)

    def _links(
        self, k: int, subsets: Sequence[Subset] | None, pairs: PairsBySubset | None, determined: Determined | None
    ) -> dict[Subset, Classes]:
        """Substitutions of each subset: the joins of determined coverage, or the k-equivalent pairs."""
        observations = self._observations
        if self._mode == "determined":
            if determined is None:
                determined = determine(observations, observations.inputs[:0], k, subsets, pairs=pairs, caps=self._caps)
            return dict(determined.classes)
        links = {}
        for subset, found in pairs_of(observations, subsets, pairs, self._caps).items():
            kept = (found.agree >= k) & (found.disagree == 0)
            ends, counts = (found.left[kept], found.right[kept]), (found.agree[kept], found.disagree[kept])
            labels = components(len(found.fragments), *ends)
            links[subset] = Classes(subset, found.fragments, *ends, *counts, labels=labels)
        return links

    def __call__(self, query: ArrayLike) -> Explanation:
        """Explain one query, [slots] codes."""
        vertex = as_queries(np.asarray(query)[None], self._observations)[0]
        row = self._rows.get(tuple(vertex.tolist()))
        if row is not None:
            return Explanation("seen", self._label(row), row)
        vertex = np.minimum(vertex, self._observations.sizes)
        return self._determined(vertex) if self._mode == "determined" else self._covered(vertex)

    def _label(self, row: int) -> int:
        return int(self._observations.outputs[row])

    def _determined(self, vertex: IntArray) -> Explanation:
        """One substitution into a row for each subset, along the joins."""
        paths = [path for subset in self._sides for path in self._into_row(vertex, subset)]
        if not paths:
            return self._missing(vertex)
        by_label = {path.label: path for path in sorted(paths, key=_weakest)}
        if len(by_label) > 1:
            return Explanation("ambiguous", against=tuple(by_label.values()))
        return max(paths, key=_weakest)

    def _covered(self, vertex: IntArray) -> Explanation:
        """A chain of substitutions into a row."""
        seen = explore(self._hubs, vertex[None], self._sizes, self._caps.vertices)
        graph = Graph(len(seen.inputs), np.concatenate(seen.left), np.concatenate(seen.right))
        route = graph.path(0, seen.touching)
        if route is None:
            return self._missing(vertex, seen.stopped)
        vertices = seen.inputs[route]
        steps = [step for pair in pairwise(vertices) for step in self._within_hub(*pair)]
        ends = [path for subset in self._sides for path in self._into_row(vertices[-1], subset)]
        last = min(ends, key=lambda path: len(path.steps))
        return Explanation("covered", last.label, last.row, (*steps, *last.steps))

    def _within_hub(self, source: IntArray, target: IntArray) -> list[Step]:
        """Substitutions between two inputs of one hub."""
        for subset, side in self._sides.items():
            same_context = (source[list(side.context)] == target[list(side.context)]).all()
            first, second = side.index(source), side.index(target)
            labels = self._classes[subset].labels
            if same_context and min(first, second) >= 0 and labels[first] == labels[second]:
                return self._steps(subset, first, np.arange(len(labels)) == second)[1]
        raise AssertionError("two inputs of an explored edge share no hub")

    def _into_row(self, vertex: IntArray, subset: Subset) -> list[Explanation]:
        """The best substitution of one subset from an input into an observed row, if there is one.

        In determined coverage the best has the strongest weakest join, otherwise it is the shortest.
        """
        side, labels = self._sides[subset], self._classes[subset].labels
        start = side.index(vertex)
        rows = side.rows_in_context(vertex)
        rows = rows[labels[side.fragment[rows]] == labels[start]] if start >= 0 else rows[:0]
        groups = rows[:, None] if self._mode == "determined" else rows[None]
        paths = []
        for group in groups if len(rows) else ():
            goal = np.zeros(len(labels), bool)
            goal[side.fragment[group]] = True
            fragments, steps = self._steps(subset, start, goal)
            row = int(group[side.fragment[group] == fragments[-1]][0])
            paths.append(Explanation("determined", self._label(row), row, tuple(steps)))
        return [max(paths, key=_weakest)] if paths else []

    def _steps(self, subset: Subset, start: int, goal: NDArray[np.bool_]) -> tuple[list[int], list[Step]]:
        """Fragments and substitutions along the links of a subset, from a fragment to the nearest goal."""
        path = self._graphs[subset].path(start, goal)
        assert path is not None, "fragments of one class are linked"
        return path, [self._step(subset, source, target) for source, target in pairwise(path)]

    def _step(self, subset: Subset, source: int, target: int) -> Step:
        links, side = self._classes[subset], self._sides[subset]
        here = (links.left == source) & (links.right == target) | (links.left == target) & (links.right == source)
        link = int(np.flatnonzero(here)[0])
        sources, targets = np.array([source]), np.array([target])
        if self._mode == "determined":
            before = components(len(links.fragments), links.left[:link], links.right[:link])
            sources, targets = (np.flatnonzero(before == before[end]) for end in (source, target))
        witnesses = side.witnesses(sources.tolist(), targets.tolist())
        before_it, after_it = (tuple(links.fragments[end].tolist()) for end in (source, target))
        return Step(subset, before_it, after_it, int(links.agree[link]), witnesses)

    def _missing(self, vertex: IntArray, stopped: bool = False) -> Explanation:
        """The best attempt of each subset."""
        attempts = [side.attempt(vertex) for side in self._sides.values()]
        attempts.sort(key=lambda found: (found.disagree > 0, -found.agree, -found.seen))
        inputs = self._observations.inputs
        unknown = any(value not in inputs[:, slot] for slot, value in enumerate(vertex.tolist()))
        usable = [a for a in attempts if len(self._classes[a.subset].left)]
        new = unknown or (bool(usable) and not any(attempt.seen for attempt in usable))
        return Explanation("new-primitive" if new else "uncovered", missing=tuple(attempts), stopped=stopped)


def _weakest(path: Explanation) -> int:
    return min(step.evidence for step in path.steps)
