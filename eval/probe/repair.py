"""The cheapest rows that would determine more requests, chosen greedily by requests settled per row.

A weak, uncovered or new request can be settled in two ways. Either a substitution x_I -> y_I leads to an observed row
(y_I, rest) with the right output but lacks shared contexts: each row (x_I, c), with a context c in which y_I was
observed, adds one, and may serve many substitutions of x_I. Or a substitution has enough evidence but the row
(y_I, rest) was never observed: that row is added. The requests' own inputs are never proposed, since that would be
training on the test set.
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
    """Rows to add, in the order in which they were chosen, and verdicts before and after.

    Of rows to be written, only the output that they are for is known.
    """

    additions: tuple[Addition, ...]
    before: Analysis
    after: Analysis

    def control(self, pool: Table, seed: int = 0) -> list[int]:
        """As many random rows of the pool, neither training rows nor requests: the control that the plan must beat."""
        taken = set(self.before.test.ids) | set(self.before.train.ids)
        free = [row for row, name in enumerate(pool.ids) if name not in taken]
        size = len({addition.pool for addition in self.additions})
        return sorted(np.random.default_rng(seed).permutation(free)[:size].tolist())


def plan(found: Analysis, rows: int, pool: Table | None = None) -> Plan:
    """Choose at most `rows` rows to add: of a pool that was read together with both tables, or to be written."""
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
    """The substitution with most waiting requests per missing row, among those that `left` rows suffice for."""
    fit = [key for key, gap in gaps.items() if gap.waiting and 0 < gap.missing <= min(left, len(gap.usable))]
    return max(fit, key=lambda key: len(gaps[key].waiting) / gaps[key].missing, default=None)


def _fill(key: Key, gaps: dict[Key, Gap], offer: CandidateRows) -> list[Addition]:
    """Rows for one substitution, in the contexts that serve most other ones too."""
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
            # Another output in this context contradicts the substitution, which can no longer be used.
            gaps[other].missing = gaps[other].missing - 1 if other_label == label else len(gaps[other].usable) + 1
    settled = {row for name in siblings if gaps[name].missing <= 0 for row in gaps[name].waiting}
    for name, gap in gaps.items():
        if name[0] == place:
            gap.waiting -= settled
    return made


def _with(found: Analysis, additions: Sequence[Addition], pool: Table | None) -> Analysis:
    """The analysis with the rows added, with relevant slots and k unchanged."""
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


def prompts(made: Plan) -> list[dict[str, object]]:
    """The rows to add as instructions for the people who write them, one plain mapping each."""
    return [_prompt(made.before, addition) for addition in made.additions]


def _prompt(found: Analysis, addition: Addition) -> dict[str, object]:
    codes = found.train.codes
    component = found.components[addition.component]
    slots = [found.train.schema.slots[component.slots[i]].name for i in addition.subset]
    known = [codes.slots[component.slots[i]] for i in addition.subset]
    change = {
        name: {"from": values[old], "to": values[new]}
        for name, values, old, new in zip(slots, known, addition.target, addition.source, strict=True)
    }
    named = found.train.named(addition.values)
    counting = {found.train.schema.slots[slot].name for slot in component.slots}
    keep = {name: value for name, value in named.items() if name in counting and name not in change}
    output = codes.outputs[component.output][addition.label]
    wanted = " and ".join(f"{name} = {value['to']} (there: {value['from']})" for name, value in change.items())
    kept = ", ".join(f"{name} = {value}" for name, value in keep.items()) or "the rest"
    text = f"Write a row like the one shown, but with {wanted}. Keep {kept}. Its {component.name} should be {output}."
    return {
        "prompt": text,
        "like": {"id": found.train.ids[addition.template], "text": found.train.texts[addition.template]},
        "output": component.name,
        "expected": output,
        "change": change,
        "keep": keep,
        "slots": named,
    }
