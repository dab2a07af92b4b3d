"""Figures of `training.py`: accuracy by status, predictors, and planned rows against random ones.

The unit of every interval is the input: requests with equal values share their verdicts. Seeds are pooled as samples of
one model; their own means stand beside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quince.eval.measure.statistics import bounded_mean, paired_difference
from quince.eval.probe.answers import Reply, output_accuracy
from quince.eval.probe.calibration import by_status, calibrate, inputs_of, read_answers
from quince.eval.probe.components import components
from quince.eval.probe.repair import plan
from quince.eval.probe.slot_analysis import Analysis, analyse, read_joined, read_sets
from quince.eval.probe.statuses import DETERMINED, STATUSES
from quince.eval.probe.summary import calibration_summary

FloatArray = NDArray[np.float64]
Runs = dict[str, list[dict[str, Reply]]]
ORDER = ("seen", "determined", "weak", "uncovered", "new-primitive")
DRAWS = 1000


def figures(runs: Path, seeds: Sequence[Path], tests: Sequence[Path], arms: Sequence[str]) -> dict[str, Any]:
    split = runs / "split"
    found = analyse(*read_joined(str(split / "train.jsonl"), "function_calls", list(map(str, tests))))
    replies = {arm: [read_answers([seed / f"{arm}_eval"])[1] for seed in seeds] for arm in ("calls", *arms)}
    own = [calibration_summary(calibrate(found, f.name, run)) for f, run in zip(seeds, replies["calls"], strict=True)]
    joined = pooled(replies["calls"])
    right = output_accuracy(found.test, joined)
    whole = np.array([joined[name].accuracy for name in found.test.ids])
    calls = np.array([json.loads(item.row["gold"])["decision"] == "call" for item in found.test.placed])
    clusters = inputs_of(found)
    where_calls = by_status(np.where(calls, whole, np.nan), found.worst, clusters)
    return {
        "seeds": [int(seed.name.removeprefix("seed_")) for seed in seeds],
        "split": json.loads((split / "split.json").read_text(encoding="utf-8")),
        "requests": found.counts(),
        "call_is_right": {name: int(calls[found.worst == place].sum()) for place, name in enumerate(STATUSES)},
        "calibration": calibration_summary(calibrate(found, "tiny", joined)),
        "where_a_call_is_right": {name: share.as_dict() for name, share in where_calls.items()},
        "by_seed": [{"whole": _estimates(m["statuses"]), "parts": _estimates(m["parts"]["statuses"])} for m in own],
        "steps": [_step(right, found.statuses, clusters, *pair) for pair in pairwise(ORDER)],
        "planned_rows": len((runs / "plan" / "rows.jsonl").read_text(encoding="utf-8").splitlines()),
        "with_a_wanted_input": {arm: _shared(runs, arm) for arm in arms},
        "repair": _repair(runs, found, replies, clusters),
    }


def pooled(runs: Sequence[Mapping[str, Reply]]) -> dict[str, Reply]:
    """Replies of several models (seeds, say) as samples of one model, for requests that all of them answered."""
    made = {}
    for name in (name for name in runs[0] if all(name in run for run in runs)):
        own = [run[name] for run in runs]
        texts = tuple((text, share / len(runs)) for reply in own for text, share in reply.texts)
        made[name] = Reply(sum(reply.accuracy for reply in own) / len(runs), texts)
    return made


def _estimates(shares: dict[str, Any]) -> dict[str, float]:
    return {name: share["estimate"] for name, share in shares.items()}


def _step(right: FloatArray, status: Any, clusters: Any, firm: str, less: str) -> dict[str, Any]:
    """How much more often outputs of one status are right than those of the next, within outputs that have both."""
    size = int(clusters.max()) + 1
    drawn = np.random.default_rng(0).multinomial(size, np.full(size, 1 / size), size=DRAWS)
    weights = np.concatenate([np.ones((1, len(clusters))), drawn[:, clusters].astype(float)])
    total, norm, used = np.zeros(len(weights)), np.zeros(len(weights)), []
    for column in range(right.shape[1]):
        sides = []
        for name in (firm, less):
            own = (status[:, column] == STATUSES.index(name)) & ~np.isnan(right[:, column])
            sides.append((weights[:, own].sum(axis=1), weights[:, own] @ right[own, column]))
        (many, good), (others, fine) = sides
        if not many[0] or not others[0]:
            continue
        both = (many > 0) & (others > 0)
        weight = np.where(both, many * others / np.maximum(many + others, 1), 0.0)
        total += weight * (good / np.maximum(many, 1) - fine / np.maximum(others, 1))
        norm += weight
        used.append(int(many[0] + others[0]))
    gap = np.divide(total, norm, out=np.full(len(total), np.nan), where=norm > 0)
    ends = np.nanquantile(gap[1:], [0.025, 0.975]) if used else (np.nan, np.nan)
    found = {"firm": firm, "less": less, "outputs": len(used), "answers": sum(used)}
    return found | {"gap": [*map(float, (gap[0], *ends))]}


def _repair(runs: Path, found: Analysis, replies: Runs, clusters: Any) -> list[dict[str, Any]]:
    """By group of requests: accuracy before, with planned rows and with random ones, and their paired difference."""
    joined = {arm: pooled(several) for arm, several in replies.items()}
    whole = {arm: np.array([own[name].accuracy for name in found.test.ids]) for arm, own in joined.items()}
    parts = {arm: output_accuracy(found.test, own) for arm, own in joined.items()}
    status = [STATUSES[place] for place in found.worst]
    wanted, fixed = _planned(runs)
    groups = {
        "all that rows are planned for": [name in wanted for name in found.test.ids],
        "those that the plan pins down": [name in fixed for name in found.test.ids],
        "the rest of them": [name in wanted and name not in fixed for name in found.test.ids],
        **{name: [own == name for own in status] for name in STATUSES},
    }
    lines = []
    for name, mask in groups.items():
        rows = np.flatnonzero(mask)
        if not len(rows):
            continue
        line: dict[str, Any] = {"group": name, "requests": len(rows), "inputs": len(np.unique(clusters[rows]))}
        per_request = {arm: np.nanmean(values[rows], axis=1) for arm, values in parts.items()}
        for kind, own in (("whole", {arm: values[rows] for arm, values in whole.items()}), ("outputs", per_request)):
            line[kind] = _arms(own, clusters[rows].tolist())
        lines.append(line)
    return lines


def _arms(values: dict[str, FloatArray], clusters: list[int]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for arm, own in values.items():
        share = bounded_mean(own, clusters)
        made[arm] = [share.estimate, share.low, share.high]
    for name, before in (("gain", "random"), ("planned", "calls")):
        change = paired_difference(values[before], values["rows"], clusters=clusters)
        made[name] = [change.estimate, change.low, change.high]
    return made


def _sets(runs: Path, pool: str) -> Any:
    return read_sets(str(runs / "split/train.jsonl"), "function_calls", str(runs / "wanted.jsonl"), str(runs / pool))


def _planned(runs: Path) -> tuple[set[str], set[str]]:
    """Ids of the requests that rows were planned for, and of those that the plan says it pins down."""
    train, test, pool = _sets(runs, "split/rest.jsonl")
    made = plan(analyse(train, test), 200, pool)
    return set(test.ids), {name for name, worst in zip(test.ids, made.after.worst, strict=True) if worst <= DETERMINED}


def _shared(runs: Path, arm: str) -> int:
    train, test, added = _sets(runs, f"plan/{arm}.jsonl")
    slots = sorted({slot for part in components(train) for slot in part.slots})
    wanted = set(map(tuple, test.inputs[:, slots].tolist()))
    return sum(tuple(values) in wanted for values in added.inputs[:, slots].tolist())
