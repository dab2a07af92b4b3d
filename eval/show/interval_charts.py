"""Charts as SVG text: lines with bands, and points with error bars. Colours are classes of the style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log2

from ..measure.statistics import Interval
from .figures import Scale, axis_names, dot, line, path, percent, svg, x_tick, y_tick

WIDTH, HEIGHT = 440, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 14, 12, 44


@dataclass(frozen=True)
class Line:
    """One model's values over x.

    Attributes:
        name: Shown when a pointer rests on the line.
        colour: Index of the colour class.
        points: `(x, value with interval)`.
    """

    name: str
    colour: int
    points: Sequence[tuple[float, Interval]]


@dataclass(frozen=True)
class Point:
    """One model's place in a plane."""

    name: str
    colour: int
    x: Interval
    y: Interval


def line_chart(lines: Sequence[Line], title: str, x_label: str, y_label: str) -> str:
    """Draw shares over powers of two, with a band for each interval."""
    xs = sorted({x for one in lines for x, _ in one.points})
    low, high = _range([value for one in lines for _, value in one.points])
    across = Scale(log2(xs[0]), max(log2(xs[-1]), log2(xs[0]) + 1), _LEFT, WIDTH - _RIGHT)
    up = Scale(low, high, HEIGHT - _BOTTOM, _TOP)
    parts = [_grid(up), *(x_tick(across(log2(x)), f"{x:g}", HEIGHT - _BOTTOM) for x in xs)]
    for one in lines:
        there = [(across(log2(x)), up(value.drawn[1])) for x, value in one.points]
        back = [(across(log2(x)), up(value.drawn[0])) for x, value in reversed(one.points)]
        parts.append(f'<polygon class="band c{one.colour}" points="{path(there + back)}"/>')
    for one in lines:
        places = [(across(log2(x)), up(value.estimate)) for x, value in one.points]
        parts.append(line(places, f"line c{one.colour}"))
        for (x, y), (k, value) in zip(places, one.points, strict=True):
            parts.append(dot(x, y, f"c{one.colour}", f"{one.name}, {x_label} = {k:g}: {percent(value)}"))
    parts.append(axis_names(across, up, x_label, y_label, HEIGHT))
    return svg(parts, WIDTH, HEIGHT, title)


def scatter(points: Sequence[Point], title: str, x_label: str, y_label: str, guide: Point | None = None) -> str:
    """Draw shares against shares with both intervals; `guide` draws lines through one of the points."""
    across = Scale(*_range([p.x for p in points]), _LEFT, WIDTH - _RIGHT)
    up = Scale(*_range([p.y for p in points]), HEIGHT - _BOTTOM, _TOP)
    ticks = _ticks(across.low, across.high)
    parts = [_grid(up), *(x_tick(across(t), f"{100 * t:.0f}", HEIGHT - _BOTTOM) for t in ticks)]
    if guide is not None:
        x, y = across(guide.x.estimate), up(guide.y.estimate)
        parts.append(f'<path class="guide" d="M{x} {_TOP}V{HEIGHT - _BOTTOM}M{_LEFT} {y}H{WIDTH - _RIGHT}"/>')
    for point in points:
        x, y = across(point.x.estimate), up(point.y.estimate)
        (left, right), (bottom, top) = map(across, point.x.drawn), map(up, point.y.drawn)
        parts.append(f'<path class="bar c{point.colour}" d="M{left} {y}H{right}M{x} {bottom}V{top}"/>')
    for point in points:
        words = f"{point.name}: {x_label} {percent(point.x)}, {y_label} {percent(point.y)}"
        parts.append(dot(across(point.x.estimate), up(point.y.estimate), f"c{point.colour}", words))
    parts.append(axis_names(across, up, x_label, y_label, HEIGHT))
    return svg(parts, WIDTH, HEIGHT, title)


def _grid(up: Scale) -> str:
    ticks = _ticks(up.low, up.high)
    return "".join(y_tick(up(tick), f"{100 * tick:.0f}", _LEFT, WIDTH - _RIGHT) for tick in ticks)


def _range(values: Sequence[Interval]) -> tuple[float, float]:
    """Widen to whole steps of a twentieth, inside [0, 1], at least a tenth wide."""
    low, high = floor(min(v.drawn[0] for v in values) * 20) / 20, ceil(max(v.drawn[1] for v in values) * 20) / 20
    if high - low < 0.1:
        low, high = max(0.0, low - 0.05), min(1.0, high + 0.05)
    return low, high


def _ticks(low: float, high: float) -> list[float]:
    """Return four to eight round values."""
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.25) if (high - low) / s <= 7)
    first = ceil(low / step - 1e-9)
    return [i * step for i in range(first, floor(high / step + 1e-9) + 1)]
