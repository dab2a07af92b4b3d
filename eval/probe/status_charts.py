"""Two charts as SVG text: shares of the statuses, and accuracy by group. Colours are classes of the style sheet."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from ..measure.statistics import Interval
from ..show.figures import svg
from .statuses import STATUSES

COLOURS = dict(zip(STATUSES, ("c3", "c2", "c4", "c5", "c1", "c0"), strict=True))
_WIDTH, _LEFT, _RIGHT, _ROW = 480, 160, 12, 26


def status_chart(counts: Mapping[str, Mapping[str, int]], title: str) -> str:
    """Draw one bar a name, parted by status."""
    parts, height = [], 8 + _ROW * len(counts) + 24
    for line, (name, own) in enumerate(counts.items()):
        y, x = 6 + _ROW * line, float(_LEFT)
        total = sum(own.values()) or 1
        strong = ' font-weight="600"' if line == 0 else ""
        parts.append(f'<text x="{_LEFT - 10}" y="{y + 14}" text-anchor="end"{strong}>{escape(_cut(name))}</text>')
        for status, count in own.items():
            width = count / total * (_WIDTH - _RIGHT - _LEFT)
            text = escape(f"{name}: {status} {count} of {total}")
            parts.append(
                f'<rect class="fill {COLOURS[status]}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="18">'
                f"<title>{text}</title></rect>"
            )
            x += width
    return svg([*parts, _axis(height)], _WIDTH, height, title)


def accuracy_chart(shares: Mapping[str, Interval], counts: Mapping[str, int], title: str) -> str:
    """Draw accuracy with 95 % intervals, a row a group."""
    height = 8 + _ROW * len(shares) + 24
    parts = [_grid(height)]
    for line, (name, share) in enumerate(shares.items()):
        y, colour = 6 + _ROW * line + 9, COLOURS.get(name, "c2")
        label = f"{_cut(name)} ({counts.get(name, 0)})"
        parts.append(f'<text x="{_LEFT - 10}" y="{y + 5}" text-anchor="end">{escape(label)}</text>')
        parts.append(f'<path class="bar {colour}" d="M{_x(share.low)} {y}H{_x(share.high)}"/>')
        text = escape(f"{name}: {100 * share.estimate:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}]")
        dot = f'<circle class="dot {colour}" cx="{_x(share.estimate)}" cy="{y}" r="4.5">'
        parts.append(f"{dot}<title>{text}</title></circle>")
    return svg([*parts, _axis(height)], _WIDTH, height, title)


def _x(share: float) -> float:
    return round(_LEFT + share * (_WIDTH - _RIGHT - _LEFT), 1)


def _axis(height: float) -> str:
    anchors = {0: "start", 100: "end"}
    ticks = (
        f'<text class="tick" x="{_x(tick / 100)}" y="{height - 6}" text-anchor="{anchors.get(tick, "middle")}">{tick}'
        f"{' %' if tick == 100 else ''}</text>"
        for tick in range(0, 101, 20)
    )
    return "".join(ticks)


def _grid(height: float) -> str:
    return "".join(f'<path class="grid" d="M{_x(tick / 100)} 2V{height - 22}"/>' for tick in range(0, 101, 20))


def _cut(name: str, limit: int = 25) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"
