"""Two charts as SVG text: accuracy by scenario beside the trivial baselines, and decisions as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..show.figures import svg
from .call_rates import Report, Share
from .call_tables import Entry
from .cases import DECISIONS, NO_DECISION

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 620, 132, 18, 30, 40
_CELL_WIDTH, _CELL_HEIGHT = 76, 46


def scenario_chart(entries: Sequence[Entry], title: str) -> str:
    """Draw accuracy with 95 % intervals, a row a scenario; an upright line is the best trivial baseline."""
    names = list(dict.fromkeys(name for entry in entries for name in entry.report.scenarios))
    row = 14 + 9 * len(entries)
    bottom = _TOP + row * len(names)
    parts = [_legend(entries), _grid(bottom)]
    best = entries[0].report.best_trivial
    for index, name in enumerate(names):
        top = _TOP + row * index
        label = escape(name.replace("_", " "))
        parts.append(f'<text x="{_LEFT - 10}" y="{top + row / 2 + 4}" text-anchor="end">{label}</text>')
        if name in best:
            parts.append(_trivial(*best[name], top + 3, row - 6))
        for place, entry in enumerate(entries):
            share = entry.report.scenarios.get(name)
            if share is not None:
                y = top + row / 2 + 9 * (place - (len(entries) - 1) / 2)
                parts.append(_mark(entry, name, share, y))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle}" y="{bottom + 34}" text-anchor="middle">right answers, %</text>')
    return svg(parts, _WIDTH, bottom + _BOTTOM, title)


def confusion_chart(report: Report, title: str) -> str:
    """Draw rows by right decision (down) and decision taken (across), shaded by their share of the row."""
    found = (*DECISIONS, NO_DECISION)
    wanted = [name for name in DECISIONS if any(report.confusion[name, f] for f in found)]
    width, height = 74 + _CELL_WIDTH * len(found), 42 + _CELL_HEIGHT * len(wanted)
    parts = [f'<text class="axis" x="{74 + _CELL_WIDTH * len(found) / 2}" y="13" text-anchor="middle">taken</text>']
    for column, name in enumerate(found):
        parts.append(f'<text x="{74 + _CELL_WIDTH * (column + 0.5)}" y="33" text-anchor="middle">{name}</text>')
    for line, name in enumerate(wanted):
        y = 42 + _CELL_HEIGHT * line
        total = sum(report.confusion[name, f] for f in found)
        parts.append(f'<text x="64" y="{y + _CELL_HEIGHT / 2 + 4}" text-anchor="end">{name}</text>')
        for column, other in enumerate(found):
            x = 74 + _CELL_WIDTH * column
            parts.append(_cell(x, y, report.confusion[name, other], total, f"{name} taken for {other}"))
    return svg(parts, width, height, title)


def _x(share: float) -> float:
    return round(_LEFT + share * (_WIDTH - _RIGHT - _LEFT), 1)


def _legend(entries: Sequence[Entry]) -> str:
    x, parts = _LEFT, []
    for entry in entries:
        parts.append(f'<circle class="dot c{entry.colour}" cx="{x + 5}" cy="12" r="4.5"/>')
        parts.append(f'<text x="{x + 14}" y="16">{escape(entry.model)}</text>')
        x += 34 + round(6.6 * len(entry.model))
    parts.append(f'<path class="trivial" d="M{x + 5} 5v14"/><text x="{x + 14}" y="16">best trivial baseline</text>')
    return "".join(parts)


def _grid(bottom: float) -> str:
    parts = []
    for tick in range(0, 101, 20):
        x = _x(tick / 100)
        parts.append(f'<path class="grid" d="M{x} {_TOP}V{bottom}"/>')
        parts.append(f'<text class="tick" x="{x}" y="{bottom + 16}" text-anchor="middle">{tick}</text>')
    return "".join(parts)


def _trivial(name: str, share: Share, y: float, height: float) -> str:
    x = _x(share.right / share.of)
    text = escape(f"best trivial baseline, {name}: {100 * share.right / share.of:.1f} %")
    return f'<path class="trivial" d="M{x} {y}v{height}"><title>{text}</title></path>'


def _mark(entry: Entry, name: str, share: Share, y: float) -> str:
    value = share.interval
    assert value is not None, "shares of nothing are not drawn"
    text = f"{entry.model}, {name}: {100 * value.estimate:.1f} % [{100 * value.low:.1f}, {100 * value.high:.1f}]"
    bar = f'<path class="bar c{entry.colour}" d="M{_x(value.low)} {y}H{_x(value.high)}"/>'
    dot = f'<circle class="dot c{entry.colour}" cx="{_x(value.estimate)}" cy="{y}" r="4.5">'
    return f"{bar}{dot}<title>{escape(text)}</title></circle>"


def _cell(x: float, y: float, count: int, total: int, text: str) -> str:
    share = count / total
    strong = ' class="strong"' if share > 0.55 else ""
    shade = f'<rect class="cell" x="{x + 1}" y="{y + 1}" width="{_CELL_WIDTH - 2}" height="{_CELL_HEIGHT - 2}"'
    centre = f'x="{x + _CELL_WIDTH / 2}" y="{y + _CELL_HEIGHT / 2 + 4}" text-anchor="middle"'
    title = f"<title>{escape(text)}: {count} of {total}</title>"
    return f'{shade} fill-opacity="{0.04 + 0.96 * share:.2f}">{title}</rect><text{strong} {centre}>{count}</text>'
