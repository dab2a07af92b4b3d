"""The analysis of suites judged by `function_call`: cases are stored, and tables, charts and pages made from them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.cache import write_atomic
from ...data.rows import Row
from ...rewards.base import Reward
from ...rewards.function_calling.call_scoring import Score, score
from ..measure.analyses import Analysed
from ..measure.problems import Problem
from ..show.figures import alone
from ..show.tables import html, markdown, plain, terminal
from .baselines import BASELINES
from .call_charts import confusion_chart, scenario_chart
from .call_rates import Report
from .call_tables import Entry, overview_grids, rate_grid, scenario_grid, suite_grids
from .cases import Case

if TYPE_CHECKING:
    from rich.table import Table

PAGE_FILE = "function_calls.md"


def write_entries(suites: Mapping[str, Sequence[Entry]], out: Path, title: str = "Function calls") -> Path:
    """Write `function_calls.md` and its figures (SVG) into a folder and return the page's path.

    `suites` are models by name of the suite; the first model is the one that others are compared with.
    """
    parts = [f"# {plain(title)}", _INTRODUCTION]
    parts += [markdown(grid) for grid in overview_grids(suites)]
    for name, entries in suites.items():
        parts += [f"## {plain(name)}", figures(name, entries, out)]
        parts += [markdown(grid) for grid in suite_grids(entries)]
    return write_atomic(out / PAGE_FILE, "\n\n".join(parts) + "\n")


_INTRODUCTION = (
    "One greedy answer a row. An answer is right when all of it is: format, decision (call, ask, refuse, answer), "
    "every call and argument, and the language of its text. Shares are in percent with 95 % intervals; "
    "differences are paired by row. The trivial baselines say nothing, call the first tool, follow shared words, or "
    "draw at random."
)


def figures(name: str, entries: Sequence[Entry], out: Path) -> str:
    """Write the charts of one suite into a folder and return links to them."""
    stem = "function_calls_" + re.sub(r"[^A-Za-z0-9_-]+", "-", name)
    write_atomic(out / f"{stem}.svg", alone(scenario_chart(entries, f"Accuracy by scenario on {name}")))
    links = [f"![Accuracy by scenario; an upright line is the best trivial baseline]({stem}.svg)"]
    for number, entry in enumerate(entries, start=1):
        file = f"{stem}_decisions_{number}.svg"
        write_atomic(out / file, alone(confusion_chart(entry.report, f"Decisions of {entry.model} on {name}")))
        links.append(f"![Decisions of {plain(entry.model)}]({file})")
    return "\n\n".join(links)


def cases(
    rows: Sequence[Row], answers: Sequence[str], form: str = "hermes", sampled: Sequence[float | None] | None = None
) -> list[Case]:
    """Score one answer a row and those of the trivial baselines; rows without a gold answer are left out.

    `form` is the wire format that is read strictly, `sampled` the share of right samples a row, where more were drawn.

    Raises:
        RowError: A row's gold or tools are malformed. No answer makes it raise.
    """
    shares = sampled or [None] * len(rows)
    return [
        _case(row, score(answer, row, form), form, share)
        for row, answer, share in zip(rows, answers, shares, strict=True)
        if row.get("gold")
    ]


def _case(row: Row, found: Score, form: str, sampled: float | None) -> Case:
    return Case(
        id=row["id"],
        scenario=row.get("scenario") or "",
        language=row.get("language") or "",
        split=_split(row),
        wanted=found.gold_decision,
        # A row may accept more than one decision; none of them is a confusion.
        found=found.gold_decision if found.decision_ok else found.decision,
        right=found.exact,
        tolerant=found.tolerant_exact,
        arguments=_arguments(found),
        asked=found.asked_right_slot,
        calls=found.decision == "call",
        invented_tool=bool(found.hallucinated),
        language_right=found.language_ok,
        problems=found.problems,
        error=found.error,
        sampled=sampled,
        trivial={name: score(answer(row, form), row, form).exact for name, answer in BASELINES.items()},
    )


def _arguments(found: Score) -> dict[str, tuple[int, int]]:
    scores = [argument for call in found.calls for argument in call.arguments]
    right = Counter(argument.kind for argument in scores if argument.ok)
    return {kind: (right[kind], of) for kind, of in Counter(argument.kind for argument in scores).items()}


def _split(row: Row) -> str:
    """What a generated row holds out, or the category of a public set."""
    try:
        return row.get("category") or str(json.loads(row.get("provenance") or "{}").get("split", ""))
    except (ValueError, AttributeError):
        return ""


def analyse(rows: Sequence[Row], problems: Sequence[Problem], reward: Reward) -> list[dict[str, Any]]:
    """A suite's cases as plain data: of greedy answers, or of the first samples where there are none."""
    answers = [(problem.greedy or problem.answers[0]).text for problem in problems]
    # Of one sample, or of greedy ones, the mean says nothing new.
    sampled = [problem.correct / problem.n if problem.n > 1 else None for problem in problems]
    form = reward.format  # type: ignore[attr-defined]
    return [case.as_dict() for case in cases(rows, answers, form, sampled)]


def tables(suites: Mapping[str, Sequence[Analysed]]) -> list[Table]:
    """Scenarios and rates of every suite, and for every model all suites side by side."""
    entries = {name: _entries(analysed) for name, analysed in suites.items()}
    grids = [(name, grid) for name, own in entries.items() for grid in (scenario_grid(own), rate_grid(own))]
    shown = [terminal(grid, f"{name} · {grid.title}") for name, grid in grids]
    return shown + [terminal(grid, grid.title) for grid in overview_grids(entries)]


def section(suite: str, analysed: Sequence[Analysed]) -> str:
    """A suite's tables and charts as HTML, every text escaped."""
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
    return write_entries({name: _entries(analysed) for name, analysed in suites.items()}, out)


def _entries(analysed: Sequence[Analysed]) -> list[Entry]:
    return [
        Entry(item.model, Report(tuple(Case.from_dict(case) for case in item.data)), item.colour) for item in analysed
    ]
