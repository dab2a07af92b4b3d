"""One output of the training rows as the coverage engine needs it: relevant slots, distinct inputs, pairs, k."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..coverage.null_model import NullModel, smallest_k
from ..coverage.observations import IntArray, Subset, subsets
from ..coverage.pairs import PairsBySubset, all_pairs
from .noise import Settled, settle
from .read.slot_rows import NO_OUTPUT, Table
from .read.slot_schema import Schema
from .relevance import Relevance, given, select

LEAST_K = 2
"""One shared context may always be chance, whatever the null model says."""
LARGEST_K = 100


@dataclass(frozen=True)
class Component:
    """One output of the training rows.

    Attributes:
        output: Its position in the schema.
        rows: Training rows that have this output, `[rows]` indices.
        settled: Their distinct inputs over the relevant slots.
        subsets: Fragments, as positions among the relevant slots.
        pairs: For each subset, which fragments are equivalent.
        null: What chance alone would give; None with fewer than two slots.
        agreement: Required share of agreement; None is strict.
        primitives: Fragments that must occur in training, as positions among the relevant slots.
    """

    name: str
    output: int
    relevance: Relevance
    rows: IntArray
    settled: Settled
    subsets: tuple[Subset, ...]
    pairs: PairsBySubset
    null: NullModel | None
    k: int
    agreement: float | None
    primitives: tuple[Subset, ...]

    @property
    def slots(self) -> tuple[int, ...]:
        """Positions of the relevant slots in the schema."""
        return self.relevance.slots

    @property
    def warning(self) -> str | None:
        """The null model's warning about this k, if there is one."""
        return self.null.warning(self.k, closure=False) if self.null else None

    def project(self, inputs: IntArray) -> IntArray:
        """Inputs over the relevant slots, `[rows, slots]`; one constant slot if none is relevant."""
        return inputs[:, self.slots] if self.slots else np.zeros((len(inputs), 1), dtype=np.int64)

    @cached_property
    def place(self) -> dict[tuple[int, ...], int]:
        """Index of each distinct input."""
        return {tuple(values): place for place, values in enumerate(self.settled.observations.inputs.tolist())}

    @cached_property
    def known(self) -> dict[Subset, set[tuple[int, ...]]]:
        """Values of each primitive that occur in training."""
        inputs = self.settled.observations.inputs
        return {part: set(map(tuple, inputs[:, part].tolist())) for part in self.primitives}

    def unseen(self, query: tuple[int, ...]) -> list[Subset]:
        """Primitives whose values in a query no training row has."""
        return [part for part in self.primitives if tuple(query[i] for i in part) not in self.known[part]]


def components(
    train: Table, k: int | None = None, agreement: float | None = None, like: Sequence[Component] = ()
) -> list[Component]:
    """Every output of a schema on the training rows.

    Required evidence `k` is by default what the null model gives for each output, and no share of `agreement` is
    strict. `like` are components of other rows, whose relevant slots and k are kept so that verdicts can be compared.
    """
    if like:
        return [_component(train, part.output, part.k, part.agreement, part.relevance) for part in like]
    return [_component(train, output, k, agreement) for output in range(len(train.schema.outputs))]


def _relevance(schema: Schema, output: int, inputs: IntArray, outputs: IntArray) -> Relevance:
    named = schema.outputs[output].relevant
    if named is not None:
        return given(inputs, outputs, [schema.position(name) for name in named])
    return select(inputs, outputs, [place for place, slot in enumerate(schema.slots) if slot.always])


def _component(
    train: Table, output: int, k: int | None, agreement: float | None, relevance: Relevance | None = None
) -> Component:
    schema = train.schema
    rows = np.flatnonzero(train.outputs[:, output] != NO_OUTPUT)
    inputs, outputs = train.inputs[rows], train.outputs[rows, output]
    relevance = relevance or _relevance(schema, output, inputs, outputs)
    slots = relevance.slots
    shown = inputs[:, slots] if slots else np.zeros((len(rows), 1), dtype=np.int64)
    sizes = tuple(len(train.codes.slots[slot]) for slot in slots) or (1,)
    settled = settle(shown, outputs, sizes, agreement)
    declared = _declared(train, slots)
    family = _family(len(slots), schema.max_size, declared) if len(rows) else ()
    pairs = all_pairs(settled.observations, family) if family else {}
    null = smallest_k(settled.observations, pairs, LARGEST_K) if family else None
    chosen = k if k is not None else max(LEAST_K, null.k if null else LEAST_K)
    primitives = (*((place,) for place in range(len(slots))), *declared)
    name = schema.outputs[output].name
    return Component(name, output, relevance, rows, settled, family, pairs, null, chosen, agreement, primitives)


def _family(slots: int, largest: int, declared: Sequence[Subset]) -> tuple[Subset, ...]:
    """Fragments to substitute: small and declared ones that leave some context."""
    family = {*subsets(slots, largest), *declared} if slots else set()
    return tuple(sorted((part for part in family if len(part) < slots), key=lambda part: (len(part), part)))


def _declared(train: Table, slots: tuple[int, ...]) -> list[Subset]:
    """Declared fragments whose slots are all relevant, as positions among those."""
    found = []
    for names in train.schema.fragments:
        positions = [train.schema.position(name) for name in names]
        if all(position in slots for position in positions):
            found.append(tuple(sorted(slots.index(position) for position in positions)))
    return found
