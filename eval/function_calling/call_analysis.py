"""The analysis of suites judged by `function_call`: cases are kept, and everything else is made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.rows import Row
from ...rewards.base import Reward
from ..measure.analyses import Analysed
from ..measure.problems import Problem
from ..show.tables import html, terminal
from . import call_page as page
from .call_charts import confusion_chart, scenario_chart
from .call_rates import Report
from .call_tables import Entry, overview_grids, rate_grid, scenario_grid, suite_grids
from .cases import Case

if TYPE_CHECKING:
    from rich.table import Table


def analyse(rows: Sequence[Row], problems: Sequence[Problem], reward: Reward) -> list[dict[str, Any]]:
    """Return a suite's cases as plain data: of greedy answers, or of the first samples where there are none."""
    from .scoring import cases  # with the scorer's libraries, which a board does without

    answers = [(problem.greedy or problem.answers[0]).text for problem in problems]
    # Of one sample, or of greedy ones, the mean says nothing new.
    sampled = [problem.correct / problem.n if problem.n > 1 else None for problem in problems]
    form = reward.format  # type: ignore[attr-defined]
    return [case.as_dict() for case in cases(rows, answers, form, sampled)]


def tables(suites: Mapping[str, Sequence[Analysed]]) -> list[Table]:
    """Return scenarios and rates of every suite, and for every model all suites side by side."""
    entries = {name: _entries(analysed) for name, analysed in suites.items()}
    grids = [(name, grid) for name, own in entries.items() for grid in (scenario_grid(own), rate_grid(own))]
    shown = [terminal(grid, f"{name} · {grid.title}") for name, grid in grids]
    return shown + [terminal(grid, grid.title) for grid in overview_grids(entries)]


def section(suite: str, analysed: Sequence[Analysed]) -> str:
    """Return a suite's tables and charts as HTML, every text escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    entries = _entries(analysed)
    template = files(__package__) / "templates" / "section.html"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    charts = [(e.model, Markup(confusion_chart(e.report, f"Decisions of {e.model} on {suite}"))) for e in entries]
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        scenarios=Markup(scenario_chart(entries, f"Accuracy by scenario on {suite}")),
        decisions=charts,
        tables=[(grid.title, Markup(html(grid))) for grid in suite_grids(entries)],
    )


def write_page(suites: Mapping[str, Sequence[Analysed]], out: Path) -> Path:
    """Write the Markdown page with its figures and return its path."""
    return page.write_page({name: _entries(analysed) for name, analysed in suites.items()}, out)


def _entries(analysed: Sequence[Analysed]) -> list[Entry]:
    return [
        Entry(item.model, Report(tuple(Case.from_dict(case) for case in item.data)), item.colour) for item in analysed
    ]
