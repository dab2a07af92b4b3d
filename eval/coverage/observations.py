"""What was seen: inputs of a fixed number of slots, each with one output, as integer codes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

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
        sizes: How many values each slot can take.
        rows: [rows] where each row first stood in what the caller gave.
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
    """Check observed rows and remove exact repeats.

    Args:
        inputs: [rows, slots] integer codes >= 0.
        outputs: [rows] integer codes >= 0.
        sizes: Values each slot can take; by default one more than the largest code of the slot.

    Raises:
        ValueError: One input has two outputs (both rows are named), or codes, shapes or sizes do not fit.
    """
    raise NotImplementedError


def subsets(slots: int, largest: int | None = None) -> tuple[Subset, ...]:
    """All non-empty proper subsets of the positions, smallest first; of at most `largest` positions if given."""
    top = slots - 1 if largest is None else min(largest, slots - 1)
    return tuple(subset for size in range(1, top + 1) for subset in combinations(range(slots), size))
