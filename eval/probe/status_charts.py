"""Two charts as SVG text: shares of the statuses, and accuracy by group. Colours are classes of the style sheet."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from ..measure.statistics import Interval
from ..show.figures import Scale, interval_mark, svg, text
from .statuses import STATUSES

COLOURS = dict(zip(STATUSES, ("c3", "c2", "c4", "c5", "c1", "c0"), strict=True))
_WIDTH, _LEFT, _RIGHT, _ROW = 480, 160, 12, 26
_ACROSS = Scale(0, 1, _LEFT, _WIDTH - _RIGHT)


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
            words = escape(f"{name}: {status} {count} of {total}")
            parts.append(
                f'<rect class="fill {COLOURS[status]}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="18">'
                f"<title>{words}</title></rect>"
            )
            x += width
    return svg([*parts, _axis(height)], _WIDTH, height, title)


def accuracy_chart(shares: Mapping[str, Interval], counts: Mapping[str, int], title: str) -> str:
    """Draw accuracy with 95 % intervals, a row a group."""
    height = 8 + _ROW * len(shares) + 24
    parts = [f'<path class="grid" d="M{_ACROSS(tick / 100)} 2V{height - 22}"/>' for tick in range(0, 101, 20)]
    for row, (name, share) in enumerate(shares.items()):
        y = 6 + _ROW * row + 9
        parts.append(text(_LEFT - 10, y + 5, f"{_cut(name)} ({counts.get(name, 0)})", "end"))
        parts.append(interval_mark(_ACROSS, y, share, COLOURS.get(name, "c2"), name))
    return svg([*parts, _axis(height)], _WIDTH, height, title)


def _axis(height: float) -> str:
    anchors = {0: "start", 100: "end"}
    ticks = {tick: f"{tick} %" if tick == 100 else f"{tick}" for tick in range(0, 101, 20)}
    return "".join(text(_ACROSS(t / 100), height - 6, w, anchors.get(t, "middle"), "tick") for t, w in ticks.items())


def _cut(name: str, limit: int = 25) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"
