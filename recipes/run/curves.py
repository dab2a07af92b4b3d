"""What a run logged, as curves over its steps: read from the lines of the log, and drawn as SVG text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, floor, isfinite, log10
from typing import Any

from ...eval.show.figures import Scale, line, svg, text, x_tick, y_tick

Line = dict[str, Any]
Points = list[tuple[float, float]]

_SUMMARIES = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss", "total_flos")
"""What the trainer writes once at the end."""
_WIDTH, _HEIGHT = 440, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 20, 10, 38
_POINTS = 400
_SMOOTHED_FROM = 40  # points from which on a running mean is drawn over the values


@dataclass(frozen=True)
class Curves:
    """Numbers over steps."""

    points: dict[str, Points]  # (step, value) by name
    left_out: Counter[str]  # how many values were not finite, by name


def curves(lines: Sequence[Line]) -> Curves:
    """Return every number that was logged more than once over the steps; of a step logged twice the later value."""
    points: dict[str, dict[float, float]] = defaultdict(dict)
    left_out: Counter[str] = Counter()
    for logged in lines:
        for name, value in logged.items():
            if name in ("step", "epoch", *_SUMMARIES) or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if isfinite(value):
                points[name][logged.get("step", 0)] = float(value)
            else:
                left_out[name] += 1
    return Curves({name: sorted(found.items()) for name, found in points.items() if len(found) > 1}, left_out)


def seconds_by_phase(lines: Sequence[Line]) -> dict[str, float]:
    """Return total seconds by phase; what a step took beyond its phases is "elsewhere".

    A line holds means over the steps since the line before.
    """
    seconds: Counter[str] = Counter()
    before = 0
    for logged in lines:
        phases = {k.removeprefix("seconds/"): v for k, v in logged.items() if k.startswith("seconds/")}
        if not phases:
            continue
        steps, before = max(logged["step"] - before, 1), logged["step"]
        whole = phases.pop("step", logged.get("step_time", 0.0))
        for name, value in phases.items():
            seconds[name] += steps * value
        seconds["elsewhere"] += steps * max(0.0, whole - sum(phases.values()))
    least = seconds.total() / 1000
    return {name: value for name, value in seconds.most_common() if value > least}


def curve_chart(drawn: Mapping[str, tuple[int, Points]], title: str, noisy: bool = True) -> str:
    """Draw values over steps, given as colour and points by name; `title` is what a screen reader reads.

    Long curves that are `noisy` get a running mean over a tenth of the run.
    """
    points = [point for _, found in drawn.values() for point in found]
    steps, values = [p[0] for p in points], [p[1] for p in points]
    x_ticks, y_ticks = ticks(min(steps), max(steps), inside=True), ticks(min(values), max(values))
    across = Scale(min(steps), max(max(steps), min(steps) + 1), _LEFT, _WIDTH - _RIGHT)
    up = Scale(y_ticks[0], y_ticks[-1], _HEIGHT - _BOTTOM, _TOP)
    parts = [y_tick(up(tick), number(tick), _LEFT, _WIDTH - _RIGHT) for tick in y_ticks]
    parts += [x_tick(across(tick), number(tick), _HEIGHT - _BOTTOM) for tick in x_ticks]
    for colour, found in drawn.values():
        few = thinned(found)
        smooth = noisy and len(few) >= _SMOOTHED_FROM
        parts.append(line([(across(a), up(b)) for a, b in few], f"{'raw' if smooth else 'line'} c{colour}"))
        if smooth:
            mean = running_mean(few, len(few) // 20)
            parts.append(line([(across(a), up(b)) for a, b in mean], f"line c{colour}"))
    parts.append(text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 4, "step", kind="axis"))
    return svg(parts, _WIDTH, _HEIGHT, title)


def ticks(low: float, high: float, inside: bool = False) -> list[float]:
    """Three to seven round values around a range, or inside of it."""
    if high <= low:
        spread = abs(low) / 2 or 0.5
        low, high = low - spread, high + spread
    raw = (high - low) / 5
    power = 10.0 ** floor(log10(raw))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= raw * 0.999)
    first, last = (ceil(low / step), floor(high / step)) if inside else (floor(low / step), ceil(high / step))
    return [i * step for i in range(first, last + 1)]


def number(value: float) -> str:
    """A few digits, with a true minus sign."""
    return f"{value:.6g}".replace("-", "−").replace("e−0", "e−").replace("e+0", "e")


def thinned(points: Points) -> Points:
    """As many points as a chart can show, each a mean over its neighbours."""
    size = ceil(len(points) / _POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def running_mean(points: Points, reach: int) -> Points:
    """Mean over as many neighbours on both sides, fewer at the ends."""
    sums = [0.0, *accumulate(value for _, value in points)]
    found = []
    for i, (step, _) in enumerate(points):
        width = min(reach, i, len(points) - 1 - i)
        found.append((step, (sums[i + width + 1] - sums[i - width]) / (2 * width + 1)))
    return found
