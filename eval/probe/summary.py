"""An analysis as plain data: what the JSON holds and the page shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..measure.statistics import proportion
from .ambiguity import flags
from .calibration import Calibration, Scale
from .components import Component, components
from .explaining import Reasons
from .nearest_rows import baselines
from .repair import Plan
from .slot_analysis import Analysis
from .statuses import DETERMINED, SEEN, STATUSES, judge

SHOWN = 12
"""Groups of requests, contradictions and new values that are shown of each kind."""
GROWTH = (0.125, 0.25, 0.5, 1.0)


def summary(found: Analysis, growth: bool = True) -> dict[str, Any]:
    """Everything about an analysis, for JSON.

    Args:
        found: The analysis.
        growth: Also judge the requests by parts of the training rows.
    """
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
        "baselines": baselines(found.train, found.test).as_dict(),
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
    return {
        "model": made.model,
        "requests": made.requests,
        "inputs": made.inputs,
        "unmatched": made.unmatched,
        **_scale(made.whole),
        "parts": _scale(made.parts) if made.parts else None,
        "outputs": {name: {s: v.as_dict() for s, v in own.items()} for name, own in made.outputs.items()},
    }


def _scale(made: Scale) -> dict[str, Any]:
    return {
        "counts": made.counts,
        "statuses": {name: share.as_dict() for name, share in made.statuses.items()},
        "cutoffs": {name: share.as_dict() for name, share in made.cutoffs.items()},
        "predictors": [
            {
                "name": part.name,
                "auc": part.auc.as_dict() if part.auc else None,
                "auc_unseen": part.unseen.as_dict() if part.unseen else None,
                "behind": part.behind.as_dict() if part.behind else None,
                "behind_unseen": part.behind_unseen.as_dict() if part.behind_unseen else None,
            }
            for part in made.predictors
        ],
    }


def _output(found: Analysis, place: int, names: Sequence[str]) -> dict[str, Any]:
    component = found.components[place]
    null, relevance = component.null, component.relevance
    return {
        "name": component.name,
        "slots": [names[slot] for slot in component.slots],
        "method": relevance.method,
        "explained": relevance.explained,
        "entropy_nats": relevance.entropy,
        "steps": [{"slot": names[slot], "left_nats": left} for slot, left in relevance.steps],
        "k": component.k,
        "chance_of_equal_outputs": null.q if null else None,
        "expected_false_pairs": float(null.expected_false_pairs[component.k - 1])
        if null and component.k <= len(null.expected_false_pairs)
        else None,
        "inputs": len(component.settled.observations),
        "unclear_inputs": int(component.settled.unclear.sum()),
        "contradicting_rows": component.settled.contradicting,
        "shared_contexts": _shared_contexts(component),
        "statuses": found.counts(place),
        "right": {name: list(counts) for name, counts in found.right(place).items()},
    }


def _shared_contexts(component: Component) -> float | None:
    """Mean contexts that a pair of single values shares which nothing tells apart (the planner's kappa)."""
    agree = [pairs.agree[pairs.disagree == 0] for part, pairs in component.pairs.items() if len(part) == 1]
    values = np.concatenate(agree) if agree else np.zeros(0)
    return float(values.mean()) if len(values) else None


def _new_values(found: Analysis, names: Sequence[str]) -> list[dict[str, Any]]:
    """Values of requests that no training row has, most requests first."""
    counts: Counter[tuple[str, str]] = Counter()
    for slot, name in enumerate(names):
        known = set(found.train.inputs[:, slot].tolist())
        used = any(slot in part.slots for part in found.components)
        if used:
            values = (value for value in found.test.inputs[:, slot].tolist() if value not in known)
            counts.update((name, found.train.codes.slots[slot][value]) for value in values)
    return [{"slot": slot, "value": value, "requests": count} for (slot, value), count in counts.most_common(SHOWN)]


def _groups(found: Analysis) -> list[dict[str, Any]]:
    """The largest groups of requests that are not pinned down, by output and values, each with its reason."""
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
        own = [(key, count) for key, count in groups.most_common() if key[2] == status][: SHOWN // 2]
        for key, count in own:
            row = first[key]
            example = {"requests": count, "example": found.test.ids[row], "text": found.test.texts[row]}
            shown.append(example | asdict(explain[key[0]](row)))
    return shown


def _contradictions(found: Analysis, place: int) -> list[dict[str, Any]]:
    """Inputs without a clear output that most rows have."""
    component, schema, codes = found.components[place], found.train.schema, found.train.codes
    unclear = np.flatnonzero(component.settled.unclear).tolist()
    largest = sorted(unclear, key=lambda at: -len(component.settled.rows[at]))[: SHOWN // 4]
    shown = []
    for at in largest:
        rows = component.rows[list(component.settled.rows[at])]
        counts = Counter(
            codes.outputs[component.output][c] for c in found.train.outputs[rows, component.output].tolist()
        )
        values = component.settled.observations.inputs[at].tolist()
        named = {schema.slots[s].name: codes.slots[s][v] for s, v in zip(component.slots, values, strict=False)}
        shown.append(
            {"output": component.name, "values": named, "rows": len(rows), "counts": dict(counts.most_common(4))}
        )
    return shown


def _growth(found: Analysis) -> list[dict[str, Any]]:
    """Share of requests seen or determined by parts of the training rows, with the same slots and k."""
    order = np.random.default_rng(0).permutation(len(found.train))
    made = []
    for share in GROWTH:
        size = round(share * len(order))
        if share == 1.0:
            worst = found.worst
        elif size < 2:
            continue
        else:
            parts = components(found.train.take(np.sort(order[:size])), like=found.components)
            verdicts = tuple(judge(part, found.test.inputs, sweep=False) for part in parts)
            worst = Analysis(found.train, found.test, tuple(parts), verdicts).worst
        good = proportion(int((worst <= DETERMINED).sum()), len(worst))
        made.append({"rows": size, "determined": good.as_dict(), "seen": float((worst == SEEN).mean())})
    return made
