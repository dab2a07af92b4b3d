"""Candidate rows that would settle requests of one output, from a pool or to be written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..coverage.observations import Subset, context_of
from .components import Component
from .read.slot_rows import Table
from .routes import Router, swapped
from .slot_analysis import Analysis
from .statuses import NEW, UNCOVERED, WEAK

Fragment = tuple[int, ...]
Key = tuple[int, Subset, Fragment, Fragment]
"""A missing substitution: component, positions, their values in the rows to add, and in the observed row.

For a single missing row: all positions, and no values of an observed row."""

MOST_ROUTES = 8
"""Substitutions considered for one request, cheapest first."""


@dataclass(frozen=True)
class Addition:
    """A row to add.

    Attributes:
        source: The row's values at `subset`.
        target: The template's values there.
        subset: Positions of these values, among the relevant slots.
        values: [slots of the schema] codes of the row's slots.
        pool: Such a row of the pool, None without a pool.
    """

    component: int
    source: Fragment
    target: Fragment
    subset: Subset
    values: tuple[int, ...]
    template: int
    label: int
    pool: int | None = None

    @property
    def row(self) -> tuple[int, ...]:
        """What makes two additions the same row."""
        return self.values if self.pool is None else (self.pool,)


@dataclass
class Gap:
    """Evidence that a substitution lacks.

    Attributes:
        usable: Contexts that an added row may have, with the output that it must have there.
        waiting: Indices of the requests that the substitution would settle.
    """

    missing: int
    usable: dict[Fragment, int]
    waiting: set[int] = field(default_factory=set)


class CandidateRows:
    """Rows that could be added for one output; `used` holds pool rows that are already chosen."""

    def __init__(self, found: Analysis, place: int, pool: Table | None, used: set[int]) -> None:
        self.found, self.place = found, place
        self.component: Component = found.components[place]
        self.pool = self._pooled(pool) if pool is not None else None
        self.pool_table, self.used = pool, used
        self.queries = [tuple(values) for values in self.component.project(found.test.inputs).tolist()]
        self.tests = set(self.queries)
        self.router = Router(self.component)
        self.contexts = {subset: self._contexts(subset) for subset in self.component.subsets}

    def _contexts(self, subset: Subset) -> tuple[dict[Fragment, dict[Fragment, int]], dict[Fragment, set[Fragment]]]:
        """Of inputs with a clear output: fragment to context to output, and context to fragments."""
        settled, observations = self.component.settled, self.component.settled.observations
        rest = context_of(subset, observations.slots)
        forward: dict[Fragment, dict[Fragment, int]] = defaultdict(dict)
        back: dict[Fragment, set[Fragment]] = defaultdict(set)
        inputs, outputs = (part[~settled.unclear].tolist() for part in (observations.inputs, observations.outputs))
        for values, label in zip(inputs, outputs, strict=True):
            fragment, context = tuple(values[i] for i in subset), tuple(values[i] for i in rest)
            forward[fragment][context] = label
            back[context].add(fragment)
        return forward, back

    def _pooled(self, pool: Table) -> dict[tuple[Fragment, int], list[int]]:
        rows: dict[tuple[Fragment, int], list[int]] = defaultdict(list)
        taken = set(self.found.test.ids) | set(self.found.train.ids)
        outputs = pool.outputs[:, self.component.output].tolist()
        for row, values in enumerate(self.component.project(pool.inputs).tolist()):
            if pool.ids[row] not in taken:
                rows[tuple(values), outputs[row]].append(row)
        return rows

    def gaps(self) -> dict[Key, Gap]:
        """Substitutions that would settle requests of this output, with what they lack."""
        status = self.found.statuses[:, self.place]
        wanted = self.found.test.outputs[:, self.component.output].tolist()
        open_rows: dict[tuple[Fragment, int], set[int]] = defaultdict(set)
        for row in np.flatnonzero(np.isin(status, (WEAK, UNCOVERED, NEW))).tolist():
            if wanted[row] >= 0:
                open_rows[self.queries[row], wanted[row]].add(row)
        gaps: dict[Key, Gap] = {}
        for (query, label), rows in open_rows.items():
            found = [*self._single_rows(query, label), *self._candidates(query, label)]
            for key, gap in sorted(found, key=lambda item: item[1].missing)[:MOST_ROUTES]:
                gaps.setdefault(key, gap).waiting |= rows
        return gaps

    def _candidates(self, query: Fragment, label: int) -> Iterable[tuple[Key, Gap]]:
        slots = self.component.settled.observations.slots
        for subset in self.component.subsets:
            forward, back = self.contexts[subset]
            rest = context_of(subset, slots)
            source, context = tuple(query[i] for i in subset), tuple(query[i] for i in rest)
            own = forward.get(source, {})
            for target in back.get(context, ()):
                theirs = forward[target]
                if target == source or theirs[context] != label:
                    continue
                shared = own.keys() & theirs.keys()
                if any(own[c] != theirs[c] for c in shared):
                    continue
                usable = {
                    c: theirs[c] for c in theirs if c not in own and self._available(subset, source, c, theirs[c])
                }
                missing = self.component.k - len(shared)
                if 0 < missing <= len(usable):
                    yield (self.place, subset, source, target), Gap(missing, usable)

    def _single_rows(self, query: Fragment, label: int) -> Iterable[tuple[Key, Gap]]:
        """Unobserved rows that one substitution with enough evidence leads to."""
        whole = tuple(range(len(query)))
        for subset in self.component.subsets:
            for target, agree, _ in self.router.neighbours[subset].of(tuple(query[i] for i in subset)):
                landing = swapped(query, subset, target)
                if agree < self.component.k or landing in self.component.place:
                    continue
                if self._available(whole, landing, (), label):
                    yield (self.place, whole, landing, ()), Gap(1, {(): label})

    def _available(self, subset: Subset, source: Fragment, context: Fragment, label: int) -> bool:
        values = self._joined(subset, source, context)
        if values in self.tests:
            return False
        return self.pool is None or bool(self.pool.get((values, label)))

    def _joined(self, subset: Subset, fragment: Fragment, context: Fragment) -> Fragment:
        slots = self.component.settled.observations.slots
        values = [0] * slots
        for position, value in zip((*subset, *context_of(subset, slots)), (*fragment, *context), strict=True):
            values[position] = value
        return tuple(values)

    def addition(self, subset: Subset, source: Fragment, target: Fragment, context: Fragment, label: int) -> Addition:
        """The row for one context: a training row with other values, or the most similar row of the pool."""
        train = self.found.train
        template = self._template(subset, source, target, context)
        positions = tuple(self.component.slots[i] for i in subset)
        values = swapped(train.inputs[template].tolist(), positions, source)
        shown = tuple(train.inputs[template, list(positions)].tolist())
        pooled = None
        if self.pool is not None and self.pool_table is not None:
            rows = self.pool[self._joined(subset, source, context), label]
            # Prefer a row that is already chosen for another output.
            similar = (self.pool_table.inputs[rows] == np.array(values)).sum(axis=1)
            pooled = max(zip(rows, similar, strict=True), key=lambda pair: (pair[0] in self.used, pair[1]))[0]
            self.used.add(pooled)
            values = tuple(self.pool_table.inputs[pooled].tolist())
        return Addition(self.place, source, shown, subset, values, template, label, pooled)

    def _template(self, subset: Subset, source: Fragment, target: Fragment, context: Fragment) -> int:
        """The training row with `target` in this context; for a single row, the most similar training row."""
        component = self.component
        if target:
            observed = component.place[self._joined(subset, target, context)]
            return int(component.rows[component.settled.rows[observed][0]])
        like = (component.project(self.found.train.inputs[component.rows]) == np.array(source)).sum(axis=1)
        return int(component.rows[int(like.argmax())])
