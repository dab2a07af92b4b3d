"""Tables for the terminal, Markdown and HTML: any grid of texts, and the metrics of records."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from math import inf, sqrt
from typing import TYPE_CHECKING

import numpy as np

from ..measure.compare import Comparison, compare
from ..measure.metrics import MODEL_REFERENCE, REFERENCE_MODEL, Metric, Unit, per_problem, units
from ..measure.problems import clusters_of
from ..measure.records import differing, record_labels, suite_labels
from ..measure.statistics import Interval, minimum_detectable_difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from ..measure.problems import Problem
    from ..measure.records import Record

LABELS = {
    "greedy": "Greedy",
    "mean_reward": "Mean reward",
    "distinct_correct": "Distinct correct solutions",
    "idiom_entropy": "Entropy of correct solutions (nats)",
    "tokens": "Tokens an answer",
    MODEL_REFERENCE: "KL(model ‖ reference), nats an answer",
    REFERENCE_MODEL: "KL(reference ‖ model), nats an answer",
    "truncated": "Cut off at the length limit",
    "outcome/unparseable": "Unreadable answers",
    "outcome/timeout": "Wrong: over a limit of time or memory",
    "outcome/error": "Not judged: judge failed",
    "outcome/skipped": "Not judged: skipped",
}

_SUITES_BESIDE = 2
_FIRST = ' class="label"'


@dataclass(frozen=True)
class Grid:
    """A table with a note below; the first column names the rows."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def markdown(grid: Grid) -> str:
    """Return a table in Markdown, every text escaped."""
    head = "| " + " | ".join(plain(cell) for cell in grid.header) + " |"
    rule = "|---|" + "---:|" * (len(grid.header) - 1)
    rows = ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in grid.rows]
    note = ["", plain(grid.note)] if grid.note else []
    return "\n".join([f"### {plain(grid.title)}", "", head, rule, *rows, *note])


def html(grid: Grid) -> str:
    """Return a table in HTML, every text escaped."""
    head = "".join(
        f'<th scope="col"{_FIRST if not index else ""}>{escape(name)}</th>' for index, name in enumerate(grid.header)
    )
    rows = "".join(
        f'<tr><th scope="row"{_FIRST}>{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in others)}</tr>'
        for first, *others in grid.rows
    )
    note = f'<p class="note">{escape(grid.note)}</p>' if grid.note else ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{note}'


def terminal(grid: Grid, title: str) -> Table:
    """Return a table for the terminal."""
    from rich.table import Table

    table = Table(title=_markup(title), caption=_markup(grid.note) or None, title_justify="left")
    for index, name in enumerate(grid.header):
        table.add_column(_markup(name), justify="right" if index else "left")
    # With many columns the interval goes below the estimate, so that they fit on a terminal.
    gap = "\n[" if len(grid.header) > 5 else " ["
    for row in grid.rows:
        table.add_row(*(_markup(cell.replace(" [", gap)) for cell in row))
    return table


def plain(text: str) -> str:
    """Escape Markdown and HTML."""
    return re.sub(r"([\\|*_`\[\]#~])", r"\\\1", escape(text, quote=False)).replace("\n", " ")


def _markup(text: str) -> str:
    """Escape rich's markup."""
    from rich.markup import escape

    return escape(text)


def label(name: str) -> str:
    """Return the display name of a metric."""
    return LABELS.get(name, name.replace("pass@", "Pass@"))


def number(value: float, unit: Unit, signed: bool = False) -> str:
    """Format a value; proportions in percent."""
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.1f}" if unit == "proportion" else f"{value:{sign}.2f}"


def spread(interval: Interval, unit: Unit, signed: bool = False) -> str:
    """Format an estimate with its interval, or with the reason that there is none."""
    if interval.refused:
        return f"{number(interval.estimate, unit, signed)} [{interval.refused}]"
    low, high = (number(end, unit, signed) for end in (interval.low, interval.high))
    return f"{number(interval.estimate, unit, signed)} [{low}, {high}]"


def p_text(interval: Interval) -> str:
    """Format the p-value of a difference; a dash if there is no interval."""
    if interval.p_value is None or interval.refused:
        return "–"
    return "< 0.001" if interval.p_value < 0.001 else f"{interval.p_value:.3f}"


def shown_metrics(record: Record) -> list[Metric]:
    """Return the metrics to show, without those that are 0 or repeat another one."""
    metrics = record.metrics
    shown = []
    for name, metric in metrics.items():
        estimate = metric.interval.estimate
        first = metrics.get("pass@1")
        repeats = name == "mean_reward" and first is not None and abs(first.interval.estimate - estimate) < 1e-9
        idle = (name.startswith("outcome/") or name == "truncated") and estimate == 0
        if not (repeats or idle or name in ("outcome/correct", "outcome/wrong")):
            shown.append(metric)
    return shown


def suite_table(record: Record, base: Record | None = None) -> Table:
    """Return a suite's metrics with intervals; with a base, also its values and the paired differences."""
    from rich.table import Table

    settings = record.settings
    problems = record.problems()
    comparison = compare(base.problems(), problems, record.ks) if base else None
    notes = [f"{len(problems)} problems × {settings.sampling.n} samples"]
    notes.append(f"95 % intervals over {unit_of_interval(problems)}")
    notes += [f"the reference is {settings.kl.model_name}"] if settings.kl else []
    if base is not None and (names := differing([base, record])):
        notes.append(f"the two differ in {', '.join(names)}")
    caption = f"{'; '.join(notes)}. {power_sentence(problems, record.ks, comparison)}"
    title = f"{settings.suite} · {settings.model_name}"
    table = Table(title=_markup(title), caption=_markup(caption), title_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("Value", justify="right")
    if base is not None:
        table.add_column(_markup(base.settings.model_name), justify="right")
        table.add_column("Difference", justify="right")
        table.add_column("p", justify="right")
    for metric in shown_metrics(record):
        value = _markup(spread(metric.interval, metric.unit))
        table.add_row(label(metric.name), value, *_beside(metric, base, comparison))
    if comparison is not None:
        k = max(record.ks)
        for name, interval in (("Kept", comparison.kept[k].keep), ("Newly solved", comparison.kept[k].explore)):
            if interval is not None:
                table.add_row(f"{name} at {k}", _markup(spread(interval, "proportion")), "", "", "")
    return table


def unit_of_interval(problems: Sequence[Problem]) -> str:
    """Say what intervals are over."""
    clusters = clusters_of(problems)
    return units(None if clusters is None else len(set(clusters)))


def power_sentence(problems: Sequence[Problem], ks: Sequence[int], comparison: Comparison | None = None) -> str:
    """Say which differences in Pass@k, for the first k, are too small to be found with this many problems.

    With a comparison, differences paired with its base; without one, unpaired differences from a model with the same
    variance, which is conservative. Empty if there are too few problems for an interval.
    """
    name = f"pass@{min(ks)}"
    if comparison is not None:
        n, least = comparison.problems, comparison.detectable.get(name)
    else:
        column, clusters = per_problem(problems, (min(ks),))[name], clusters_of(problems)
        known = np.flatnonzero(~np.isnan(column))
        n, labels = len(known), None if clusters is None else [clusters[i] for i in known]
        least = sqrt(2) * minimum_detectable_difference(column[known], clusters=labels)
    if not least or least == inf:
        return ""
    pairing = "" if comparison is not None else ", without pairing,"
    found = "is found with a chance of less than 80 %"
    return f"With n = {n}{pairing} a true difference of {label(name)} under {100 * least:.1f} points {found}."


def overview_table(records: Sequence[Record]) -> Table:
    """Return each model's Pass@1 and Pass@k, for the largest k, on every suite, in percent.

    One line per model or, with many suites, per suite and model.
    """
    from rich.table import Table

    names, suites = record_labels(records), suite_labels(records)
    of = {(names[str(r.folder)], suites[str(r.folder)]): r for r in records}
    models = list(dict.fromkeys(model for model, _ in of))
    largest: dict[str, int] = {}
    for (_, suite), record in of.items():
        largest[suite] = max(*record.ks, largest.get(suite, 1))

    def cells(model: str, suite: str) -> list[str]:
        metrics = of[model, suite].metrics if (model, suite) in of else {}
        return [_stacked(metrics.get(f"pass@{k}")) for k in dict.fromkeys((1, largest[suite]))]

    table = Table(caption="95 % intervals over problems, or their clusters", title_justify="left")
    if len(largest) > _SUITES_BESIDE:
        wide = max(largest.values()) if len(set(largest.values())) == 1 else "k"
        for name in ("suite", "model", "Pass@1", *([f"Pass@{wide}"] if wide != 1 else [])):
            table.add_column(name, justify="right" if name.startswith("Pass") else "left")
        for suite in largest:
            for model in models:
                if (model, suite) in of:
                    line = (cell.replace("\n", "  ") for cell in cells(model, suite))
                    table.add_row(_markup(suite), _markup(model), *line)
        return table
    table.add_column("model")
    for suite, k in largest.items():
        table.add_column(f"{_markup(suite)}\nPass@1", justify="right")
        if k > 1:
            table.add_column(f"\nPass@{k}", justify="right")
    for model in models:
        table.add_row(_markup(model), *(cell for suite in largest for cell in cells(model, suite)))
    return table


def _stacked(metric: Metric | None) -> str:
    """The estimate with the interval below it, so that six columns fit on a terminal."""
    if metric is None:
        return "–"
    low, high = (number(end, metric.unit) for end in metric.interval.drawn)
    return f"[bold]{number(metric.interval.estimate, metric.unit)}[/]\n{metric.interval.refused or f'{low}–{high}'}"


def _beside(metric: Metric, base: Record | None, comparison: Comparison | None) -> list[str]:
    if base is None or comparison is None:
        return []
    theirs = base.metrics.get(metric.name)
    difference = comparison.differences.get(metric.name)
    if theirs is None or difference is None:
        return ["–" if theirs is None else number(theirs.interval.estimate, theirs.unit), "–", "–"]
    text = _markup(spread(difference, metric.unit, signed=True))
    shown = text if difference.contains(0) else f"[bold]{text}[/]"
    return [number(theirs.interval.estimate, metric.unit), shown, p_text(difference)]
