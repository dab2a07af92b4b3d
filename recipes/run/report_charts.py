"""Curves over steps as SVG text, in the colours of the board's style sheet."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor, log10

from ...eval.show.figures import Scale, line, svg, text, x_tick, y_tick
from .report_data import Points

_WIDTH, _HEIGHT = 440, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 20, 10, 38
_POINTS = 400
_SMOOTHED_FROM = 40
"""Points from which on a running mean is drawn over the values."""


def curve_chart(curves: Mapping[str, tuple[int, Points]], title: str, noisy: bool = True) -> str:
    """Draw values over steps; long curves get a running mean over a tenth of the run.

    Args:
        curves: Colour and points by name.
        title: Read out for those who do not see.
        noisy: Whether a running mean tells more than the values.
    """
    points = [point for _, found in curves.values() for point in found]
    steps, values = [p[0] for p in points], [p[1] for p in points]
    x_ticks, y_ticks = ticks(min(steps), max(steps), inside=True), ticks(min(values), max(values))
    across = Scale(min(steps), max(max(steps), min(steps) + 1), _LEFT, _WIDTH - _RIGHT)
    up = Scale(y_ticks[0], y_ticks[-1], _HEIGHT - _BOTTOM, _TOP)
    parts = [y_tick(up(tick), number(tick), _LEFT, _WIDTH - _RIGHT) for tick in y_ticks]
    parts += [x_tick(across(tick), number(tick), _HEIGHT - _BOTTOM) for tick in x_ticks]
    for colour, found in curves.values():
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
    sums = [0.0]
    for _, value in points:
        sums.append(sums[-1] + value)
    found = []
    for i, (step, _) in enumerate(points):
        width = min(reach, i, len(points) - 1 - i)
        found.append((step, (sums[i + width + 1] - sums[i - width]) / (2 * width + 1)))
    return found
