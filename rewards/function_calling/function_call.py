"""Reward for function calls: the score of `call_scoring`, as 0 or 1 or graded for RL."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from ...data.function_calling.check.corruptions import corruptions, right_turn
from ...data.function_calling.wire.calls import of_message
from ...data.function_calling.wire.formats import FORMATS, FormatName, parse_calls, render_calls
from ..base import Reward, Verdict
from .call_alignment import CallScore
from .call_scoring import Score, answer_part, score

LOW, HIGH = -1.0, 1.0
_FORMAT, _CORRECT = 1.0, 3.0  # ToolRL's points: format 0 to 1, correctness -3 to 3

Grading = Literal["binary", "graded"]


@dataclass(frozen=True)
class FunctionCall(Reward):
    """Whether a completion calls the right tools with the right arguments, or rightly asks, refuses or answers.

    Column `gold` is what `data.function_calling` writes; `tools`, `language` and the prompt are read if present. Rows
    of other tasks, without `gold`, are skipped.

    Attributes:
        format: Wire format in which calls are written, one of `data.function_calling.wire.FORMATS`.
        grading: `binary`: 1 exact, else 0 (Tool-N1). `graded`: -1 to 1 (ToolRL, corrected), see `graded`.
    """

    format: FormatName = "hermes"
    grading: Grading = "binary"
    name: ClassVar[str] = "function_call"
    columns: ClassVar[tuple[str, ...]] = ("gold",)
    optional: ClassVar[tuple[str, ...]] = ("tools", "language")

    def __post_init__(self) -> None:
        for option, value, known in (("format", self.format, FORMATS), ("grading", self.grading, get_args(Grading))):
            if value not in known:
                raise ValueError(f"reward function_call · {option} · {value!r} · one of {', '.join(known)}")

    @property
    def range(self) -> tuple[float, float]:  # type: ignore[override]  # it depends on the grading
        """Lowest and highest value."""
        return (LOW, HIGH) if self.grading == "graded" else (0.0, 1.0)

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        found = score(completion, row, self.format)
        value = graded(found) if self.grading == "graded" else float(found.exact)
        if found.exact:
            return Verdict(value, "correct", found.decision)
        if found.problems:
            return Verdict(value, "unparseable", found.problems[0])
        return Verdict(value, "wrong", f"{found.error}: {found.decision} for {found.gold_decision}")

    def canonical(self, completion: str, row: Mapping[str, Any]) -> str | None:
        """The calls in a fixed order, or the words without case; None for a completion that cannot be read."""
        parsed = parse_calls(answer_part(completion), self.format)
        if parsed.calls:
            calls = [[call.name, call.arguments] for call in parsed.calls]
            return "\n".join(sorted(json.dumps(call, ensure_ascii=False, sort_keys=True) for call in calls))
        return None if parsed.problems else " ".join(parsed.text.casefold().split()) or None

    def gold_completion(self, row: Mapping[str, Any]) -> str | None:
        """The right turn in this format; None where the row tells only what kind of words is right."""
        turn = right_turn(row) if row.get("gold") else None
        return None if turn is None else self._written(turn)

    def near_misses(self, row: Mapping[str, Any]) -> list[str]:
        """The turns of `corruptions` in this format, one for each kind of mistake that can be made in the row."""
        turns = (wrong.message for wrong in corruptions(row, random.Random(str(row.get("id")))))
        return [text for text in map(self._written, turns) if text is not None]

    def _written(self, turn: Mapping[str, Any]) -> str | None:
        if not turn.get("tool_calls"):
            return turn["content"]
        try:
            return render_calls(of_message(turn), self.format)
        except ValueError:  # a name or a text that the format cannot write
            return None

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """See the base class; TRL's rows lack their prompt, whose words a completion may repeat in any language."""
        return super().__call__(prompts, completions, **{"prompt": list(prompts or ())} | columns)


def graded(score: Score) -> float:
    """A grade from -1 to 1.

    -1           a completion that cannot be read, an empty one, and a call where none is right
    -5/7         words where a call is right, and the wrong one of ask, refuse and answer: only the format is right
    -5/7 to 1    calls where calls are right, by ToolRL's formula; wrong tools are at the low end
    1/7 to 4/7   the right one of ask, refuse and answer with an error, more for a question that names what is missing
    1            exact, and nothing else
    """
    if score.decision == "none" or score.error == "unwarranted_call":
        return LOW
    points = _FORMAT + _CORRECT * (2 * _share(score) - 1)  # ToolRL's, -3 to 4
    return LOW + (HIGH - LOW) * (points + _CORRECT) / (2 * _CORRECT + _FORMAT)


def _share(score: Score) -> float:
    """How much is right beyond the format, 0 to 1; 1 for an exact completion only."""
    if score.exact:
        return 1.0
    if not score.decision_ok:
        return 0.0
    if score.decision != "call":
        return 0.5 + 0.25 * score.slots_named
    points = _name_overlap(score.calls) + sum(map(_argument_points, score.calls))
    counted = [call.gold or call.found for call in score.calls]
    return points / (1 + sum(1 + len(call.arguments) for call in counted if call is not None))


def _name_overlap(calls: tuple[CallScore, ...]) -> float:
    """Jaccard index of the multisets of tool names."""
    gold = Counter(call.gold.name for call in calls if call.gold is not None)
    found = Counter(call.found.name for call in calls if call.found is not None)
    union = (gold | found).total()
    return (gold & found).total() / union if union else 1.0


def _argument_points(call: CallScore) -> float:
    """Jaccard index of the parameter names, and one point a right value of the gold."""
    if call.gold is None or call.found is None:
        return 0.0
    gold = call.gold.arguments
    shared = sum(score.ok or (score.name in gold and score.reason != "missing") for score in call.arguments)
    right = sum(score.ok for score in call.arguments if score.name in gold)
    return (shared / len(call.arguments) if call.arguments else 1.0) + right
