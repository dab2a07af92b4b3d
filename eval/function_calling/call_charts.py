"""Two charts as SVG text: accuracy by scenario beside the trivial baselines, and decisions as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ...data.function_calling.check.row_view import DECISIONS
from ..show.figures import Scale, interval_mark, legend, svg, text, x_tick
from .call_rates import Report, Share
from .call_tables import Entry
from .cases import NO_DECISION

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 620, 132, 18, 30, 40
_ACROSS = Scale(0, 1, _LEFT, _WIDTH - _RIGHT)
_CELL_WIDTH, _CELL_HEIGHT = 76, 46


def scenario_chart(entries: Sequence[Entry], title: str) -> str:
    """Draw accuracy with 95 % intervals, a row a scenario; an upright line is the best trivial baseline."""
    names = list(dict.fromkeys(name for entry in entries for name in entry.report.scenarios))
    row = 14 + 9 * len(entries)
    bottom = _TOP + row * len(names)
    parts = [_legend(entries), *(x_tick(_ACROSS(tick / 100), f"{tick}", bottom, _TOP) for tick in range(0, 101, 20))]
    best = entries[0].report.best_trivial
    for index, name in enumerate(names):
        top = _TOP + row * index
        parts.append(text(_LEFT - 10, top + row / 2 + 4, name.replace("_", " "), "end"))
        if name in best:
            parts.append(_trivial(*best[name], top + 3, row - 6))
        for place, entry in enumerate(entries):
            value = entry.report.scenarios[name].interval if name in entry.report.scenarios else None
            if value is not None:
                y = top + row / 2 + 9 * (place - (len(entries) - 1) / 2)
                parts.append(interval_mark(_ACROSS, y, value, f"c{entry.colour}", f"{entry.model}, {name}"))
    parts.append(text((_LEFT + _WIDTH - _RIGHT) / 2, bottom + 34, "right answers, %", kind="axis"))
    return svg(parts, _WIDTH, bottom + _BOTTOM, title)


def confusion_chart(report: Report, title: str) -> str:
    """Draw rows by right decision (down) and decision taken (across), shaded by their share of the row."""
    found = (*DECISIONS, NO_DECISION)
    wanted = [name for name in DECISIONS if any(report.confusion[name, f] for f in found)]
    width, height = 74 + _CELL_WIDTH * len(found), 42 + _CELL_HEIGHT * len(wanted)
    parts = [text(74 + _CELL_WIDTH * len(found) / 2, 13, "taken", kind="axis")]
    for column, name in enumerate(found):
        parts.append(text(74 + _CELL_WIDTH * (column + 0.5), 33, name))
    for line, name in enumerate(wanted):
        y = 42 + _CELL_HEIGHT * line
        total = sum(report.confusion[name, f] for f in found)
        parts.append(text(64, y + _CELL_HEIGHT / 2 + 4, name, "end"))
        for column, other in enumerate(found):
            x = 74 + _CELL_WIDTH * column
            parts.append(_cell(x, y, report.confusion[name, other], total, f"{name} taken for {other}"))
    return svg(parts, width, height, title)


def _legend(entries: Sequence[Entry]) -> str:
    names, x = legend([entry.model for entry in entries], _LEFT)
    return f'{names}<path class="trivial" d="M{x + 5} 5v14"/>' + text(x + 14, 16, "best trivial baseline", "start")


def _trivial(name: str, share: Share, y: float, height: float) -> str:
    x = _ACROSS(share.right / share.of)
    words = escape(f"best trivial baseline, {name}: {100 * share.right / share.of:.1f} %")
    return f'<path class="trivial" d="M{x} {y}v{height}"><title>{words}</title></path>'


def _cell(x: float, y: float, count: int, total: int, words: str) -> str:
    share = count / total
    shade = f'<rect class="cell" x="{x + 1}" y="{y + 1}" width="{_CELL_WIDTH - 2}" height="{_CELL_HEIGHT - 2}"'
    title = f"<title>{escape(words)}: {count} of {total}</title>"
    number = text(x + _CELL_WIDTH / 2, y + _CELL_HEIGHT / 2 + 4, str(count), kind="strong" if share > 0.55 else "")
    return f'{shade} fill-opacity="{0.04 + 0.96 * share:.2f}">{title}</rect>{number}'
