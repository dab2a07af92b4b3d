"""Charts as SVG text: their elements, lines with bands, and points with error bars.

Colours come from the style sheet of the page; `kind` is a class of it, such as "dot c3". Every text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log2

from ..measure.statistics import Interval

_STYLE = """
svg { background: #fff; font-family: system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
text { fill: #22211d; font-size: 12px; } .tick, .axis { fill: #6c695f; }
.grid { stroke: #e4e1d6; } .bar { stroke: var(--c); stroke-width: 1.6; opacity: .55; fill: none; }
.dot { fill: var(--c); stroke: #fff; stroke-width: 1.5; } .trivial { stroke: #22211d; stroke-width: 2; opacity: .55; }
.line { fill: none; stroke: var(--c); stroke-width: 2.2; stroke-linejoin: round; }
.band { fill: var(--c); opacity: .12; }
.guide { stroke: #6c695f; stroke-dasharray: 3 4; fill: none; opacity: .7; }
.cell { fill: #2e7da8; } .strong { fill: #fff; }
.c0 { --c: #4a4a46; } .c1 { --c: #d1495b; } .c2 { --c: #2e7da8; } .c3 { --c: #2f8f6b; }
.c4 { --c: #b57b11; } .c5 { --c: #7b5ea7; } .c6 { --c: #00868b; } .c7 { --c: #a0522d; }
"""


@dataclass(frozen=True)
class Scale:
    """Maps values to pixels."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)


def svg(parts: Sequence[str], width: float, height: float, title: str) -> str:
    """Return a chart from its elements."""
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title, quote=True)}">'
    return head + "".join(parts) + "</svg>"


def alone(chart: str) -> str:
    """Return a chart as a file of its own, with the style sheet inside."""
    head, _, rest = chart.partition(">")
    width, height = head.split('viewBox="0 0 ')[1].split('"')[0].split()
    start = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
    return f"{head.replace('<svg', start, 1)}><style>{_STYLE}</style>{rest}\n"


def text(x: float, y: float, words: str, anchor: str = "middle", kind: str = "") -> str:
    """Return text whose `anchor` ("start", "middle" or "end") is at a point."""
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'


def x_tick(x: float, words: str, bottom: float, top: float | None = None) -> str:
    """Return a tick below the axis at `bottom`; with `top`, also a vertical grid line."""
    line = "" if top is None else f'<path class="grid" d="M{x} {top}V{bottom}"/>'
    return line + text(x, bottom + 17, words, kind="tick")


def y_tick(y: float, words: str, left: float, right: float, kind: str = "grid") -> str:
    """Return a tick left of the axis at `left`, with a grid line to `right`."""
    return f'<path class="{kind}" d="M{left} {y}H{right}"/>' + text(left - 7, y + 4, words, "end", "tick")


def axis_names(across: Scale, up: Scale, x_name: str, y_name: str, height: float) -> str:
    """Return the names of both axes."""
    turned = f'transform="translate(13 {(up.start + up.stop) / 2}) rotate(-90)"'
    below = text((across.start + across.stop) / 2, height - 8, x_name, kind="axis")
    return below + f'<text class="axis" {turned} text-anchor="middle">{escape(y_name)}</text>'


def dot(x: float, y: float, kind: str, title: str) -> str:
    """Return a dot with a tooltip."""
    return f'<circle class="dot {kind}" cx="{x}" cy="{y}" r="4.5"><title>{escape(title)}</title></circle>'


def line(points: Iterable[tuple[float, float]], kind: str) -> str:
    """Return a line through points."""
    return f'<polyline class="{kind}" points="{path(points)}"/>'


def path(points: Iterable[tuple[float, float]]) -> str:
    """Return points in the syntax of SVG."""
    return " ".join(f"{x},{y}" for x, y in points)


def interval_mark(across: Scale, y: float, value: Interval, kind: str, name: str) -> str:
    """Return a dot with its interval as a horizontal bar."""
    low, high = value.drawn
    bar = f'<path class="bar {kind}" d="M{across(low)} {y}H{across(high)}"/>'
    return bar + dot(across(value.estimate), y, kind, f"{name}: {percent(value)}")


def percent(value: Interval) -> str:
    """Format a share and its interval in percent."""
    ends = value.refused or f"{100 * value.low:.1f}, {100 * value.high:.1f}"
    return f"{100 * value.estimate:.1f} % [{ends}]"


def legend(names: Sequence[str], x: float) -> tuple[str, float]:
    """Return a dot and a name for each colour, and the x after the last one."""
    parts = []
    for colour, name in enumerate(names):
        parts.append(f'<circle class="dot c{colour}" cx="{x + 5}" cy="12" r="4.5"/>{text(x + 14, 16, name, "start")}')
        x += 34 + round(6.6 * len(name))
    return "".join(parts), x


WIDTH, HEIGHT = 440, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 14, 12, 44


@dataclass(frozen=True)
class Line:
    """One model's values over x: `(x, value with interval)`; the name is shown as a tooltip."""

    name: str
    colour: int
    points: Sequence[tuple[float, Interval]]


@dataclass(frozen=True)
class Point:
    """One model in a scatter plot."""

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
    """Draw shares against shares with both intervals; `guide` is a point with lines through it."""
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
    """Round outwards to multiples of 0.05, within [0, 1] and at least 0.1 wide."""
    low, high = floor(min(v.drawn[0] for v in values) * 20) / 20, ceil(max(v.drawn[1] for v in values) * 20) / 20
    if high - low < 0.1:
        low, high = max(0.0, low - 0.05), min(1.0, high + 0.05)
    return low, high


def _ticks(low: float, high: float) -> list[float]:
    """Return four to eight round values."""
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.25) if (high - low) / s <= 7)
    first = ceil(low / step - 1e-9)
    return [i * step for i in range(first, floor(high / step + 1e-9) + 1)]
