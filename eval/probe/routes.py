"""Direct routes: one substitution from a request into an observed input, with its evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..coverage.observations import Subset
from ..coverage.pairs import Pairs
from .components import Component
from .noise import equivalent


@dataclass(frozen=True)
class Route:
    """A substitution from a query into an observed input.

    Attributes:
        source, target: Values there, of the query and of the observed input.
        agree, disagree: Shared contexts with equal and unequal outputs.
    """

    subset: Subset
    source: tuple[int, ...]
    target: tuple[int, ...]
    agree: int
    disagree: int
    landing: int
    label: int


class Neighbours:
    """Fragments of one subset that are equivalent at evidence 1, by fragment."""

    def __init__(self, pairs: Pairs, agreement: float | None) -> None:
        kept = equivalent(pairs.agree, pairs.disagree, 1, agreement)
        left, right = pairs.left[kept], pairs.right[kept]
        ends, others = np.concatenate([left, right]), np.concatenate([right, left])
        order = np.argsort(ends, kind="stable")
        self._starts = np.searchsorted(ends[order], np.arange(len(pairs.fragments) + 1))
        self._others = others[order]
        self._agree = np.concatenate([pairs.agree[kept]] * 2)[order]
        self._disagree = np.concatenate([pairs.disagree[kept]] * 2)[order]
        self.fragments = [tuple(values) for values in pairs.fragments.tolist()]
        self._place = {values: place for place, values in enumerate(self.fragments)}

    def of(self, fragment: tuple[int, ...]) -> list[tuple[tuple[int, ...], int, int]]:
        """Equivalent fragments with the numbers of agreements and disagreements."""
        place = self._place.get(fragment)
        if place is None:
            return []
        span = slice(self._starts[place], self._starts[place + 1])
        found = zip(self._others[span].tolist(), self._agree[span].tolist(), self._disagree[span].tolist(), strict=True)
        return [(self.fragments[other], agree, disagree) for other, agree, disagree in found]


@dataclass(frozen=True)
class Router:
    """Finds the routes of a component's queries."""

    component: Component

    @cached_property
    def neighbours(self) -> dict[Subset, Neighbours]:
        """Equivalent fragments of each subset."""
        return {s: Neighbours(pairs, self.component.agreement) for s, pairs in self.component.pairs.items()}

    def routes(self, query: Sequence[int]) -> list[Route]:
        """Routes into inputs with a clear output, most agreements first."""
        found = []
        observations, unclear = self.component.settled.observations, self.component.settled.unclear
        for subset in self.component.subsets:
            source = tuple(query[i] for i in subset)
            for target, agree, disagree in self.neighbours[subset].of(source):
                landing = self.component.place.get(swapped(query, subset, target))
                if landing is not None and not unclear[landing]:
                    label = int(observations.outputs[landing])
                    found.append(Route(subset, source, target, agree, disagree, landing, label))
        return sorted(found, key=lambda route: (-route.agree, route.subset, route.target))

    def witnesses(self, route: Route, limit: int = 3) -> list[tuple[int, int]]:
        """Pairs of observed inputs that differ only in the substitution and have equal outputs."""
        inputs, outputs = self.component.settled.observations.inputs, self.component.settled.observations.outputs
        rows = np.flatnonzero((inputs[:, route.subset] == np.array(route.source)).all(axis=1))
        found = []
        for row in rows.tolist():
            other = self.component.place.get(swapped(inputs[row].tolist(), route.subset, route.target))
            if other is not None and outputs[other] == outputs[row]:
                found.append((row, other))
        return found[:limit]


def swapped(query: Sequence[int], subset: Subset, values: Sequence[int]) -> tuple[int, ...]:
    """A query with other values at some positions."""
    changed = list(query)
    for position, value in zip(subset, values, strict=True):
        changed[position] = value
    return tuple(changed)


def voted(routes: Sequence[Route], agreement: float) -> tuple[int, int] | None:
    """The output that routes agree on, with its best evidence; None where they conflict.

    A route has one vote for each agreement, and the winner needs a share of `agreement` of all votes.
    """
    votes: Counter[int] = Counter()
    for route in routes:
        votes[route.label] += route.agree
    best, most = votes.most_common(1)[0]
    if most < agreement * votes.total():
        return None
    return best, max(route.agree for route in routes if route.label == best)
