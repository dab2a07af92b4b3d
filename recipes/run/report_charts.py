"""Curves over steps as SVG text, in the colours of the board's style sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10

from ...eval.show.figures import svg
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
    left, right = min(steps), max(max(steps), min(steps) + 1)

    def x(step: float) -> float:
        return round(_LEFT + (step - left) / (right - left) * (_WIDTH - _RIGHT - _LEFT), 1)

    def y(value: float) -> float:
        share = (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP), 1)

    parts = [_level(y(tick), tick) for tick in y_ticks]
    for tick in x_ticks:
        place = f'x="{x(tick)}" y="{_HEIGHT - _BOTTOM + 17}"'
        parts.append(f'<text class="tick" {place} text-anchor="middle">{number(tick)}</text>')
    for colour, found in curves.values():
        few = thinned(found)
        smooth = noisy and len(few) >= _SMOOTHED_FROM
        parts.append(_line([(x(a), y(b)) for a, b in few], f"{'raw' if smooth else 'line'} c{colour}"))
        if smooth:
            parts.append(_line([(x(a), y(b)) for a, b in running_mean(few, len(few) // 20)], f"line c{colour}"))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle}" y="{_HEIGHT - 4}" text-anchor="middle">step</text>')
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


def _level(y: float, value: float) -> str:
    line = f'<path class="grid" d="M{_LEFT} {y}H{_WIDTH - _RIGHT}"/>'
    return f'{line}<text class="tick" x="{_LEFT - 7}" y="{y + 4}" text-anchor="end">{number(value)}</text>'


def _line(points: Sequence[tuple[float, float]], name: str) -> str:
    return f'<polyline class="{name}" points="{" ".join(f"{x},{y}" for x, y in points)}"/>'
