"""What a run's logs hold for its report: curves, seconds by phase, and a few answers."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import Any

from ...data.cache import read_log

Line = dict[str, Any]
Points = list[tuple[float, float]]

_SUMMARIES = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss", "total_flos")
"""What the trainer writes once at the end."""
_ELSEWHERE = "elsewhere"
_SAMPLES_A_STEP = 2


@dataclass(frozen=True)
class Curves:
    """Numbers over steps.

    Attributes:
        points: `(step, value)` by name.
        left_out: How many values were not finite, by name.
    """

    points: dict[str, Points]
    left_out: Counter[str]


def read_lines(file: Path) -> list[Line]:
    """Return the objects of a JSON-lines file; none if there is no file, and without a last line that was cut off."""
    return [line for line in read_log(file) if isinstance(line, dict)]


def curves(lines: Sequence[Line]) -> Curves:
    """Return every number that was logged more than once over the steps; of a step logged twice the later value."""
    points: dict[str, dict[float, float]] = defaultdict(dict)
    left_out: Counter[str] = Counter()
    for line in lines:
        for name, value in line.items():
            if name in ("step", "epoch", *_SUMMARIES) or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if isfinite(value):
                points[name][line.get("step", 0)] = float(value)
            else:
                left_out[name] += 1
    return Curves({name: sorted(found.items()) for name, found in points.items() if len(found) > 1}, left_out)


def seconds_by_phase(lines: Sequence[Line]) -> dict[str, float]:
    """Return total seconds by phase; what a step took beyond its phases is "elsewhere".

    A line holds means over the steps since the line before.
    """
    seconds: Counter[str] = Counter()
    before = 0
    for line in lines:
        phases = {k.removeprefix("seconds/"): v for k, v in line.items() if k.startswith("seconds/")}
        if not phases:
            continue
        steps, before = max(line["step"] - before, 1), line["step"]
        whole = phases.pop("step", line.get("step_time", 0.0))
        for name, value in phases.items():
            seconds[name] += steps * value
        seconds[_ELSEWHERE] += steps * max(0.0, whole - sum(phases.values()))
    least = seconds.total() / 1000
    return {name: value for name, value in seconds.most_common() if value > least}


def first_middle_last(samples: Sequence[Line]) -> list[tuple[str, int, list[Line]]]:
    """Return a few answers of the first step, the one in the middle, and the last: `(which, step, answers)`."""
    steps = [(step, list(found)) for step, found in groupby(samples, key=lambda line: line.get("step", 0))]
    if not steps:
        return []
    which = {"First": 0, "Middle": len(steps) // 2, "Last": len(steps) - 1}
    chosen = {index: name for name, index in reversed(which.items())}
    return [(chosen[i], steps[i][0], _different(steps[i][1])) for i in sorted(chosen)]


def text_of(messages: str | Sequence[Mapping[str, Any]]) -> str:
    """Text of a prompt or completion: plain, or the contents of its messages with their roles but the user's."""
    if isinstance(messages, str):
        return messages
    parts = []
    for message in messages:
        content = message.get("content") or json.dumps(message.get("tool_calls"), ensure_ascii=False)
        role = message.get("role")
        parts.append(content if len(messages) == 1 or role == "user" else f"{role}: {content}")
    return "\n".join(parts)


def _different(samples: Sequence[Line]) -> list[Line]:
    """The first answers that are not the same text."""
    by_text = {text_of(sample["prompt"]) + text_of(sample["completion"]): sample for sample in reversed(samples)}
    return list(reversed(by_text.values()))[:_SAMPLES_A_STEP]
