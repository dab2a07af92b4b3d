"""What the charts of several kinds of evaluation share: an SVG that takes its colours from the page it stands in."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

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


def svg(parts: Sequence[str], width: float, height: float, title: str) -> str:
    """Return a chart of ready parts."""
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title, quote=True)}">'
    return head + "".join(parts) + "</svg>"


def alone(chart: str) -> str:
    """Return a chart as a file of its own, with its style inside."""
    head, _, rest = chart.partition(">")
    width, height = head.split('viewBox="0 0 ')[1].split('"')[0].split()
    start = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
    return f"{head.replace('<svg', start, 1)}><style>{_STYLE}</style>{rest}\n"
