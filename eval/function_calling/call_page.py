"""A Markdown page with figures: every table of every suite, for a repository or a model card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...data.cache import write_atomic
from ..show.figures import alone
from ..show.tables import markdown, plain
from .call_charts import confusion_chart, scenario_chart
from .call_tables import Entry, overview_grids, suite_grids

PAGE_FILE = "function_calls.md"


def write_page(suites: Mapping[str, Sequence[Entry]], out: Path, title: str = "Function calls") -> Path:
    """Write `function_calls.md` and its figures (SVG) into a folder and return the page's path.

    Args:
        suites: By name of the suite the models on it; the first one is the one that others are compared with.
        out: The folder; made if need be.
        title: Of the page.
    """
    parts = [f"# {plain(title)}", _INTRODUCTION]
    parts += [markdown(grid) for grid in overview_grids(suites)]
    for name, entries in suites.items():
        parts += [f"## {plain(name)}", _figures(name, entries, out)]
        parts += [markdown(grid) for grid in suite_grids(entries)]
    return write_atomic(out / PAGE_FILE, "\n\n".join(parts) + "\n")


_INTRODUCTION = (
    "One greedy answer a row. An answer is right when all of it is: format, decision (call, ask, refuse, answer), "
    "every call and argument, and the language of its text. Shares are in percent with Wilson's 95 % interval; "
    "differences are paired, with Newcombe's interval and McNemar's exact p. The trivial baselines say nothing, call "
    "the first tool, follow shared words, or draw at random."
)


def _figures(name: str, entries: Sequence[Entry], out: Path) -> str:
    stem = "function_calls_" + re.sub(r"[^A-Za-z0-9_-]+", "-", name)
    write_atomic(out / f"{stem}.svg", alone(scenario_chart(entries, f"Accuracy by scenario on {name}")))
    links = [f"![Accuracy by scenario; an upright line is the best trivial baseline]({stem}.svg)"]
    for number, entry in enumerate(entries, start=1):
        file = f"{stem}_decisions_{number}.svg"
        write_atomic(out / file, alone(confusion_chart(entry.report, f"Decisions of {entry.model} on {name}")))
        links.append(f"![Decisions of {plain(entry.model)}]({file})")
    return "\n\n".join(links)
