"""Task families as small programs: which tables are applied to which values.

Families and their names follow arXiv 2505.20278 (two-hop, parallel two-hop, three-hop, five-hop, non-tree). To add
one, add a `Family`: generation, training and analysis read only `slots` and `hops`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Family:
    """A composition of tables.

    `hops` has the arguments of each table in order: a number below `slots` is an input, `slots + i` the result of table
    i. The last table gives the answer, the others bridge values.
    """

    name: str
    slots: int
    hops: tuple[tuple[int, ...], ...]

    def keys(self, inputs: Ints, tables: Sequence[Ints], values: int) -> tuple[Ints, Ints]:
        """Apply the tables, one flat `[values ** arity]` for each hop, to inputs `[rows, slots]`, each below `values`.

        Returns the entry of each table that was used and its value, both `[rows, hops]`. The entry is the primitive:
        its arguments are the digits of the number to the base `values`.
        """
        known = [inputs[:, slot] for slot in range(self.slots)]
        used = np.empty((len(inputs), len(self.hops)), dtype=np.int64)
        for number, (arguments, table) in enumerate(zip(self.hops, tables, strict=True)):
            entry = known[arguments[0]].astype(np.int64)
            for argument in arguments[1:]:
                entry = entry * values + known[argument]
            used[:, number] = entry
            known.append(table[entry])
        return used, np.stack(known[self.slots :], axis=1).astype(np.int64)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("one_hop", 2, ((0, 1),)),
        Family("two_hop", 3, ((0, 1), (3, 2))),
        Family("parallel", 4, ((0, 1), (2, 3), (4, 5))),
        Family("three_hop", 4, ((0, 1), (4, 2), (5, 3))),
        Family("five_hop", 6, ((0, 1), (6, 2), (7, 3), (8, 4), (9, 5))),
        Family("non_tree", 3, ((0, 1), (3, 1, 2))),
    )
}
"""`one_hop`, a single table for learning arithmetic such as modular addition, is not in the paper."""
