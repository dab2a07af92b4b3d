"""Scores of all tasks in one table, with standard errors and differences paired by document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...data.cache import write_atomic
from ..measure.metrics import per_problem
from ..measure.problems import Problem, clusters_of
from ..measure.statistics import minimum_detectable_difference, paired_difference, standard_error
from ..show.tables import Grid, markdown, p_text, spread

if TYPE_CHECKING:
    from ..measure.records import Record

PAGE_FILE = "retention.md"
ALL = "All documents"


def retention_grid(records: Sequence[Record], base: Mapping[str, Record]) -> Grid:
    """Return the table of tasks; `base` has the records to compare with, by task."""
    problems = {record.settings.suite: record.problems() for record in records}
    before = {name: base[name].problems() for name in problems if name in base}
    names = [record.settings.model_name for record in records[:1]]
    header = ["task", "documents", *names]
    if before:
        first = next(base[name] for name in before).settings.model_name
        header = ["task", "documents", first, *names, "difference", "p"]
    if len(problems) > 1:
        problems[ALL] = [p for own in list(problems.values()) for p in own]
        before |= {ALL: [p for own in list(before.values()) for p in own]} if before else {}
    rows = [_row(name, own, before.get(name), bool(before)) for name, own in problems.items()]
    last = list(problems)[-1]
    return Grid("What was kept", tuple(header), tuple(rows), _note(problems[last], before.get(last)))


def write_retention_page(grid: Grid, out: Path) -> Path:
    """Write `retention.md` into a folder and return its path."""
    return write_atomic(out / PAGE_FILE, "# Retention\n\n" + markdown(grid) + "\n")


def _row(name: str, after: Sequence[Problem], before: Sequence[Problem] | None, compared: bool) -> tuple[str, ...]:
    if not compared:
        return name, str(len(after)), _score(after)
    if not before:
        return name, str(len(after)), "–", _score(after), "–", "–"
    first, second = _pairs(before, after)
    if not first:
        return name, "0", _score(before), _score(after), "–", "–"
    change = paired_difference(_values(first), _values(second), clusters_of(first))
    return name, str(len(first)), _score(first), _score(second), spread(change, "proportion", True), p_text(change)


def _values(problems: Sequence[Problem]) -> np.ndarray:
    return per_problem(problems, ())["mean_reward"]


def _score(problems: Sequence[Problem]) -> str:
    """The mean in percent with its standard error."""
    values, clusters = _values(problems), clusters_of(problems)
    try:
        return f"{100 * values.mean():.1f} ± {100 * standard_error(values, clusters):.1f}"
    except ValueError:
        return f"{100 * values.mean():.1f}"


def _pairs(before: Sequence[Problem], after: Sequence[Problem]) -> tuple[list[Problem], list[Problem]]:
    """The documents that both have, in the same order."""
    later = {p.id: p for p in after}
    both = [p for p in before if p.id in later]
    return both, [later[p.id] for p in both]


def _note(after: Sequence[Problem], before: Sequence[Problem] | None) -> str:
    note = "Percent ± standard error"
    if not before:
        return f"{note}."
    note += "; differences are paired by document, with 95 % intervals."
    first, second = _pairs(before, after)
    clusters = clusters_of(first)
    least = 100 * minimum_detectable_difference(_values(second) - _values(first), clusters=clusters)
    if not 0 < least < inf:
        return note
    return (
        f"{note} With n = {len(first)} a true difference under {least:.1f} points is found with less than 80 % power."
    )
