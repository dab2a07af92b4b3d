"""Grading of one answer with math-verify. Runs in a worker process: SymPy can compute for ever."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from math_verify import parse, verify

# Its own time-outs are off (they need the main thread and swallow what they interrupt); it warns about that.
logging.disable(logging.ERROR)


def grade(task: Mapping[str, str]) -> str:
    """Outcome of comparing `task["answer"]` with `task["gold"]`, both LaTeX without delimiters or prose."""
    gold = _parsed_gold(task["gold"])
    if not gold:
        return "skipped"
    answer = _parsed(task["answer"])
    if not answer:
        return "unparseable"
    return "correct" if any(_equal(left, right) for left in gold for right in answer) else "wrong"


def _equal(gold: Any, answer: Any) -> bool:
    # `raise_on_error`, because by default a MemoryError too becomes "not equal".
    try:
        return verify(gold, answer, timeout_seconds=None, raise_on_error=True)
    except MemoryError:
        raise
    except Exception:
        return False


@lru_cache(maxsize=256)
def _parsed_gold(latex: str) -> list[Any]:
    return _parsed(latex)


def _parsed(latex: str) -> list[Any]:
    """Its expression and its text; an empty list when it is neither."""
    return parse(f"\\boxed{{{latex}}}", parsing_timeout=None)
