"""Questions and answers as script files: a page opened from the file system may load scripts, but fetch nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..measure.problems import Answer, Problem

_ANSWERS_SHOWN = 8
_TEXT_SHOWN = 2_000
_CHARACTERS = 12_000_000
"""Of one script at most; what is beyond is left out and said to be."""


def script(name: str, data: Any) -> str:
    """JavaScript that hands data to the page; browsers parse JSON in a string faster than a literal."""
    text = json.dumps(json.dumps(data, ensure_ascii=False, separators=(",", ":")), ensure_ascii=False)
    # In older browsers these two end a line of a script.
    text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"quince.add({json.dumps(name)}, JSON.parse({text}));\n"


def questions(models: Sequence[Sequence[Problem]]) -> list[list[Any]]:
    """Return `[id, question, reference]` of every problem that some model answered."""
    found = {problem.id: problem for problems in models for problem in reversed(problems)}
    order = list(dict.fromkeys(problem.id for problems in models for problem in problems))
    return [[i, _short(found[i].question), {k: _short(v) for k, v in found[i].reference.items()}] for i in order]


def answers(problems: Mapping[str, Problem], ids: Sequence[str]) -> list[list[Any] | None]:
    """Return one model's answers in the order of the questions, None where it was not asked.

    Each is `[judged, correct, distinct, greedy, answers]`, an answer `[text, count, outcome, detail, tokens]`; `None`
    in place of `answers` where the file would grow too large.
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
    """The most common answers, and one correct one in any case."""
    ordered = sorted(problem.answers, key=lambda a: (-a.count, not a.correct))
    shown = ordered[:_ANSWERS_SHOWN]
    if not any(a.correct for a in shown):
        shown += [a for a in ordered[_ANSWERS_SHOWN:] if a.correct][:1]
    return shown


def _answer(answer: Answer) -> list[Any]:
    return [_short(answer.text), answer.count, answer.outcome, answer.detail, answer.tokens]


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_SHOWN else text[:_TEXT_SHOWN] + " …"
