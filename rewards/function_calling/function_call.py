"""Reward for function calls: the scorer of `tool_scoring`, graded for RL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from ...data.function_calling.wire.formats import FORMATS, FormatName, parse_calls
from ..base import Reward, Verdict
from .call_scoring import Score, score, score_parsed
from .grading import HIGH, LOW, binary, graded

__all__ = ["FunctionCall", "Score", "score", "score_parsed"]

Grading = Literal["binary", "graded"]


@dataclass(frozen=True)
class FunctionCall(Reward):
    """Whether a reply calls the right tools with the right arguments, or rightly asks, refuses or answers.

    Column `gold` is what `data.function_calling` writes; `tools`, `language` and the prompt are read where they are
    there. Rows of other tasks, without `gold`, are skipped.

    Attributes:
        format: Wire format in which calls are written, one of `data.function_calling.wire.FORMATS`.
        grading: `binary`: 1 exact, else 0 (Tool-N1). `graded`: -1 to 1 (ToolRL, corrected), see `tool_grading`.
    """

    format: FormatName = "hermes"
    grading: Grading = "binary"
    name: ClassVar[str] = "function_call"
    columns: ClassVar[tuple[str, ...]] = ("gold",)
    optional: ClassVar[tuple[str, ...]] = ("tools", "language")

    def __post_init__(self) -> None:
        for option, value, known in (
            ("format", self.format, tuple(FORMATS)),
            ("grading", self.grading, get_args(Grading)),
        ):
            if value not in known:
                raise ValueError(f"reward function_call · {option} · {value!r} · one of {', '.join(known)}")

    @property
    def range(self) -> tuple[float, float]:  # type: ignore[override]  # it depends on the grading
        """Lowest and highest value."""
        return (LOW, HIGH) if self.grading == "graded" else (0.0, 1.0)

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        found = score(completion, row, self.format)
        value = graded(found) if self.grading == "graded" else binary(found)
        if found.exact:
            return Verdict(value, "correct", found.decision)
        if found.problems:
            return Verdict(value, "unparseable", found.problems[0])
        return Verdict(value, "wrong", f"{found.error}: {found.decision} for {found.gold_decision}")

    def canonical(self, completion: str, row: Mapping[str, Any]) -> str | None:
        """The calls in a fixed order, or the words without case; None for a reply that cannot be read."""
        parsed = parse_calls(completion.rsplit("</think>", 1)[-1], self.format)
        if parsed.calls:
            calls = [[call.name, call.arguments] for call in parsed.calls]
            return "\n".join(sorted(json.dumps(call, ensure_ascii=False, sort_keys=True) for call in calls))
        return None if parsed.problems else " ".join(parsed.text.casefold().split()) or None

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """See the base class; TRL's rows come without their prompt, which tells what words a reply may repeat."""
        return super().__call__(prompts, completions, **{"prompt": list(prompts or ())} | columns)
