"""Writes the site: pages, a style sheet, a script, and problems and samples as script files.

A page opened from the file system may load scripts but not fetch data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from ...data.cache import write_atomic
from ...data.version import __version__
from ..measure.metrics import Unit
from ..measure.problems import Answer, Problem
from ..measure.records import find_records, read_record
from ..show.tables import label, number, p_text, power_sentence, shown_metrics, spread, unit_of_interval
from .comparisons import Pair, pairs
from .content import Entry, Suite, suites

ASSETS = ("board.css", "board.js")
_ANSWERS_SHOWN = 8
_TEXT_SHOWN = 2_000
_CHARACTERS = 12_000_000
"""Longest script; the samples of further problems are left out, which the page says."""


def build_board(records: Sequence[Path], out: Path, base: str | None = None) -> Path:
    """Write a site that compares records, opens from the file system and loads nothing else; return its `index.html`.

    `records` are record folders, or folders with records below; for `base` see `content.suites`.

    Raises:
        RecordError: A folder holds no record, or a broken one.
    """
    site = Site(suites([read_record(folder) for folder in find_records(records)], base))
    for name, text in (site.scripts() | site.pages()).items():
        write_atomic(Path(out) / name, text)
    for name in ASSETS:
        write_atomic(Path(out) / name, template(name))
    return Path(out) / "index.html"


@dataclass(frozen=True)
class Site:
    """All pages and scripts, by path in the folder of the site."""

    suites: list[Suite]

    @cached_property
    def pairs(self) -> dict[tuple[str, str], list[Pair]]:
        """The comparisons that have a page."""
        return pairs(self.suites) if len(self.models) > 1 else {}

    @cached_property
    def models(self) -> dict[str, list[tuple[Suite, Entry]]]:
        """Every model with its suites."""
        labels = dict.fromkeys(entry.label for suite in self.suites for entry in suite.entries)
        return {m: [(s, e) for s in self.suites for e in s.entries if e.label == m] for m in labels}

    @cached_property
    def _names(self) -> tuple[dict[str, str], dict[str, str]]:
        return file_names(self.models), file_names(suite.name for suite in self.suites)

    def model_page(self, model: str) -> str:
        """Path of a model's page."""
        return f"models/{self._names[0][model]}.html"

    def pair_page(self, base: str, other: str) -> str | None:
        """Path of the page that compares two models, in either order, or None."""
        models = self._names[0]
        for a, b in ((base, other), (other, base)):
            if (a, b) in self.pairs:
                return f"comparisons/{models[a]}--{models[b]}.html"
        return None

    def pages(self) -> dict[str, str]:
        """Text of every page."""
        show = renderer(self)
        pages = {"index.html": show("index.html", root="", suites=self.suites)}
        for model, entries in self.models.items():
            browser = self._browser([model], [suite for suite, _ in entries])
            pages[self.model_page(model)] = show("model.html", model=model, entries=entries, browser=browser)
        for (base, other), found in self.pairs.items():
            browser = self._browser([base, other], [pair.suite for pair in found])
            page = show("comparison.html", base=base, other=other, pairs=found, browser=browser)
            pages[self.pair_page(base, other) or ""] = page
        return pages

    def scripts(self) -> dict[str, str]:
        """Text of every script."""
        scripts = {}
        for suite in self.suites:
            asked = questions([entry.problems for entry in suite.entries])
            path = self._questions(suite)
            scripts[path] = script(path, asked)
            for entry in suite.entries:
                path, by_id = self._answers(suite, entry.label), {p.id: p for p in entry.problems}
                scripts[path] = script(path, answers(by_id, [row[0] for row in asked]))
        return scripts

    def _questions(self, suite: Suite) -> str:
        return f"data/{self._names[1][suite.name]}/questions.js"

    def _answers(self, suite: Suite, model: str) -> str:
        return f"data/{self._names[1][suite.name]}/answers/{self._names[0][model]}.js"

    def _browser(self, models: Sequence[str], found: Sequence[Suite]) -> dict[str, Any]:
        """What the page's script needs to show samples."""
        colours = {e.label: e.colour for suite in found for e in suite.entries}
        return {
            "models": [{"name": m, "colour": f"c{colours[m]}"} for m in models],
            "suites": [
                {"name": s.name, "questions": self._questions(s), "answers": [self._answers(s, m) for m in models]}
                for s in found
            ],
        }


def renderer(site: Site) -> Any:
    """A function that renders a template with values."""
    environment = Environment(
        loader=FunctionLoader(template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        label=label,
        number=_number,
        spread=spread,
        p_text=p_text,
        shown_metrics=shown_metrics,
        power_sentence=power_sentence,
        unit_of_interval=unit_of_interval,
    )
    environment.filters["metric_label"] = label
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")

    def show(name: str, **values: Any) -> str:
        common = {"site": site, "root": "../", "made": made, "version": __version__}
        return environment.get_template(name).render(common | values)

    return show


def _number(value: float, unit: Unit, signed: bool = False) -> str:
    """A value with a minus sign as wide as a plus."""
    return number(value, unit, signed).replace("-", "−")


def template(name: str) -> str:
    """Text of a file in `templates/`."""
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def file_names(labels: Iterable[str]) -> dict[str, str]:
    """File names for labels, distinct even on case-insensitive file systems."""
    names: dict[str, str] = {}
    for name in labels:
        stem = re.sub(r"[^a-z0-9_.@-]+", "-", name.lower()).strip("-.") or "model"
        taken, number_of = set(names.values()), 2
        unique = stem
        while unique in taken:
            unique, number_of = f"{stem}-{number_of}", number_of + 1
        names[name] = unique
    return names


def script(name: str, data: Any) -> str:
    """JavaScript that passes data to the page; browsers parse JSON in a string faster than a literal."""
    text = json.dumps(json.dumps(data, ensure_ascii=False, separators=(",", ":")), ensure_ascii=False)
    # In older browsers these two end a line of a script.
    text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"quince.add({json.dumps(name)}, JSON.parse({text}));\n"


def questions(models: Sequence[Sequence[Problem]]) -> list[list[Any]]:
    """Return `[id, question, reference]` of every problem of any model."""
    found = {problem.id: problem for problems in models for problem in reversed(problems)}
    order = list(dict.fromkeys(problem.id for problems in models for problem in problems))
    return [[i, _short(found[i].question), {k: _short(v) for k, v in found[i].reference.items()}] for i in order]


def answers(problems: Mapping[str, Problem], ids: Sequence[str]) -> list[list[Any] | None]:
    """Return one model's samples in the order of the ids, None for problems that it does not have.

    Each is `[judged, correct, distinct, outcomes, greedy, samples]`, a sample `[text, count, outcome, detail, tokens]`;
    None in place of `samples` once the script has its longest size.
    """
    room = _CHARACTERS
    found: list[list[Any] | None] = []
    for identity in ids:
        problem = problems.get(identity)
        if problem is None:
            found.append(None)
            continue
        shown: list[Any] | None = [_answer(a) for a in _chosen(problem)]
        room -= sum(len(a[0]) + len(a[3]) + 30 for a in shown or ())
        greedy = _answer(problem.greedy) if problem.greedy else None
        outcomes = sorted(problem.outcomes)
        found.append([problem.n, problem.correct, len(problem.answers), outcomes, greedy, shown if room > 0 else None])
    return found


def _chosen(problem: Problem) -> list[Answer]:
    """The most common samples, with at least one correct one if there is any."""
    ordered = sorted(problem.answers, key=lambda a: (-a.count, not a.correct))
    shown = ordered[:_ANSWERS_SHOWN]
    if not any(a.correct for a in shown):
        shown += [a for a in ordered[_ANSWERS_SHOWN:] if a.correct][:1]
    return shown


def _answer(answer: Answer) -> list[Any]:
    return [_short(answer.text), answer.count, answer.outcome, answer.detail, answer.tokens]


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_SHOWN else text[:_TEXT_SHOWN] + " …"
