"""Which primitives a property of the tables gives away, although no training row uses them.

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
    """Whether each primitive of a row is in use in training or follows from those in use by the tables' property.

    Args:
        data: The data set.
        rows: Any rows of its task.

    Returns:
        `[rows]`.
    """
    masks = known_entries(data)
    entries, _ = data.task.program.keys(rows.inputs, data.tables, data.task.values)
    return np.logical_and.reduce([mask[entries[:, hop]] for hop, mask in enumerate(masks)])


def known_entries(data: Compositions) -> tuple[Mask, ...]:
    """For each table, which entries are in use or follow from those in use; `[values ** arity]` each."""
    values = data.task.values
    used = [mask.reshape((values,) * len(hop)) for mask, hop in zip(data.used, data.task.program.hops, strict=True)]
    return tuple(mask.ravel() for mask in EXTENSIONS[data.task.tables](used))


def _as_they_are(used: list[Mask]) -> list[Mask]:
    return used


def _any_order(used: list[Mask]) -> list[Mask]:
    return [np.logical_or.reduce([mask.transpose(order) for order in permutations(range(mask.ndim))]) for mask in used]


def _without_last(used: list[Mask]) -> list[Mask]:
    """Of the first table, whose last argument is ignored."""
    first, *others = used
    return [np.broadcast_to(first.any(axis=-1, keepdims=True), first.shape), *others]


def _at_any_hop(used: list[Mask]) -> list[Mask]:
    return [np.logical_or.reduce(used)] * len(used)


def _all(used: list[Mask]) -> list[Mask]:
    """The law of the group gives every entry."""
    return [np.ones_like(mask) for mask in used]


EXTENSIONS: dict[str, Callable[[list[Mask]], list[Mask]]] = {
    "random": _as_they_are,
    "symmetric": _any_order,
    "ignored_argument": _without_last,
    "same_f12": _at_any_hop,
    "modular_addition": _all,
}
"""By the name of the tables' kind."""
