"""Answers whose worth is known: what `quince preview rewards` tries rewards with."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from typing import Any

from ...data.function_calling.check.corruptions import corruptions, right_turn
from ...data.function_calling.wire.calls import of_message
from ...data.function_calling.wire.formats import render_calls


def gold_answer(row: Mapping[str, Any]) -> str | None:
    """A right answer to a row, from the columns that rewards read; None where they hold none."""
    if "gold" in row:
        return _as_written(right_turn(row))
    if "gold_sql" in row:
        return str(row["gold_sql"])
    if "answer" in row:
        return f"\\boxed{{{row['answer']}}}"
    if "accepted" in row:
        return next(iter(json.loads(row["accepted"])), None)
    if "numbers" in row:
        from ...data.maths.countdown import solutions

        return next(iter(solutions(row["numbers"], row["target"])), None)
    return None


def near_miss(row: Mapping[str, Any]) -> str | None:
    """An answer that is almost right and should be judged wrong."""
    if "gold" in row:
        return _as_written(next(wrong.message for wrong in corruptions(row, random.Random(row["id"]))))
    gold = gold_answer(row)
    if gold is None:
        return None
    if "gold_sql" in row:
        query = re.sub(r"[;\s]+$", "", gold)
        return f"SELECT * FROM ({query}) LIMIT -1 OFFSET 1"
    if "answer" in row:
        return f"\\boxed{{2{row['answer']}}}"
    return gold[:-1] if "accepted" in row else f"{gold} + 1"


def trial_answers(row: Mapping[str, Any]) -> dict[str, str]:
    """Answers to try rewards with, by what they are."""
    answers = {"gold": gold_answer(row), "empty": "", "near miss": near_miss(row)}
    return {name: answer for name, answer in answers.items() if answer is not None}


def _as_written(message: Mapping[str, Any] | None) -> str | None:
    """A turn in Hermes tags."""
    if message is None:
        return None
    return render_calls(of_message(message)) if message.get("tool_calls") else message["content"]
