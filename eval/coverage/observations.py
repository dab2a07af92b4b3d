"""Observed rows: inputs with a fixed number of slots and one output each, as integer codes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Subset = tuple[int, ...]
"""Positions of a fragment, ascending; the other positions are its context."""

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Observations:
    """The observed set D and the outputs on it.

    Attributes:
        inputs: [rows, slots] codes of the slot values, in 0..sizes-1, no two rows equal.
        outputs: [rows] codes of the outputs, >= 0.
        sizes: Number of values of each slot.
        rows: [rows] index of each row's first occurrence in the caller's rows.
    """

    inputs: IntArray
    outputs: IntArray
    sizes: tuple[int, ...]
    rows: IntArray

    @property
    def slots(self) -> int:
        """Number of positions of an input."""
        return self.inputs.shape[1]

    def __len__(self) -> int:
        return len(self.outputs)


def observe(inputs: ArrayLike, outputs: ArrayLike, sizes: tuple[int, ...] | None = None) -> Observations:
    """Check observed rows, integer codes >= 0, and drop exact repeats; the first of equal rows stays, in order.

    Inputs are [rows, slots], outputs [rows]; `sizes` are by default one more than the largest code of each slot.

    Raises:
        ValueError: One input has two outputs (both rows are named), or codes, shapes or sizes do not fit.
    """
    table, labels = _codes(inputs, "inputs", 2), _codes(outputs, "outputs", 1)
    if not table.size:
        raise ValueError(f"observations: found {table.shape[0]} rows of {table.shape[1]} slots; give one row at least")
    if len(table) != len(labels):
        raise ValueError(f"observations: {len(table)} inputs and {len(labels)} outputs; give one output per input")
    found = tuple(int(top) + 1 for top in table.max(axis=0, initial=0))
    if sizes is None:
        sizes = found
    if len(sizes) != len(found) or any(size < least for size, least in zip(sizes, found, strict=True)):
        raise ValueError(f"observations: sizes {tuple(sizes)} do not hold the codes; the data needs at least {found}")
    _, first, inverse = np.unique(row_keys(table, sizes), return_index=True, return_inverse=True)
    clash = np.flatnonzero(labels != labels[first[inverse]])
    if len(clash):
        row, earlier = int(clash[0]), int(first[inverse[clash[0]]])
        raise ValueError(
            f"observations: rows {earlier} and {row} have the same input {table[row].tolist()} and the outputs"
            f" {labels[earlier]} and {labels[row]}; keep one of them"
        )
    kept = np.sort(first)
    return Observations(table[kept], labels[kept], tuple(sizes), kept)


def as_queries(queries: ArrayLike, observations: Observations) -> IntArray:
    """Check queries against the slots of the observations; [Q, slots].

    Raises:
        ValueError: They have another number of slots, or negative codes.
    """
    table = _codes(queries, "queries", 2)
    if table.shape[1] != observations.slots:
        raise ValueError(f"queries: {table.shape[1]} slots, but the observations have {observations.slots}")
    return table


def _codes(values: ArrayLike, name: str, dimensions: int) -> IntArray:
    """An integer array of codes >= 0 with the given number of dimensions."""
    table = np.asarray(values)
    if table.ndim != dimensions:
        raise ValueError(f"{name}: {table.ndim} dimensions; give an array of {dimensions}")
    if table.size and (not np.issubdtype(table.dtype, np.integer) or table.min() < 0):
        raise ValueError(f"{name}: found {table.dtype} values; give integer codes >= 0")
    return table.astype(np.int64)


def row_keys(table: IntArray, sizes: Sequence[int]) -> NDArray[Any]:
    """One key per row of a table of codes, [rows, columns]; keys sort like the rows.

    A mixed-radix number if there are fewer than 2^62 possible rows, else the bytes of the row. Only keys made with the
    same column `sizes` are comparable.
    """
    if math.prod(sizes) < 2**62:
        keys = np.zeros(len(table), np.int64)
        for column, size in zip(table.T, sizes, strict=True):
            keys = keys * size + column
        return keys
    # Big-endian bytes sort like the numbers.
    return np.ascontiguousarray(table.astype(">u4")).view(f"V{4 * table.shape[1]}").reshape(-1)


def find_keys(keys: NDArray[Any], among: NDArray[Any]) -> IntArray:
    """Position of each key in the sorted `among`, -1 where it is not there."""
    if not len(among):
        return np.full(len(keys), -1, np.int64)
    place = np.searchsorted(among, keys)
    place[place == len(among)] = 0
    return np.where(among[place] == keys, place, -1)


def common_sizes(observations: Observations, queries: IntArray) -> list[int]:
    """Sizes of the slots, with the unseen values of the queries."""
    tops = queries.max(axis=0, initial=0)
    return [max(size, int(top) + 1) for size, top in zip(observations.sizes, tops, strict=True)]


def context_of(subset: Subset, slots: int) -> Subset:
    """The positions outside a subset."""
    return tuple(slot for slot in range(slots) if slot not in subset)


def subsets(slots: int, largest: int | None = None) -> tuple[Subset, ...]:
    """All non-empty proper subsets of the positions, smallest first; of at most `largest` positions if given."""
    top = slots - 1 if largest is None else min(largest, slots - 1)
    return tuple(subset for size in range(1, top + 1) for subset in combinations(range(slots), size))
