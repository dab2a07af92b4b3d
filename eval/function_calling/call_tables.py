"""A report as tables of text, for the terminal, Markdown and HTML; shares in percent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...data.function_calling.check.row_view import DECISIONS
from ..measure.statistics import Interval, paired_difference
from ..show.tables import Grid, number, p_text, spread
from .call_rates import Report, Share, below_baselines, f1_scores
from .cases import NO_DECISION

ALL = "all"
_NONE = "–"


def differences(base: Report, other: Report) -> dict[str, Interval]:
    """Accuracy of a model minus that of the base, by scenario and for `ALL`, over the rows that both answered.

    Rows are matched by id; intervals and p-values are those of `paired_difference`.
    """
    theirs = {c.id: c for c in other.cases}
    pairs = [(c, theirs[c.id]) for c in base.cases if c.id in theirs]
    groups = {name: [pair for pair in pairs if pair[0].scenario == name] for name in base.scenarios} | {ALL: pairs}
    return {
        name: paired_difference([a.right for a, _ in group], [b.right for _, b in group])
        for name, group in groups.items()
        if group
    }


@dataclass(frozen=True)
class Entry:
    """One model on one suite; `colour` is the index of its colour in charts."""

    model: str
    report: Report
    colour: int = 0


def suite_grids(entries: Sequence[Entry]) -> list[Grid]:
    """Every table of one suite; the first model is the one that the others are compared with."""
    grids = [scenario_grid(entries), rate_grid(entries), decision_grid(entries)]
    if len(_keys(entries, lambda r: r.languages)) > 1:
        grids.append(language_grid(entries))
    grids.append(_shares("Arguments by class", "Class", entries, lambda r: r.arguments))
    if len(_keys(entries, lambda r: r.splits)) > 1:
        grids.append(_shares("Accuracy by split or category", "Part", entries, lambda r: r.splits))
    grids += [confusion_grid(entry) for entry in entries]
    grids.append(_errors(entries))
    return [grid for grid in grids if grid.rows]


def scenario_grid(entries: Sequence[Entry]) -> Grid:
    """Accuracy by scenario beside the best trivial baseline; for other models the paired difference."""
    first = entries[0].report
    sizes = {name: str(share.of) for name, share in first.scenarios.items()} | {ALL: str(first.accuracy.of)}
    header, columns = ["Scenario", "Rows", "Best trivial"], [sizes, _trivial_column(first)]
    for entry in entries:
        header.append(entry.model if len(entries) > 1 else "Right")
        columns.append(
            {k: _spread(v) for k, v in entry.report.scenarios.items()} | {ALL: _spread(entry.report.accuracy)}
        )
        if entry is not entries[0]:
            header += ["Difference", "p"]
            columns += _difference_columns(first, entry.report)
    if len(entries) == 1:
        header.append("Decision right")
        columns.append({k: _plain(v) for k, v in first.decisions.items()} | {ALL: _plain(_total(first.decisions))})
    return _by_scenario("Accuracy by scenario", header, columns, entries, _below_note(entries))


def decision_grid(entries: Sequence[Entry]) -> Grid:
    """Right decisions by scenario, whatever else is wrong."""
    shares = [entry.report.decisions for entry in entries]
    columns = [{k: _spread(v) for k, v in own.items()} | {ALL: _spread(_total(own))} for own in shares]
    return _by_scenario("Right decisions by scenario", ["Scenario", *(e.model for e in entries)], columns, entries)


def language_grid(entries: Sequence[Entry]) -> Grid:
    """Accuracy by scenario and language."""
    names = _keys(entries, lambda r: r.languages)
    cells = [(entry, language) for entry in entries for language in names]
    header = ["Scenario"]
    for entry, language in cells:
        header.append(("" if len(entries) == 1 else f"{entry.model}: ") + (language or "unknown"))
    columns = [{k: _spread(v) for k, v in _of_language(entry.report, name).items()} for entry, name in cells]
    return _by_scenario("Accuracy by language", header, columns, entries)


def rate_grid(entries: Sequence[Entry]) -> Grid:
    """Rates beside the accuracy, each over the answers it is about."""
    lines: list[tuple[str, Callable[[Report], Interval | None]]] = [
        ("Macro-F1 of the decisions", lambda r: r.macro_f1),
        ("Calls right, where it rightly calls", lambda r: r.calls.interval),
        ("Asks for the right slot, where it rightly asks", lambda r: r.asked.interval),
        ("Calls a tool that is not listed, where it calls", lambda r: r.invented_tools.interval),
        ("Text in another language than the user's", lambda r: r.wrong_language.interval),
        ("Format problems", lambda r: r.format_problems.interval),
        ("Right, read strictly", lambda r: r.accuracy.interval),
        ("Right, read tolerantly", lambda r: r.tolerant.interval),
    ]
    rows = [(name, *(_interval(of(entry.report)) for entry in entries)) for name, of in lines]
    if any(entry.report.sampled is not None for entry in entries):
        rows.append(("Right, mean of samples", *(_number(entry.report.sampled) for entry in entries)))
    return Grid("Rates", ("Share of answers, %", *(entry.model for entry in entries)), tuple(rows))


def confusion_grid(entry: Entry) -> Grid:
    """Rows by the decision that is right and the one that was taken."""
    counts = entry.report.confusion
    scores = f1_scores(counts)
    found = (*DECISIONS, NO_DECISION)
    rows = tuple((name, *(str(counts[name, f]) for f in found), _number(scores[name])) for name in scores)
    return Grid(f"Decisions of {entry.model}", ("Right decision", *found, "F1"), rows)


def overview_grids(suites: Mapping[str, Sequence[Entry]]) -> list[Grid]:
    """For every model its accuracy by scenario (down) and suite (across), without intervals; none of one suite."""
    if len(suites) < 2:
        return []
    models = dict.fromkeys(entry.model for entries in suites.values() for entry in entries)
    return [_overview(suites, model) for model in models]


def _overview(suites: Mapping[str, Sequence[Entry]], model: str) -> Grid:
    own = {name: entry for name, entries in suites.items() for entry in entries if entry.model == model}
    columns = [
        {k: _plain(v) for k, v in entry.report.scenarios.items()} | {ALL: _plain(entry.report.accuracy)}
        for entry in own.values()
    ]
    return _by_scenario(f"{model}: right answers, %", ["Scenario", *own], columns, list(own.values()))


def _by_scenario(
    title: str, header: Sequence[str], columns: Sequence[Mapping[str, str]], entries: Sequence[Entry], note: str = ""
) -> Grid:
    names = [*_keys(entries, lambda r: r.scenarios), ALL]
    rows = tuple((name or _NONE, *(column.get(name, _NONE) for column in columns)) for name in names)
    return Grid(title, tuple(header), rows, note)


def _shares(title: str, name: str, entries: Sequence[Entry], of: Callable[[Report], dict[str, Share]]) -> Grid:
    columns = [{k: f"{_spread(v)} of {v.of}" for k, v in of(entry.report).items()} for entry in entries]
    rows = tuple((key or _NONE, *(c.get(key, _NONE) for c in columns)) for key in _keys(entries, of))
    return Grid(title, (name, *(entry.model for entry in entries)), rows)


def _errors(entries: Sequence[Entry]) -> Grid:
    names = list(dict.fromkeys(name for entry in entries for name in entry.report.errors))
    rows = tuple((name, *(str(entry.report.errors[name]) for entry in entries)) for name in names)
    return Grid("What went wrong, answers", ("Error", *(entry.model for entry in entries)), rows)


def _keys(entries: Sequence[Entry], of: Callable[[Report], dict[str, Share]]) -> list[str]:
    """Keys of any model's shares, in the order of the first that has them."""
    return list(dict.fromkeys(key for entry in entries for key in of(entry.report)))


def _of_language(report: Report, language: str) -> dict[str, Share]:
    part = Report(tuple(c for c in report.cases if c.language == language))
    return part.scenarios | {ALL: part.accuracy}


def _trivial_column(report: Report) -> dict[str, str]:
    best = report.best_trivial
    whole = [(baseline, _total(of)) for baseline, of in report.trivial.items()]
    if whole:
        best = best | {ALL: max(whole, key=lambda pair: pair[1].right)}
    return {
        name: f"{_plain(share)} {baseline if share.right else ''}".strip() for name, (baseline, share) in best.items()
    }


def _difference_columns(base: Report, other: Report) -> list[dict[str, str]]:
    found = differences(base, other)
    return [
        {name: spread(value, "proportion", signed=True) for name, value in found.items()},
        {name: p_text(value) for name, value in found.items()},
    ]


def _below_note(entries: Sequence[Entry]) -> str:
    notes = []
    for entry in entries:
        below = below_baselines(entry.report)
        if below:
            notes.append(f"{entry.model} is below a trivial baseline in {', '.join(below)}.")
        elif entry.report.trivial:
            notes.append(f"{entry.model} is below its trivial baselines in no scenario.")
    return " ".join(notes)


def _total(shares: dict[str, Share]) -> Share:
    return Share(sum(s.right for s in shares.values()), sum(s.of for s in shares.values()))


def _spread(share: Share) -> str:
    return _interval(share.interval)


def _interval(interval: Interval | None) -> str:
    return _NONE if interval is None else spread(interval, "proportion")


def _plain(share: Share) -> str:
    return _NONE if not share.of else _number(share.right / share.of)


def _number(value: float | None) -> str:
    return _NONE if value is None else number(value, "proportion")
