"""The analysis of suites judged by `sql_execution`: execution accuracy as a set and as a bag, of the same samples.

BIRD compares sets of rows. A set ignores duplicates, so that a query can pass by DISTINCT or by losing rows; the table
therefore shows what only a set accepts, whatever the semantics of the suite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...data.cache import write_atomic
from ...data.rows import Row
from ...rewards.base import Reward, Verdict
from ..measure.analyses import Analysed
from ..measure.problems import Answer, Problem, clusters_of
from ..measure.statistics import bounded_mean, paired_difference, pass_at_k
from .tables import Grid, html, markdown, spread, terminal

if TYPE_CHECKING:
    from rich.table import Table

SEMANTICS = ("set", "bag")
PAGE_FILE = "sql_semantics.md"
_NOTE = (
    "Percent with 95 % intervals over problems, clustered by database where rows say so. A set ignores how often a row "
    'comes, a bag does not; "set only" is what passes by that.'
)


def analyse(rows: Sequence[Row], problems: Sequence[Problem], reward: Reward) -> dict[str, Any]:
    """Return `[judged, correct]` of samples and the greedy verdict, by semantics and problem."""
    judges = {kind: replace(reward, semantics=kind) for kind in SEMANTICS}  # type: ignore[type-var]
    found: dict[str, Any] = {"ids": [p.id for p in problems], "clusters": clusters_of(problems)}
    asked = [(row, answer) for row, p in zip(rows, problems, strict=True) for answer in _answers(p)]
    for kind, judge in judges.items():
        known = [_known(row, answer, reward, kind) for row, answer in asked]
        open_ = [pair for pair, result in zip(asked, known, strict=True) if result is None]
        verdicts = iter(judge.judge_batch([answer.text for _, answer in open_], [row for row, _ in open_]))
        results = iter([result or _result(next(verdicts)) for result in known])
        found[kind] = [_counts(problem, results) for problem in problems]
    return found


def tables(suites: Mapping[str, Sequence[Analysed]]) -> list[Table]:
    """Return both accuracies of every suite; other models are compared with the first."""
    return [terminal(grid(name, analysed), f"{name} · execution accuracy") for name, analysed in suites.items()]


def section(suite: str, analysed: Sequence[Analysed]) -> str:
    """Return the table as escaped HTML."""
    return html(grid(suite, analysed))


def write_page(suites: Mapping[str, Sequence[Analysed]], out: Path) -> Path:
    """Write `sql_semantics.md` into a folder and return its path."""
    parts = ["# Execution accuracy as a set and as a bag"]
    parts += [markdown(grid(name, analysed)) for name, analysed in suites.items()]
    return write_atomic(out / PAGE_FILE, "\n\n".join(parts) + "\n")


def grid(suite: str, analysed: Sequence[Analysed]) -> Grid:
    """Return a suite's table: a column for each model and for its paired difference from the first."""
    columns = [_columns(item.data) for item in analysed]
    names = list(dict.fromkeys(name for column in columns for name in column))
    header = ["", *(item.model for item in analysed)]
    header += [f"{item.model} − {analysed[0].model}" for item in analysed[1:]]
    rows = [
        (name, *(_cell(c, name, i.data) for c, i in zip(columns, analysed, strict=True)), *_against(name, analysed))
        for name in names
    ]
    return Grid(suite, tuple(header), tuple(rows), _NOTE)


def _answers(problem: Problem) -> Iterator[Answer]:
    yield from problem.answers
    if problem.greedy is not None:
        yield problem.greedy


def _known(row: Row, answer: Answer, reward: Reward, kind: str) -> tuple[bool, bool] | None:
    """Whether an answer is judged, and correct, under these semantics; None if it has to be judged again.

    Bags that are equal are equal as sets. Other semantics accept more than bags: ties at a LIMIT, reordered columns.
    """
    own = getattr(reward, "semantics", None) or row.get("semantics")
    if answer.value is None or own == kind:
        return answer.value is not None, answer.correct
    if own not in SEMANTICS:
        return None
    if answer.correct and own != "set":
        return True, True
    return (True, False) if own == "set" and not answer.correct else None


def _result(verdict: Verdict) -> tuple[bool, bool]:
    return verdict.value is not None, verdict.value == 1.0


def _counts(problem: Problem, results: Iterator[tuple[bool, bool]]) -> list[int | bool | None]:
    """Judged samples, correct samples, and whether the greedy answer is correct (None if not judged)."""
    sampled = [(answer.count, *next(results)) for answer in problem.answers]
    judged, right = next(results) if problem.greedy is not None else (False, False)
    counts = [sum(n for n, known, _ in sampled if known), sum(n for n, _, correct in sampled if correct)]
    return [*counts, right if judged else None]


def _columns(data: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Values by metric, `[problems]`, NaN where a problem has none."""
    columns: dict[str, NDArray[np.float64]] = {}
    counts = {kind: np.array([entry[:2] for entry in data[kind]]).T for kind in SEMANTICS}
    most = max(int(n.max(initial=0)) for n, _ in counts.values())
    for k in sorted({1, next((k for k in (64, 32, 16, 8, 4, 2) if k <= most), 1)}):
        for kind, (n, correct) in counts.items():
            values = np.full(len(n), np.nan)
            values[n >= k] = pass_at_k(n[n >= k], correct[n >= k], k)
            columns[f"Pass@{k}, {kind}"] = values
    for kind in SEMANTICS:
        greedy = np.array([np.nan if entry[2] is None else float(entry[2]) for entry in data[kind]])
        if not np.isnan(greedy).all():
            columns[f"Greedy, {kind}"] = greedy
    return columns | {"Pass@1, set only": columns["Pass@1, set"] - columns["Pass@1, bag"]}


def _cell(columns: Mapping[str, NDArray[np.float64]], name: str, data: Mapping[str, Any]) -> str:
    values = columns.get(name, np.array([]))
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return "–"
    clusters = data["clusters"] and [data["clusters"][i] for i in known]
    lowest = -1.0 if values[known].min() < 0 else 0.0
    return spread(bounded_mean(values[known], clusters, bounds=(lowest, 1.0)), "proportion")


def _against(name: str, analysed: Sequence[Analysed]) -> list[str]:
    """Paired differences of the other models from the first, over the problems of both."""
    first, cells = analysed[0].data, []
    for item in analysed[1:]:
        ours, theirs = (_columns(data).get(name, np.array([])) for data in (first, item.data))
        value = dict(zip(item.data["ids"], theirs, strict=False))
        pairs = [(i, a, value[p]) for i, (p, a) in enumerate(zip(first["ids"], ours, strict=False)) if p in value]
        pairs = [pair for pair in pairs if not np.isnan(pair[1:]).any()]
        clusters = first["clusters"] and [first["clusters"][i] for i, _, _ in pairs]
        before, after = ([pair[at] for pair in pairs] for at in (1, 2))
        cells.append(spread(paired_difference(before, after, clusters), "proportion", True) if pairs else "–")
    return cells
