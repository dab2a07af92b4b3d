"""An analysis as plain data: what the JSON holds and the page shows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..measure.statistics import proportion
from .ambiguity import flags
from .calibration import Calibration
from .components import LARGEST_K, Component, components
from .explaining import Reasons
from .nearest_rows import baselines
from .repair import Plan
from .slot_analysis import Analysis
from .statuses import DETERMINED, SEEN, STATUSES, judge

SHOWN = 12
"""Most new values shown; groups of a status are at most half as many, contradictions a quarter."""
GROWTH = (0.125, 0.25, 0.5, 1.0)


def summary(found: Analysis, growth: bool = True) -> dict[str, Any]:
    """Everything about an analysis, for JSON; with `growth`, requests are also judged by parts of the training rows."""
    names = [slot.name for slot in found.train.schema.slots]
    return {
        "schema": found.train.schema.name,
        "training_rows": len(found.train),
        "requests": len(found.test),
        "strict": found.components[0].agreement is None,
        "agreement": found.components[0].agreement,
        "determined_share": found.determined_share,
        "statuses": found.counts(),
        "outputs": [_output(found, place, names) for place in range(len(found.components))],
        "baselines": baselines(found.train, found.test),
        "path_ambiguity": [asdict(flag) for part in found.components for flag in flags(part, names)],
        "new_values": _new_values(found, names),
        "groups": _groups(found),
        "contradictions": [item for place in range(len(found.components)) for item in _contradictions(found, place)],
        "growth": _growth(found) if growth else [],
        "notes": found.notes,
    }


def plan_summary(made: Plan) -> dict[str, Any]:
    """What a repair plan changes."""
    return {
        "rows": len(made.additions),
        "before": made.before.counts(),
        "after": made.after.counts(),
        "by_output": {
            part.name: {"before": made.before.counts(place), "after": made.after.counts(place)}
            for place, part in enumerate(made.before.components)
        },
    }


def calibration_summary(made: Calibration) -> dict[str, Any]:
    """A model's accuracy by verdict: of whole answers, and under `parts` output by output."""
    plain = asdict(made, dict_factory=_finite)
    return plain.pop("whole") | plain


def _finite(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Fields with None for infinite ends of intervals, which JSON does not have."""
    return {name: None if value in (math.inf, -math.inf) else value for name, value in pairs}


def _output(found: Analysis, place: int, names: Sequence[str]) -> dict[str, Any]:
    component = found.components[place]
    null, relevance, k = component.null, component.relevance, component.k
    return {
        "name": component.name,
        "slots": [names[slot] for slot in component.slots],
        "method": relevance.method,
        "explained": relevance.explained,
        "entropy_nats": relevance.entropy,
        "steps": [{"slot": names[slot], "left_nats": left} for slot, left in relevance.steps],
        "k": k,
        "chance_of_equal_outputs": null.q if null else None,
        "expected_false_pairs": float(null.expected_false_pairs[k - 1]) if null and k <= LARGEST_K else None,
        "inputs": len(component.settled.observations),
        "unclear_inputs": int(component.settled.unclear.sum()),
        "contradicting_rows": component.settled.contradicting,
        "shared_contexts": _shared_contexts(component),
        "statuses": found.counts(place),
        "right": {name: list(counts) for name, counts in found.right(place).items()},
    }


def _shared_contexts(component: Component) -> float | None:
    """Mean contexts shared by two values of a slot that never disagree (the planner's kappa)."""
    agree = [pairs.agree[pairs.disagree == 0] for part, pairs in component.pairs.items() if len(part) == 1]
    values = np.concatenate([np.zeros(0), *agree])
    return float(values.mean()) if len(values) else None


def _new_values(found: Analysis, names: Sequence[str]) -> list[dict[str, Any]]:
    """Values of requests that no training row has, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for slot, name in enumerate(names):
        if any(slot in part.slots for part in found.components):
            values = found.test.inputs[:, slot]
            new = values[~np.isin(values, found.train.inputs[:, slot])].tolist()
            counts.update((name, found.train.codes.slots[slot][value]) for value in new)
    return [{"slot": slot, "value": value, "requests": count} for (slot, value), count in counts.most_common(SHOWN)]


def _groups(found: Analysis) -> list[dict[str, Any]]:
    """The largest groups of requests that are not seen, by output and values, each with its reason."""
    groups: Counter[tuple[int, tuple[int, ...], int]] = Counter()
    first: dict[tuple[int, tuple[int, ...], int], int] = {}
    for place, component in enumerate(found.components):
        rows = np.flatnonzero(found.statuses[:, place] > SEEN)
        for row, values in zip(rows.tolist(), component.project(found.test.inputs[rows]).tolist(), strict=True):
            key = (place, tuple(values), int(found.verdicts[place].status[row]))
            groups[key] += 1
            first.setdefault(key, row)
    explain = [Reasons(found, place) for place in range(len(found.components))]
    shown = []
    for status in range(DETERMINED, len(STATUSES)):
        for key, count in [item for item in groups.most_common() if item[0][2] == status][: SHOWN // 2]:
            row = first[key]
            example = {"requests": count, "example": found.test.ids[row], "text": found.test.texts[row]}
            shown.append(example | asdict(explain[key[0]](row)))
    return shown


def _contradictions(found: Analysis, place: int) -> list[dict[str, Any]]:
    """The inputs without a clear output that have most rows."""
    component, schema, codes = found.components[place], found.train.schema, found.train.codes
    unclear = np.flatnonzero(component.settled.unclear).tolist()
    largest = sorted(unclear, key=lambda at: -len(component.settled.rows[at]))[: SHOWN // 4]
    shown = []
    for at in largest:
        rows = component.rows[list(component.settled.rows[at])]
        known = codes.outputs[component.output]
        counts = Counter(known[code] for code in found.train.outputs[rows, component.output].tolist()).most_common(4)
        values = component.settled.observations.inputs[at].tolist()
        named = {schema.slots[s].name: codes.slots[s][v] for s, v in zip(component.slots, values, strict=False)}
        shown.append({"output": component.name, "values": named, "rows": len(rows), "counts": dict(counts)})
    return shown


def _growth(found: Analysis) -> list[dict[str, Any]]:
    """Share of requests seen or determined by parts of the training rows, with slots and k unchanged."""
    order = np.random.default_rng(0).permutation(len(found.train))
    made = []
    for share in GROWTH:
        size, worst = round(share * len(order)), found.worst
        if share < 1 and size < 2:
            continue
        if share < 1:
            parts = components(found.train.take(np.sort(order[:size])), like=found.components)
            verdicts = tuple(judge(part, found.test.inputs, sweep=False) for part in parts)
            worst = Analysis(found.train, found.test, tuple(parts), verdicts).worst
        good = proportion(int((worst <= DETERMINED).sum()), len(worst))
        made.append({"rows": size, "determined": good.as_dict(), "seen": float((worst == SEEN).mean())})
    return made
