"""Rewards on the text alone: exact match, format, length."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ...data.options import Positive
from ..base import Reward, Verdict


@dataclass(frozen=True)
class ExactMatch(Reward):
    """1.0 when the completion, stripped of outer white space, is one of the row's `accepted` strings.

    `accepted` is a JSON string: a list of strings. An empty list is `skipped`: nothing could be right.
    """

    name: ClassVar[str] = "exact_match"
    columns: ClassVar[tuple[str, ...]] = ("accepted",)

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        accepted = _string_list(row["accepted"])
        if not accepted:
            return Verdict(None, "skipped", "no accepted completion")
        if completion.strip() in (text.strip() for text in accepted):
            return Verdict(1.0, "correct")
        return Verdict(0.0, "wrong")


@dataclass(frozen=True)
class Format(Reward):
    r"""1.0 when the whole completion matches `pattern` (Python `re`, dot matches newlines), else 0.0.

    Example: `(?:(?!</think>).)*</think>.*\\boxed\{.*` asks for a closed thought and then a box. Patterns
        come from the recipe and are trusted; avoid nested unbounded repeats, which backtrack without limit.
    """

    pattern: str
    name: ClassVar[str] = "format"

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(
                f"reward format · pattern {self.pattern!r} is not a regular expression · {error}"
            ) from None

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        if re.fullmatch(self.pattern, completion, re.DOTALL):
            return Verdict(1.0, "correct")
        return Verdict(0.0, "wrong")


@dataclass(frozen=True)
class Length(Reward):
    """Soft overlong punishment of DAPO (arXiv 2503.14476, equation 13), in [-1, 0].

    0 up to `limit - margin` tokens, falling linearly to -1 at `limit` tokens and staying there.
    Lengths are those of TRL's `completion_ids`; without them the completion is `skipped`.

    Attributes:
        limit: Longest useful completion, tokens (L_max).
        margin: Width of the slope, tokens (L_cache).
    """

    limit: Positive
    margin: Positive
    name: ClassVar[str] = "length"
    range: ClassVar[tuple[float, float]] = (-1.0, 0.0)

    def __post_init__(self) -> None:
        if not 0 < self.margin <= self.limit:
            raise ValueError(f"reward length · margin {self.margin}, limit {self.limit} · give 0 < margin <= limit")

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        token_ids = row.get("completion_ids")
        if token_ids is None:
            return Verdict(None, "skipped", "the row has no completion_ids")
        excess = len(token_ids) - (self.limit - self.margin)
        value = -min(max(excess / self.margin, 0.0), 1.0)
        return Verdict(value + 0.0, "correct" if excess <= 0 else "wrong", f"{len(token_ids)} tokens")


def _string_list(text: str) -> list[str]:
    value = json.loads(text)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"column accepted · {text[:60]!r} · must be a JSON list of strings")
    return value
