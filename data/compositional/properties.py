"""Which primitives follow from a property of the tables although no training row uses them.

The rest of the taxonomy of arXiv 2505.20278 beside equivalent fragments: a model that has found the property (or shares
one operator between places) knows the entries of a table that follow from those in use.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from .generate import Compositions, Rows

Mask = NDArray[np.bool_]


def follows(data: Compositions, rows: Rows) -> Mask:
    """Whether every primitive of a row is used in training or follows from the used ones by the property; `[rows]`."""
    masks = known_entries(data)
    entries, _ = data.task.program.keys(rows.inputs, data.tables, data.task.values)
    return np.logical_and.reduce([mask[entries[:, hop]] for hop, mask in enumerate(masks)])


def known_entries(data: Compositions) -> tuple[Mask, ...]:
    """For each table, which entries are in use or follow from those in use; `[values ** arity]` each."""
    values = data.task.values
    used = [mask.reshape((values,) * len(hop)) for mask, hop in zip(data.used, data.task.program.hops, strict=True)]
    return tuple(mask.ravel() for mask in EXTENSIONS[data.task.tables](used))


def _any_order(mask: Mask) -> Mask:
    return np.logical_or.reduce([mask.transpose(order) for order in permutations(range(mask.ndim))])


EXTENSIONS: dict[str, Callable[[list[Mask]], list[Mask]]] = {
    "random": lambda used: used,
    "symmetric": lambda used: [_any_order(mask) for mask in used],
    # Only the first table ignores its last argument.
    "ignored_argument": lambda used: [np.broadcast_to(used[0].any(axis=-1, keepdims=True), used[0].shape), *used[1:]],
    "same_f12": lambda used: [np.logical_or.reduce(used)] * len(used),
    # The group law gives every entry.
    "modular_addition": lambda used: [np.ones_like(mask) for mask in used],
}
"""By kind of tables: the known entries of each table, from the used ones."""
