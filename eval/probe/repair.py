"""The cheapest rows that would pin down more requests, chosen greedily by verdicts settled per row.

A request that is weak, uncovered or new can be settled in two ways. A substitution x_I -> y_I whose other side, (y_I,
rest), was observed with the right output lacks shared contexts: each row (x_I, c), for a context c in which y_I was
observed, is one more, and may serve many substitutions of x_I. Or a substitution has its evidence, and only the row
(y_I, rest) was never observed: that row is added. Requests' own inputs are never proposed: that would be training on
the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .candidates import Addition, CandidateRows, Gap, Key
from .read.slot_rows import NO_OUTPUT, Table
from .slot_analysis import Analysis


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
    taken: set[int] = set()
    offers = [CandidateRows(found, place, pool, taken) for place in range(len(found.components))]
    gaps: dict[Key, Gap] = {}
    for offer in offers:
        gaps.update(offer.gaps())
    chosen: list[Addition] = []
    while (used := len({addition.row for addition in chosen})) < rows:
        key = _best(gaps, rows - used)
        if key is None:
            break
        chosen += _fill(key, gaps, offers[key[0]])
    return Plan(tuple(chosen), found, _with(found, chosen, pool))


def _best(gaps: dict[Key, Gap], left: int) -> Key | None:
    """The substitution with most waiting requests per row, that the rows left suffice for."""
    best, most = None, 0.0
    for key, gap in gaps.items():
        if gap.waiting and 0 < gap.missing <= min(left, len(gap.usable)):
            worth = len(gap.waiting) / gap.missing
            if worth > most:
                best, most = key, worth
    return best


def _fill(key: Key, gaps: dict[Key, Gap], offer: CandidateRows) -> list[Addition]:
    """Rows for one substitution, in the contexts that serve most others too."""
    place, subset, source, target = key
    siblings = [other for other in gaps if other[:3] == key[:3] and gaps[other].waiting]
    usable = gaps[key].usable
    worth = {
        context: sum(context in gaps[other].usable and gaps[other].usable[context] == label for other in siblings)
        for context, label in usable.items()
    }
    contexts = sorted(usable, key=lambda context: (-worth[context], context))[: gaps[key].missing]
    labels = {context: usable[context] for context in contexts}
    made = [offer.addition(subset, source, target, context, label) for context, label in labels.items()]
    for other in [name for name in gaps if name[:3] == key[:3]]:
        for context, label in labels.items():
            other_label = gaps[other].usable.pop(context, None)
            if other_label is None:
                continue
            # Another output in this context would part the two: the substitution is of no use then.
            gaps[other].missing = gaps[other].missing - 1 if other_label == label else len(gaps[other].usable) + 1
    settled = {row for name in siblings if gaps[name].missing <= 0 for row in gaps[name].waiting}
    for name, gap in gaps.items():
        if name[0] == place:
            gap.waiting -= settled
    return made


def _with(found: Analysis, additions: Sequence[Addition], pool: Table | None) -> Analysis:
    """The analysis with the rows added: the same slots count and the same evidence is asked for."""
    if not additions:
        return found
    inputs = np.array([addition.values for addition in additions], dtype=np.int64)
    if pool is not None:
        taken = [addition.pool for addition in additions if addition.pool is not None]
        outputs = pool.outputs[taken]
        placed = tuple(pool.placed[row] for row in taken)
    else:
        outputs = np.full((len(additions), len(found.components)), NO_OUTPUT, dtype=np.int64)
        placed = tuple(found.train.placed[addition.template] for addition in additions)
        for row, addition in enumerate(additions):
            outputs[row, found.components[addition.component].output] = addition.label
    return found.grown(placed, inputs, outputs)
