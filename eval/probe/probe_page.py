"""The report: one page with style and charts inline, and the same figures as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ...data.cache import write_atomic
from ...data.version import __version__
from ..measure.statistics import Interval
from ..show.figures import Line, Scale, interval_mark, line_chart, svg, text
from .statuses import STATUSES

COLOURS = dict(zip(STATUSES, ("c3", "c2", "c4", "c5", "c1", "c0"), strict=True))
_WIDTH, _LEFT, _RIGHT, _ROW = 480, 160, 12, 26
_ACROSS = Scale(0, 1, _LEFT, _WIDTH - _RIGHT)


def status_chart(counts: Mapping[str, Mapping[str, int]], title: str) -> str:
    """Draw one bar for each name, divided by status."""
    parts, height = [], 8 + _ROW * len(counts) + 24
    for line, (name, own) in enumerate(counts.items()):
        y, x = 6 + _ROW * line, float(_LEFT)
        total = sum(own.values()) or 1
        strong = ' font-weight="600"' if line == 0 else ""
        parts.append(f'<text x="{_LEFT - 10}" y="{y + 14}" text-anchor="end"{strong}>{escape(_cut(name))}</text>')
        for status, count in own.items():
            width = count / total * (_WIDTH - _RIGHT - _LEFT)
            words = escape(f"{name}: {status} {count} of {total}")
            bar = f'<rect class="fill {COLOURS[status]}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="18">'
            parts.append(f"{bar}<title>{words}</title></rect>")
            x += width
    return svg([*parts, _axis(height)], _WIDTH, height, title)


def accuracy_chart(shares: Mapping[str, Interval], counts: Mapping[str, int], title: str) -> str:
    """Draw the accuracy of each group with its 95 % interval."""
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


MEANINGS = {
    "seen": "one training row has all relevant values",
    "determined": "one output follows by substitutions with enough evidence",
    "weak": "one output follows, with too little evidence",
    "ambiguous": "different outputs follow, or training rows contradict each other",
    "uncovered": "no output follows",
    "new-primitive": "a value that no training row has",
}


def write_report(data: Mapping[str, Any], out: Path, names: Sequence[str]) -> Path:
    """Write `index.html` and `probe.json` into a folder and return the page's path.

    `data` is what `summary.summary` returns, with `plan` and `calibration` if there are any; `names` are those
    displayed of the training rows and of the requests.
    """
    write_atomic(out / "probe.json", json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    templates, board = files(__package__) / "templates", files("quince.eval.board") / "templates"
    styles = [(board / "board.css"), (templates / "probe.css")]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=lambda share: f"{100 * share:.1f}", decimal=_decimal, interval=_interval)
    page = environment.from_string((templates / "probe.html").read_text(encoding="utf-8")).render(
        data=data,
        style=Markup("\n".join(style.read_text(encoding="utf-8") for style in styles)),
        charts={name: Markup(chart) for name, chart in _charts(data).items()},
        colours=COLOURS,
        meanings=MEANINGS,
        statuses=STATUSES,
        names=names,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )
    return write_atomic(out / "index.html", page)


def _charts(data: Mapping[str, Any]) -> dict[str, str]:
    bars = {"whole request": data["statuses"]} | {output["name"]: output["statuses"] for output in data["outputs"]}
    charts = {"statuses": status_chart(bars, "Requests by status, for each output")}
    if len(data["growth"]) > 1:
        points = [(float(point["rows"]), Interval(**point["determined"])) for point in data["growth"]]
        line = Line("seen or determined", 2, points)
        title = "Requests seen or determined by number of training rows"
        charts["growth"] = line_chart([line], title, "training rows", "requests, %")
    if data.get("calibration"):
        made = data["calibration"]
        for kind, scale in (("whole", made), ("parts", made["parts"] or {})):
            for name in ("statuses", "cutoffs") if scale else ():
                shares = {key: Interval(**value) for key, value in scale[name].items()}
                title = f"Accuracy of {made['model']}, {kind}"
                charts[f"{kind}_{name}"] = accuracy_chart(shares, scale["counts"], title)
    if data.get("plan"):
        both = {"as it is": data["plan"]["before"], "with the rows": data["plan"]["after"]}
        charts["plan"] = status_chart(both, "Requests by status, before and after the rows are added")
    return charts


def _decimal(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _interval(value: Mapping[str, float] | None, scale: float = 1.0, digits: int = 2) -> str:
    if value is None:
        return "–"
    low, high = scale * value["low"], scale * value["high"]
    return f"{scale * value['estimate']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
