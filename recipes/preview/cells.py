"""A verdict as cells of a table, in the colours of its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from ...rewards.base import Verdict

OUTCOME_STYLES = {
    "correct": "green",
    "wrong": "default",
    "unparseable": "yellow",
    "timeout": "red",
    "error": "red",
    "skipped": "dim",
}


def cells(verdict: Verdict) -> tuple[str, Text, str]:
    """Value, outcome and detail of a verdict."""
    value = "not judged" if verdict.value is None else f"{verdict.value:g}"
    return value, Text(verdict.outcome, style=OUTCOME_STYLES[verdict.outcome]), verdict.detail
