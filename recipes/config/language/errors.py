"""What is wrong with a recipe, in words that say where it is and how to put it right."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One mistake: *where · dotted field · what was found · what is allowed · did you mean*."""

    where: str
    field: str
    found: str
    allowed: str
    hint: str = ""

    def __str__(self) -> str:
        """Join the parts that are there with a middle dot."""
        return " · ".join(part for part in (self.where, self.field, self.found, self.allowed, self.hint) if part)


@dataclass(frozen=True)
class Conflict:
    """Fields that are right alone and wrong together, before they are given a line; the first one is reported.

    Attributes:
        fields: Dotted fields.
        found: What is wrong.
        allowed: What would be right.
        missing_file: Whether it is about data that is not here; for the library's recipes only a note.
    """

    fields: tuple[str, ...]
    found: str
    allowed: str
    missing_file: bool = False


class RecipeError(ValueError):
    """A recipe cannot be used as it is; the message is written for the person who wrote it."""


class RecipeErrors(RecipeError):
    """Every problem of one recipe at once.

    Attributes:
        name: The recipe as it was asked for.
        problems: All that was found, in the order of the files and then of the checks.
    """

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.name = name
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n".join([f"{name}: {count}", *(f"  {problem}" for problem in self.problems)]))


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """``did you mean `x`?`` for the name that begins like it or looks like it, or an empty string."""
    names = [str(name) for name in allowed]
    begins = [name for name in names if len(found) > 2 and name.startswith(found) and name != found]
    close = begins or difflib.get_close_matches(found, names, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close and close[0] != found else ""


def one_of(names: Iterable[str], limit: int = 16) -> str:
    """`one of a, b, c`, cut where it would no longer be read."""
    shown = list(names)
    more = f", ... ({len(shown)} in all)" if len(shown) > limit else ""
    return f"one of {', '.join(shown[:limit])}{more}"


def show_value(value: Any, limit: int = 60) -> str:
    """A value as a reader of YAML knows it, with its type where that could be the mistake."""
    if value is None:
        return "found null"
    if isinstance(value, bool):
        return f"found {str(value).lower()}"
    if isinstance(value, str):
        return f"found {_short(repr(value), limit)} (a string)"
    if isinstance(value, dict):
        return f"found a mapping with {', '.join(map(str, value)) or 'nothing in it'}"
    if isinstance(value, (list, tuple)):
        return f"found a list of {len(value)}"
    return f"found {value!r}"


def is_rank_zero() -> bool:
    """Whether this process is the one that speaks for all processes of a launch."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
