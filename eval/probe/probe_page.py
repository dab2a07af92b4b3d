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
from ..board.interval_charts import Line, line_chart
from ..measure.statistics import Interval
from ..show.figures import svg
from .statuses import STATUSES

COLOURS = dict(zip(STATUSES, ("c3", "c2", "c4", "c5", "c1", "c0"), strict=True))
_WIDTH, _LEFT, _RIGHT, _ROW = 480, 160, 12, 26


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
            text = escape(f"{name}: {status} {count} of {total}")
            bar = f'<rect class="fill {COLOURS[status]}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="18">'
            parts.append(f"{bar}<title>{text}</title></rect>")
            x += width
    return svg([*parts, _axis(height)], _WIDTH, height, title)


def accuracy_chart(shares: Mapping[str, Interval], counts: Mapping[str, int], title: str) -> str:
    """Draw the accuracy of each group with its 95 % interval."""
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
    ticks = [(tick, f"{tick}", "middle") for tick in range(20, 100, 20)]
    return "".join(
        f'<text class="tick" x="{_x(tick / 100)}" y="{height - 6}" text-anchor="{anchor}">{label}</text>'
        for tick, label, anchor in [(0, "0", "start"), *ticks, (100, "100 %", "end")]
    )


def _grid(height: float) -> str:
    return "".join(f'<path class="grid" d="M{_x(tick / 100)} 2V{height - 22}"/>' for tick in range(0, 101, 20))


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

    Args:
        data: What `summary.summary` returns, with `plan` and `calibration` if there are any.
        out: The folder, created if necessary.
        names: Displayed names of the training rows and of the requests.
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
