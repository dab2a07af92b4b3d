"""`report.html` of a run folder: one page with its recipe, curves, time and answers, that loads nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from posixpath import commonpath
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ...data.cache import read_log, write_atomic
from ...data.version import __version__
from .curves import Curves, Line, curve_chart, curves, number, seconds_by_phase

REPORT_FILE = "report.html"
RECIPE_FILE = "recipe.resolved.yaml"
_COLOURS = (2, 1, 3, 4, 5, 6, 7, 0)
_TEXT_SHOWN = 4_000
_SAMPLES_A_STEP = 2

CURVES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Loss", "", ("loss", "eval_loss")),
    ("Reward", "mean of the rollouts", ("reward", "rewards/*/mean")),
    ("Outcomes", "shares of the rollouts", ("outcome/*",)),
    ("Accuracy", "", ("accuracy/*", "mean_token_accuracy", "eval_mean_token_accuracy", "rewards/accuracies")),
    ("Divergence", "nats", ("divergence/*", "kl")),
    ("Length", "tokens an answer", ("completions/mean_length", "completions/max_length")),
    ("Entropy", "nats a token", ("entropy",)),
    ("Groups without a signal", "share with equal rewards", ("frac_reward_zero_std",)),
    ("Rewards of pairs", "log-ratio to the reference", ("rewards/chosen", "rewards/rejected", "rewards/margins")),
    ("Gradient norm", "", ("grad_norm",)),
    ("Learning rate", "", ("learning_rate",)),
)
"""Title, unit and names of the charts; "*" stands for any text, and what is 0 throughout is left out."""


class ReportError(ValueError):
    """A folder that is not that of a run."""


@dataclass(frozen=True)
class Figure:
    """One chart."""

    title: str
    note: str  # unit, or what it is
    chart: Markup  # SVG
    legend: list[tuple[int, str]]  # colour and name of each line, if there are several


def write_report(folder: Path) -> Path:
    """Write the report of a run from the files in its folder and return the page's path.

    Raises:
        ReportError: The folder holds no resolved recipe.
    """
    folder = Path(folder)
    recipe_file = folder / RECIPE_FILE
    if not recipe_file.is_file():
        raise ReportError(f"{folder} · no {RECIPE_FILE} here · give the folder of a run")
    recipe = recipe_file.read_text(encoding="utf-8")
    lines = read_lines(folder / "metrics.jsonl")
    found = curves(lines)
    shown = figures(found)
    seconds = seconds_by_phase(lines)
    whole = sum(seconds.values())
    page = _template().render(
        name=folder.resolve().name,
        recipe=recipe,
        settings=yaml.safe_load(recipe),
        environment=_environment(folder / "environment.json"),
        tiles=tiles(lines, found),
        figures=shown,
        others=other_figures(found, shown),
        left_out=found.left_out,
        seconds=[(name, s, s / whole, _COLOURS[i % 8]) for i, (name, s) in enumerate(seconds.items())],
        samples=first_middle_last(read_lines(folder / "samples.jsonl")),
        style=Markup((files("quince.eval.board") / "templates" / "board.css").read_text(encoding="utf-8")),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )
    return write_atomic(folder / REPORT_FILE, page)


def figures(found: Curves) -> list[Figure]:
    """Return the charts of `CURVES` for which there are numbers."""
    charts = [(title, note, [n for p in patterns for n in _matching(found, p)]) for title, note, patterns in CURVES]
    return [_figure(found, title, note, names[: len(_COLOURS)]) for title, note, names in charts if names]


def other_figures(found: Curves, shown: Sequence[Figure]) -> list[Figure]:
    """Return a chart of every curve that no chart shows, but those of seconds and of what never changes."""
    drawn = {name for _, _, patterns in CURVES for pattern in patterns for name in _matching(found, pattern)}
    rest = [n for n, p in found.points.items() if n not in drawn and not n.startswith("seconds/")]
    return [_figure(found, name, "", [name]) for name in rest if len({v for _, v in found.points[name]}) > 1]


def tiles(lines: Sequence[Line], found: Curves) -> list[tuple[str, str]]:
    """Return the few figures one looks for first: `(value, name)`."""
    summary = {key: value for line in lines for key, value in line.items()}
    made = [(f"{summary['step']:,}", "steps")] if "step" in summary else []
    if "train_runtime" in summary:
        made.append((_duration(summary["train_runtime"]), "of training"))
    for name in ("reward", "loss"):
        if name in found.points:
            values = [value for _, value in found.points[name]]
            few = max(1, len(values) // 10)
            first, last = sum(values[:few]) / few, sum(values[-few:]) / few
            made.append((f"{_short(first)} → {_short(last)}", f"{name}, first and last tenth of the run"))
    if "num_tokens" in summary:
        made.append((f"{summary['num_tokens']:,.0f}", "tokens"))
    return made


def read_lines(file: Path) -> list[Line]:
    """Return the objects of a JSON-lines file; none if there is no file, and without a last line that was cut off."""
    return [line for line in read_log(file) if isinstance(line, dict)]


def first_middle_last(samples: Sequence[Line]) -> list[tuple[str, int, list[Line]]]:
    """Return a few answers of the first step, the one in the middle, and the last: `(which, step, answers)`."""
    steps = [(step, list(found)) for step, found in groupby(samples, key=lambda line: line.get("step", 0))]
    if not steps:
        return []
    which = {"First": 0, "Middle": len(steps) // 2, "Last": len(steps) - 1}
    chosen = {index: name for name, index in reversed(which.items())}
    return [(chosen[i], steps[i][0], _different(steps[i][1])) for i in sorted(chosen)]


def text_of(messages: str | Sequence[Mapping[str, Any]]) -> str:
    """Text of a prompt or completion: plain, or the contents of its messages with their roles but the user's."""
    if isinstance(messages, str):
        return messages
    parts = []
    for message in messages:
        content = message.get("content") or json.dumps(message.get("tool_calls"), ensure_ascii=False)
        role = message.get("role")
        parts.append(content if len(messages) == 1 or role == "user" else f"{role}: {content}")
    return "\n".join(parts)


def _different(samples: Sequence[Line]) -> list[Line]:
    """The first answers that are not the same text."""
    by_text = {text_of(sample["prompt"]) + text_of(sample["completion"]): sample for sample in reversed(samples)}
    return list(reversed(by_text.values()))[:_SAMPLES_A_STEP]


def _figure(found: Curves, title: str, note: str, names: Sequence[str]) -> Figure:
    different = {str(found.points[name]): name for name in reversed(names)}  # one reward alone is the reward
    names = [name for name in names if name in different.values()]
    lines = {name: (_COLOURS[i], found.points[name]) for i, name in enumerate(names)}
    shared = len(commonpath(names)) if len(names) > 1 else 0
    legend = [(colour, name[shared:].strip("/")) for name, (colour, _) in lines.items()] if len(names) > 1 else []
    chart = curve_chart(lines, f"{title} over steps", noisy="learning_rate" not in names)
    return Figure(title, note, Markup(chart), legend)


def _matching(found: Curves, pattern: str) -> list[str]:
    start, star, end = pattern.partition("*")
    names = [n for n in found.points if (n.startswith(start) and n.endswith(end) if star else n == pattern)]
    return [name for name in names if any(value for _, value in found.points[name])]


def _short(value: float) -> str:
    return number(float(f"{value:.3g}"))


def _duration(seconds: float) -> str:
    if (minutes := int(seconds // 60)) < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min {seconds % 60:.0f} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _environment(file: Path) -> list[tuple[str, str]]:
    """Rows of the table of what the run ran on."""
    data = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    rows = {**data, "packages": ", ".join(f"{name} {version}" for name, version in data.get("packages", {}).items())}
    rows["accelerators"] = ", ".join(data.get("accelerators", [])) or "none"
    return [(name, str(value)) for name, value in rows.items() if value is not None]


def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["text_of"] = lambda messages: text_of(messages)[:_TEXT_SHOWN]
    environment.filters["number"] = _short
    source = files(__package__) / "templates" / "report.html"
    return environment.from_string(source.read_text(encoding="utf-8"))
