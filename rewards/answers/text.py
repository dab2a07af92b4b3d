"""Rewards on the text alone: exact match, format, length."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import re2

from ...data.options import Positive
from ..base import Reward, Verdict
from .final_answer import after_thought


@dataclass(frozen=True)
class ExactMatch(Reward):
    """1.0 when the completion, without its thought and outer white space, is one of the row's `accepted` texts.

    `accepted` is a list of texts or numbers, the same as JSON, or one text or number; 5 and 5.0 are one number. An
    empty list is `skipped`: nothing could be right. A thought that does not end is `wrong`.
    """

    name: ClassVar[str] = "exact_match"
    columns: ClassVar[tuple[str, ...]] = ("accepted",)

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        accepted = _accepted(row)
        if not accepted:
            return Verdict(None, "skipped", "no accepted completion")
        answer = after_thought(completion)
        if answer is not None and answer.strip() in (text.strip() for text in accepted):
            return Verdict(1.0, "correct")
        return Verdict(0.0, "wrong")

    def gold_completion(self, row: Mapping[str, Any]) -> str | None:
        """The first accepted text."""
        return next(iter(_accepted(row)), None)

    def near_misses(self, row: Mapping[str, Any]) -> list[str]:
        """The first accepted text without its last character, and with one more."""
        accepted = [text.strip() for text in _accepted(row)]
        wrong = [text for gold in accepted[:1] for text in (gold[:-1], gold + "x")]
        return [text for text in wrong if text.strip() not in accepted]


@dataclass(frozen=True)
class Format(Reward):
    r"""1.0 when the whole completion matches `pattern` (syntax of RE2, dot matches line breaks), else 0.0.

    Example: `<think>.*?</think>.*\\boxed\{.*` asks for a closed thought and then a box. RE2 takes time linear in the
    completion for any pattern; it has no look-around and no back-references.
    """

    pattern: str
    name: ClassVar[str] = "format"

    def __post_init__(self) -> None:
        _compiled(self.pattern)

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        # RE2 reads UTF-8, which has no lone surrogates.
        if _compiled(self.pattern).fullmatch(completion.encode(errors="replace").decode()):
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


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.dot_nl, options.log_errors = True, False
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise ValueError(
            f"reward format · pattern {pattern!r} is not a regular expression of RE2 · {reason} · "
            "close what is open, and write it without look-around and back-references"
        ) from None


def _accepted(row: Mapping[str, Any]) -> list[str]:
    """The accepted texts of a row; a whole number in both of its spellings."""
    value = row.get("accepted")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = [value]
    values = list(value) if isinstance(value, list | tuple) else [value]
    texts: list[str] = []
    for item in values:
        if isinstance(item, float | int) and not isinstance(item, bool):
            texts += dict.fromkeys((str(int(item)) if item == int(item) else str(item), str(float(item))))
        elif isinstance(item, str):
            texts.append(item)
        elif item is not None:
            raise ValueError(f"column accepted · found {str(item)[:60]} · give a list of texts or numbers")
    return texts
