"""Answers whose worth is known: what `quince preview rewards` tries rewards with."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..data.function_calling.calls import of_message
from ..data.function_calling.corruptions import corruptions, right_turn
from ..data.function_calling.wire import render_calls
from ..rewards.base import Reward


def gold_answer(row: Mapping[str, Any], rewards: Sequence[Reward]) -> str | None:
    """A right answer to a row: one that a reward names, else one from the row's columns; None where there is none."""
    named = (reward.gold_completion(row) for reward in rewards if all(row.get(c) is not None for c in reward.columns))
    found = next((gold for gold in named if gold is not None), None)
    if found is not None:
        return found
    if "gold" in row:
        return _as_written(right_turn(row))
    return str(row["gold_sql"]) if "gold_sql" in row else None


def trial_answers(row: Mapping[str, Any], reward: Reward) -> dict[str, str]:
    """Answers to try a reward with, by what they are."""
    answers = {"gold": gold_answer(row, [reward]), "empty": "", "near miss": _near_miss(row, reward)}
    return {name: answer for name, answer in answers.items() if answer is not None}


def _near_miss(row: Mapping[str, Any], reward: Reward) -> str | None:
    """An answer that is almost right and should be judged wrong."""
    named = reward.near_misses(row) if all(row.get(column) is not None for column in reward.columns) else []
    if named:
        return named[0]
    if "gold" in row:
        return _as_written(next(wrong.message for wrong in corruptions(row, random.Random(row["id"]))))
    if "gold_sql" in row:
        query = re.sub(r"[;\s]+$", "", str(row["gold_sql"]))
        return f"SELECT * FROM ({query}) LIMIT -1 OFFSET 1"
    return None


def _as_written(message: Mapping[str, Any] | None) -> str | None:
    """A turn in Hermes tags."""
    if message is None:
        return None
    return render_calls(of_message(message)) if message.get("tool_calls") else message["content"]
