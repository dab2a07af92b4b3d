"""One output of the training rows as the coverage engine takes it: slots that matter, settled inputs, pairs, k."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..coverage.null_model import NullModel, smallest_k
from ..coverage.observations import Subset, subsets
from ..coverage.pairs import PairsBySubset, all_pairs
from .noise import Settled, settle
from .read.slot_rows import NO_OUTPUT, Table
from .relevance import Relevance, given, select

IntArray = NDArray[np.int64]

LEAST_K = 2
"""Direct evidence of one shared context is what chance gives, whatever the null model says of many outputs."""
LARGEST_K = 100


@dataclass(frozen=True)
class Component:
    """One output of the training rows.

    Attributes:
        name: Of the output.
        output: Its position in the schema.
        relevance: Slots that count.
        rows: Training rows that have this output, `[rows]` indices.
        settled: Their distinct inputs over those slots.
        subsets: Fragments, as positions among the slots that count.
        pairs: Of each, which fragments behave alike.
        null: What chance alone would give; None with fewer than two slots.
        k: Evidence that is asked for.
        agreement: Share of agreement asked for; None is strict.
        primitives: Fragments that have to be seen somewhere, as positions among the slots that count.
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
        """Positions of the slots that count, in the schema."""
        return self.relevance.slots

    @property
    def warning(self) -> str | None:
        """What speaks against this k."""
        return self.null.warning(self.k, closure=False) if self.null else None

    def project(self, inputs: IntArray) -> IntArray:
        """Inputs over the slots that count, `[rows, slots]`; one empty slot where none counts."""
        return inputs[:, self.slots] if self.slots else np.zeros((len(inputs), 1), dtype=np.int64)

    @cached_property
    def place(self) -> dict[tuple[int, ...], int]:
        """Distinct input to its index."""
        return {tuple(values): place for place, values in enumerate(self.settled.observations.inputs.tolist())}

    @cached_property
    def known(self) -> dict[Subset, set[tuple[int, ...]]]:
        """Values of each primitive that some row has."""
        inputs = self.settled.observations.inputs
        return {part: set(map(tuple, inputs[:, part].tolist())) for part in self.primitives}

    def unseen(self, query: tuple[int, ...]) -> list[Subset]:
        """Primitives of a query that no training row has."""
        return [part for part in self.primitives if tuple(query[i] for i in part) not in self.known[part]]


def components(
    train: Table, k: int | None = None, agreement: float | None = None, like: Sequence[Component] = ()
) -> list[Component]:
    """Every output of a schema on the training rows.

    Args:
        train: The rows.
        k: Evidence to ask for; None takes what the null model gives for each output.
        agreement: Share of agreement asked for; None is strict.
        like: Components of other rows, whose slots and k are taken over, so that verdicts can be compared.
    """
    if like:
        return [_component(train, part.output, part.k, part.agreement, part.relevance) for part in like]
    return [
        _component(train, output, k, agreement, _relevance(train, output))
        for output in range(len(train.schema.outputs))
    ]


def _relevance(train: Table, output: int) -> Relevance:
    schema = train.schema
    rows = np.flatnonzero(train.outputs[:, output] != NO_OUTPUT)
    inputs, outputs = train.inputs[rows], train.outputs[rows, output]
    named = schema.outputs[output].relevant
    if named is not None:
        return given(inputs, outputs, [schema.position(name) for name in named])
    return select(inputs, outputs, [place for place, slot in enumerate(schema.slots) if slot.always])


def _component(train: Table, output: int, k: int | None, agreement: float | None, relevance: Relevance) -> Component:
    schema = train.schema
    rows = np.flatnonzero(train.outputs[:, output] != NO_OUTPUT)
    inputs, outputs = train.inputs[rows], train.outputs[rows, output]
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
    """Fragments to substitute: small ones and declared ones, each leaving some context."""
    family = {*subsets(slots, largest), *declared} if slots else set()
    return tuple(sorted((part for part in family if len(part) < slots), key=lambda part: (len(part), part)))


def _declared(train: Table, slots: tuple[int, ...]) -> list[Subset]:
    """Declared fragments whose slots all count, as positions among them."""
    found = []
    for names in train.schema.fragments:
        positions = [train.schema.position(name) for name in names]
        if all(position in slots for position in positions):
            found.append(tuple(sorted(slots.index(position) for position in positions)))
    return found
