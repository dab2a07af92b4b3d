"""Slots on more than one path of a computation ("non-tree"), for which more rows help little.

If an intermediate result depends on slots i and j and a later step reads j again, two values of (i, j) are equivalent
only if they have the same j, so that no clusters of the intermediate form. The paper finds that such tasks do not
generalise, even with more rows or a chain of thought. Advice: change the output, or show the intermediate result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from ..coverage.observations import IntArray, Subset, context_of
from ..measure.statistics import proportion
from .components import Component
from .noise import equivalent

LEAST_PAIRS = 30
MOST_FRAGMENTS = 2_000
RATIO = 5.0
"""By what factor equivalence is rarer where j differs."""


@dataclass(frozen=True)
class Flag:
    """A slot j that seems to lie on two paths, beside another slot i.

    Attributes:
        same: Share of comparable pairs that are equivalent, where j is equal, and the number of comparable pairs.
        different: The same where j differs.
    """

    output: str
    slot: str
    other: str
    same: tuple[float, int]
    different: tuple[float, int]


def flags(component: Component, names: list[str]) -> list[Flag]:
    """Slots of a component that seem to lie on two paths; `names` are those of the schema's slots.

    Pairs count when they share at least k contexts, and only if their values of i are not equivalent by themselves:
    what holds for i whatever j is says nothing about j. A slot is flagged when the 95 % bounds of the two shares differ
    by a factor of `RATIO`.
    """
    found = []
    for subset in (part for part in component.subsets if len(part) == 2):
        for j, (same, different) in enumerate(_shares(component, subset)):
            if min(same[1], different[1]) < LEAST_PAIRS or not same[0]:
                continue
            if proportion(*same).low > RATIO * proportion(*different).high:
                slot, other = (names[component.slots[subset[place]]] for place in (j, 1 - j))
                shares = [(like / pairs, pairs) for like, pairs in (same, different)]
                found.append(Flag(component.name, slot, other, *shares))
    return found


def _shares(component: Component, subset: Subset) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """For each of two slots, equivalent and comparable pairs where it is equal, and where both slots differ."""
    pairs = component.pairs[subset]
    if len(pairs.fragments) > MOST_FRAGMENTS:
        return []
    left, right = _comparable(component, subset)
    kept = equivalent(pairs.agree, pairs.disagree, component.k, component.agreement)
    known = set(zip(pairs.left[kept].tolist(), pairs.right[kept].tolist(), strict=True))
    like = np.array([pair in known for pair in zip(left.tolist(), right.tolist(), strict=True)], dtype=bool)
    ends = pairs.fragments[left], pairs.fragments[right]
    same = ends[0] == ends[1]
    both_differ = ~same.any(axis=1)
    found = []
    for j, i in ((0, 1), (1, 0)):
        alone = _equivalent_alone(component, subset[i])
        values = zip(ends[0][:, i].tolist(), ends[1][:, i].tolist(), strict=True)
        chosen = same[:, j] & ~np.array([tuple(sorted(pair)) in alone for pair in values], dtype=bool)
        same_j, different = ((int(like[part].sum()), int(part.sum())) for part in (chosen, both_differ))
        found.append((same_j, different))
    return found


def _comparable(component: Component, subset: Subset) -> tuple[IntArray, IntArray]:
    """Pairs of fragments that share at least k contexts."""
    inputs = component.settled.observations.inputs
    where = [
        np.unique(inputs[:, part], axis=0, return_inverse=True)[1].reshape(-1)
        for part in (subset, context_of(subset, inputs.shape[1]))
    ]
    seen = csr_matrix((np.ones(len(inputs), dtype=np.int32), tuple(where)))
    shared = (seen @ seen.T).tocoo()
    kept = (shared.row < shared.col) & (shared.data >= component.k)
    return shared.row[kept], shared.col[kept]


def _equivalent_alone(component: Component, slot: int) -> set[tuple[int, ...]]:
    """Pairs of values of one slot without a disagreement."""
    pairs = component.pairs[(slot,)]
    kept = equivalent(pairs.agree, pairs.disagree, 1, component.agreement)
    values = pairs.fragments[:, 0]
    found = zip(values[pairs.left[kept]].tolist(), values[pairs.right[kept]].tolist(), strict=True)
    return {tuple(sorted(pair)) for pair in found}
