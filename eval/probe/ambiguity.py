"""Slots that lie on more than one path of a computation ("non-tree"), where more rows help little.

If an intermediate result depends on slots i and j and a later step reads j again, then values of (i, j) stay alike only
while j is equal on both sides: clusters of the intermediate are torn apart by j. The paper finds that such tasks do not
generalise where the others do, also with more rows or a chain of thought. Advice: change the output, or let rows show
the intermediate result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from ..coverage.observations import Subset
from ..measure.statistics import proportion
from .components import Component
from .noise import alike

LEAST_PAIRS = 30
MOST_FRAGMENTS = 2_000
RATIO = 5.0
"""How many times rarer likeness is where j differs."""


@dataclass(frozen=True)
class Flag:
    """A slot that seems to lie on two paths.

    Attributes:
        output: Name of the output.
        slot: The slot j.
        other: The slot i.
        same: Share of comparable pairs that are alike where j is equal, and their number.
        different: Likewise where j differs.
    """

    output: str
    slot: str
    other: str
    same: tuple[float, int]
    different: tuple[float, int]


def flags(component: Component, names: list[str]) -> list[Flag]:
    """Slots of a component that seem to lie on two paths.

    Pairs count when they share at least k contexts, and only where i alone is not alike: what holds for i whatever j is
    says nothing about j. Flagged when the 95 % bounds of the two shares are `RATIO` apart.

    Args:
        component: The output.
        names: Names of the schema's slots.
    """
    found = []
    for subset in (part for part in component.subsets if len(part) == 2):
        shares = _shares(component, subset)
        for j, (same, of_same, different, of_different) in enumerate(shares):
            if min(of_same, of_different) < LEAST_PAIRS or not same:
                continue
            if proportion(same, of_same).low > RATIO * proportion(different, of_different).high:
                slot, other = (names[component.slots[subset[place]]] for place in (j, 1 - j))
                found.append(
                    Flag(
                        component.name, slot, other, (same / of_same, of_same), (different / of_different, of_different)
                    )
                )
    return found


def _shares(component: Component, subset: Subset) -> list[tuple[int, int, int, int]]:
    """For each of the two slots: alike and comparable pairs where it is equal, and where both slots differ."""
    pairs = component.pairs[subset]
    fragments = pairs.fragments
    if len(fragments) > MOST_FRAGMENTS:
        return []
    left, right = _comparable(component, subset)
    kept = alike(pairs.agree, pairs.disagree, component.k, component.agreement)
    equal = set(zip(pairs.left[kept].tolist(), pairs.right[kept].tolist(), strict=True))
    like = np.array([pair in equal for pair in zip(left.tolist(), right.tolist(), strict=True)], dtype=bool)
    same = fragments[left] == fragments[right]
    both_differ = ~same.any(axis=1)
    found = []
    for j in (0, 1):
        i = 1 - j
        alone = _alike_alone(component, subset[i])
        trivial = np.array(
            [tuple(sorted(pair)) in alone for pair in zip(*_values(fragments, left, right, i), strict=True)]
        )
        chosen = same[:, j] & ~trivial.astype(bool)
        found.append((int(like[chosen].sum()), int(chosen.sum()), int(like[both_differ].sum()), int(both_differ.sum())))
    return found


def _values(fragments: np.ndarray, left: np.ndarray, right: np.ndarray, i: int) -> tuple[list[int], list[int]]:
    return fragments[left, i].tolist(), fragments[right, i].tolist()


def _comparable(component: Component, subset: Subset) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of fragments that share at least k contexts."""
    inputs = component.settled.observations.inputs
    rest = [place for place in range(inputs.shape[1]) if place not in subset]
    _, fragment = np.unique(inputs[:, subset], axis=0, return_inverse=True)
    _, context = np.unique(inputs[:, rest], axis=0, return_inverse=True)
    where = (fragment.reshape(-1), context.reshape(-1))
    seen = csr_matrix((np.ones(len(inputs), dtype=np.int32), where))
    shared = (seen @ seen.T).tocoo()
    kept = (shared.row < shared.col) & (shared.data >= component.k)
    return shared.row[kept], shared.col[kept]


def _alike_alone(component: Component, slot: int) -> set[tuple[int, ...]]:
    """Pairs of values of one slot without a disagreement."""
    pairs = component.pairs[(slot,)]
    kept = alike(pairs.agree, pairs.disagree, 1, component.agreement)
    values = pairs.fragments[:, 0]
    found = zip(values[pairs.left[kept]].tolist(), values[pairs.right[kept]].tolist(), strict=True)
    return {tuple(sorted(pair)) for pair in found}
