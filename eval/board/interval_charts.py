"""Charts as SVG text: lines with bands, and points with error bars. Colours are classes of the style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log2

from ..measure.statistics import Interval

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


@dataclass(frozen=True)
class _Scale:
    """Maps values to pixels."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)


def line_chart(lines: Sequence[Line], title: str, x_label: str, y_label: str) -> str:
    """Draw shares over powers of two, with a band for each interval."""
    xs = sorted({x for line in lines for x, _ in line.points})
    ends = [end for line in lines for _, value in line.points for end in (value.low, value.high)]
    low, high = _range(ends)
    across = _Scale(log2(xs[0]), max(log2(xs[-1]), log2(xs[0]) + 1), _LEFT, WIDTH - _RIGHT)
    up = _Scale(low, high, HEIGHT - _BOTTOM, _TOP)
    parts = [_grid_y(up), *(_tick_x(across(log2(x)), f"{x:g}") for x in xs)]
    for line in lines:
        places = [(across(log2(x)), value) for x, value in line.points]
        band = [(x, up(v.high)) for x, v in places] + [(x, up(v.low)) for x, v in reversed(places)]
        parts.append(f'<polygon class="band c{line.colour}" points="{_path(band)}"/>')
    for line in lines:
        places = [(across(log2(x)), up(v.estimate)) for x, v in line.points]
        parts.append(f'<polyline class="line c{line.colour}" points="{_path(places)}"/>')
        for (x, y), (k, value) in zip(places, line.points, strict=True):
            parts.append(_dot(x, y, line.colour, f"{line.name}, {x_label} = {k:g}: {_percent(value)}"))
    return _svg(parts, title, x_label, y_label)


def scatter(points: Sequence[Point], title: str, x_label: str, y_label: str, guide: Point | None = None) -> str:
    """Draw shares against shares with both intervals; `guide` draws lines through one of the points."""
    across = _Scale(*_range([e for p in points for e in (p.x.low, p.x.high)]), _LEFT, WIDTH - _RIGHT)
    up = _Scale(*_range([e for p in points for e in (p.y.low, p.y.high)]), HEIGHT - _BOTTOM, _TOP)
    parts = [_grid_y(up), *(_tick_x(across(t), f"{100 * t:.0f}") for t in _ticks(across.low, across.high))]
    if guide is not None:
        x, y = across(guide.x.estimate), up(guide.y.estimate)
        parts.append(f'<path class="guide" d="M{x} {_TOP}V{HEIGHT - _BOTTOM}M{_LEFT} {y}H{WIDTH - _RIGHT}"/>')
    for point in points:
        x, y = across(point.x.estimate), up(point.y.estimate)
        bars = f"M{across(point.x.low)} {y}H{across(point.x.high)}M{x} {up(point.y.low)}V{up(point.y.high)}"
        parts.append(f'<path class="bar c{point.colour}" d="{bars}"/>')
    for point in points:
        text = f"{point.name}: {x_label} {_percent(point.x)}, {y_label} {_percent(point.y)}"
        parts.append(_dot(across(point.x.estimate), up(point.y.estimate), point.colour, text))
    return _svg(parts, title, x_label, y_label)


def _svg(parts: Sequence[str], title: str, x_label: str, y_label: str) -> str:
    middle_x, middle_y = (_LEFT + WIDTH - _RIGHT) / 2, (_TOP + HEIGHT - _BOTTOM) / 2
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">'
        + "".join(parts)
        + f'<text class="axis" x="{middle_x}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>'
        + f'<text class="axis" transform="translate(13 {middle_y}) rotate(-90)" text-anchor="middle">'
        + f"{escape(y_label)}</text></svg>"
    )


def _grid_y(up: _Scale) -> str:
    lines = []
    for tick in _ticks(up.low, up.high):
        y = up(tick)
        lines.append(f'<path class="grid" d="M{_LEFT} {y}H{WIDTH - _RIGHT}"/>')
        lines.append(f'<text class="tick" x="{_LEFT - 7}" y="{y + 4}" text-anchor="end">{100 * tick:.0f}</text>')
    return "".join(lines)


def _tick_x(x: float, text: str) -> str:
    return f'<text class="tick" x="{x}" y="{HEIGHT - _BOTTOM + 17}" text-anchor="middle">{text}</text>'


def _dot(x: float, y: float, colour: int, text: str) -> str:
    return f'<circle class="dot c{colour}" cx="{x}" cy="{y}" r="4.5"><title>{escape(text)}</title></circle>'


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _percent(interval: Interval) -> str:
    return f"{100 * interval.estimate:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Widen to whole steps of a twentieth, inside [0, 1], at least a tenth wide."""
    low, high = floor(min(values) * 20) / 20, ceil(max(values) * 20) / 20
    if high - low < 0.1:
        low, high = max(0.0, low - 0.05), min(1.0, high + 0.05)
    return low, high


def _ticks(low: float, high: float) -> list[float]:
    """Return four to eight round values."""
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.25) if (high - low) / s <= 7)
    first = ceil(low / step - 1e-9)
    return [i * step for i in range(first, floor(high / step + 1e-9) + 1)]
