"""The cheapest rows that would pin down more requests: shared contexts for the substitutions that lack evidence.

A request that is weak, uncovered or new lacks evidence for some substitution x_I -> y_I whose other side, (y_I, rest),
was observed with the right output. Each row (x_I, c), for a context c in which y_I was observed, is one more shared
context. Rows are chosen greedily by requests settled per row, and one row may serve many substitutions of x_I.
Requests' own inputs are never proposed: that would be training on the test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..coverage.observations import Subset
from .analysis import Analysis
from .components import Component
from .routes import swapped
from .rows import NO_OUTPUT, Table
from .statuses import NEW, UNCOVERED, WEAK

Fragment = tuple[int, ...]
Key = tuple[int, Subset, Fragment, Fragment]
"""A substitution: component, positions, values of the requests, values of what was observed."""

MOST_ROUTES = 8
"""Substitutions looked at for one request, cheapest first."""


@dataclass(frozen=True)
class Addition:
    """A row to add.

    Attributes:
        component: Index of the output that it is for.
        source: Values of the requests, over the slots of `subset`.
        target: Values that behave like them, as far as known.
        subset: Positions of these values, among the slots that count for the output.
        values: [slots of the schema] codes of the row's slots.
        template: Training row that has `target` in this context.
        label: Code of the output that the row should have.
        pool: Row of the pool that is such a row, None without one.
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
class _Need:
    """A substitution with requests that wait for it."""

    missing: int
    usable: dict[Fragment, int]
    waiting: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Plan:
    """Rows to add, in the order of their use.

    Attributes:
        additions: The rows.
        before: Verdicts as they are.
        after: Verdicts with the rows added; of proposed rows, only the output that they are for is known.
    """

    additions: tuple[Addition, ...]
    before: Analysis
    after: Analysis

    def control(self, pool: Table, seed: int = 0) -> list[int]:
        """As many rows of the pool drawn at random, none of a training row or request: what the plan has to beat."""
        taken = set(self.before.test.ids) | set(self.before.train.ids)
        free = [row for row, name in enumerate(pool.ids) if name not in taken]
        size = len({addition.pool for addition in self.additions})
        return sorted(np.random.default_rng(seed).permutation(free)[:size].tolist())


def plan(found: Analysis, rows: int, pool: Table | None = None) -> Plan:
    """Choose at most `rows` rows to add.

    Args:
        found: Training rows against requests.
        rows: How many rows may be added.
        pool: Rows to choose from, read together with both; None proposes rows to be written.
    """
    used: set[int] = set()
    shelves = [_Shelf(found, place, pool, used) for place in range(len(found.components))]
    needs: dict[Key, _Need] = {}
    for shelf in shelves:
        needs.update(shelf.needs())
    chosen: list[Addition] = []
    while (used := len({addition.row for addition in chosen})) < rows:
        key = _best(needs, rows - used)
        if key is None:
            break
        chosen += _fill(key, needs, shelves[key[0]])
    return Plan(tuple(chosen), found, _with(found, chosen, pool))


def _best(needs: dict[Key, _Need], left: int) -> Key | None:
    """The substitution with most waiting requests per row, that the rows left suffice for."""
    best, most = None, 0.0
    for key, need in needs.items():
        if need.waiting and 0 < need.missing <= min(left, len(need.usable)):
            worth = len(need.waiting) / need.missing
            if worth > most:
                best, most = key, worth
    return best


def _fill(key: Key, needs: dict[Key, _Need], shelf: _Shelf) -> list[Addition]:
    """Rows for one substitution, in the contexts that serve most others too."""
    place, subset, source, target = key
    siblings = [other for other in needs if other[:3] == key[:3] and needs[other].waiting]
    usable = needs[key].usable
    worth = {
        context: sum(context in needs[other].usable and needs[other].usable[context] == label for other in siblings)
        for context, label in usable.items()
    }
    contexts = sorted(usable, key=lambda context: (-worth[context], context))[: needs[key].missing]
    labels = {context: usable[context] for context in contexts}
    made = [shelf.addition(subset, source, target, context, label) for context, label in labels.items()]
    for other in [name for name in needs if name[:3] == key[:3]]:
        for context, label in labels.items():
            other_label = needs[other].usable.pop(context, None)
            if other_label is None:
                continue
            # Another output in this context would part the two: the substitution is of no use then.
            needs[other].missing = needs[other].missing - 1 if other_label == label else len(needs[other].usable) + 1
    settled = {(place, row) for name in siblings if needs[name].missing <= 0 for row in needs[name].waiting}
    for name, need in needs.items():
        if name[0] == place:
            need.waiting -= {row for _, row in settled}
    return made


class _Shelf:
    """What one output's rows offer: contexts of each fragment, and rows of the pool by their values."""

    def __init__(self, found: Analysis, place: int, pool: Table | None, used: set[int]) -> None:
        self.found, self.place = found, place
        self.component: Component = found.components[place]
        self.pool = self._pooled(pool) if pool is not None else None
        self.pool_table = pool
        self.used = used
        tests = self.component.project(found.test.inputs).tolist()
        self.tests = {tuple(values) for values in tests}
        self.queries = [tuple(values) for values in tests]
        self.contexts = {subset: self._contexts(subset) for subset in self.component.subsets}

    def _contexts(self, subset: Subset) -> tuple[dict[Fragment, dict[Fragment, int]], dict[Fragment, set[Fragment]]]:
        """Fragment to context to output, and context to fragments, of inputs with a clear output."""
        settled = self.component.settled
        rest = _rest(subset, settled.observations.slots)
        forward: dict[Fragment, dict[Fragment, int]] = defaultdict(dict)
        back: dict[Fragment, set[Fragment]] = defaultdict(set)
        for row, (values, label) in enumerate(
            zip(settled.observations.inputs.tolist(), settled.observations.outputs.tolist(), strict=True)
        ):
            if not settled.unclear[row]:
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

    def needs(self) -> dict[Key, _Need]:
        """Substitutions that would settle requests of this output."""
        status = self.found.statuses[:, self.place]
        wanted = self.found.test.outputs[:, self.component.output].tolist()
        open_rows: dict[tuple[Fragment, int], set[int]] = defaultdict(set)
        for row in np.flatnonzero(np.isin(status, (WEAK, UNCOVERED, NEW))).tolist():
            if wanted[row] >= 0:
                open_rows[self.queries[row], wanted[row]].add(row)
        needs: dict[Key, _Need] = {}
        for (query, label), rows in open_rows.items():
            for key, need in sorted(self._candidates(query, label), key=lambda item: item[1].missing)[:MOST_ROUTES]:
                needs.setdefault(key, need).waiting |= rows
        return needs

    def _candidates(self, query: Fragment, label: int) -> Iterable[tuple[Key, _Need]]:
        slots = self.component.settled.observations.slots
        for subset in self.component.subsets:
            forward, back = self.contexts[subset]
            rest = _rest(subset, slots)
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
                    yield (self.place, subset, source, target), _Need(missing, usable)

    def _available(self, subset: Subset, source: Fragment, context: Fragment, label: int) -> bool:
        values = self._joined(subset, source, context)
        if values in self.tests:
            return False
        return self.pool is None or bool(self.pool.get((values, label)))

    def _joined(self, subset: Subset, fragment: Fragment, context: Fragment) -> Fragment:
        slots = self.component.settled.observations.slots
        values = [0] * slots
        for position, value in zip((*subset, *_rest(subset, slots)), (*fragment, *context), strict=True):
            values[position] = value
        return tuple(values)

    def addition(self, subset: Subset, source: Fragment, target: Fragment, context: Fragment, label: int) -> Addition:
        """The row for one context: a training row with other values, or the row of the pool most like that."""
        component, train = self.component, self.found.train
        observed = component.place[self._joined(subset, target, context)]
        template = int(component.rows[component.settled.rows[observed][0]])
        positions = tuple(component.slots[i] for i in subset)
        values = swapped(train.inputs[template].tolist(), positions, source)
        pooled = None
        if self.pool is not None and self.pool_table is not None:
            rows = self.pool[self._joined(subset, source, context), label]
            # A row that was chosen for another output serves this one too.
            alike = (self.pool_table.inputs[rows] == np.array(values)).sum(axis=1)
            pooled = max(zip(rows, alike, strict=True), key=lambda pair: (pair[0] in self.used, pair[1]))[0]
            self.used.add(pooled)
            values = tuple(self.pool_table.inputs[pooled].tolist())
        return Addition(self.place, source, target, subset, values, template, label, pooled)


def _with(found: Analysis, additions: Sequence[Addition], pool: Table | None) -> Analysis:
    """The analysis with the rows added: the same slots count and the same evidence is asked for."""
    if not additions:
        return found
    inputs = np.array([addition.values for addition in additions], dtype=np.int64)
    if pool is not None:
        outputs = pool.outputs[[addition.pool for addition in additions]]
        placed = tuple(pool.placed[addition.pool] for addition in additions if addition.pool is not None)
    else:
        outputs = np.full((len(additions), len(found.components)), NO_OUTPUT, dtype=np.int64)
        placed = tuple(found.train.placed[addition.template] for addition in additions)
        for row, addition in enumerate(additions):
            outputs[row, found.components[addition.component].output] = addition.label
    return found.grown(placed, inputs, outputs)


def _rest(subset: Subset, slots: int) -> tuple[int, ...]:
    return tuple(place for place in range(slots) if place not in subset)
