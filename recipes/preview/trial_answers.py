"""Answers whose worth is known: what `quince preview rewards` tries rewards with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...rewards.answers.countdown import Countdown
from ...rewards.answers.math import MathAnswer
from ...rewards.answers.text import ExactMatch
from ...rewards.base import Reward
from ...rewards.function_calling.function_call import FunctionCall
from ...rewards.sql_execution.sql_reward import SqlExecution

# Their golds and near misses stand in for those of a reward that has none, such as `format`.
_OTHERS: tuple[Reward, ...] = (ExactMatch(), MathAnswer(), Countdown(), FunctionCall(), SqlExecution())


def gold_answer(row: Mapping[str, Any], rewards: Sequence[Reward]) -> str | None:
    """A right answer to a row, from the first reward that has one; None where none has."""
    golds = (reward.gold_completion(row) for reward in _readers(row, rewards))
    return next((gold for gold in golds if gold is not None), None)


def trial_answers(row: Mapping[str, Any], rewards: Sequence[Reward]) -> dict[str, str]:
    """Answers to try rewards with, by what they are."""
    near_miss = next((miss for reward in _readers(row, rewards) for miss in reward.near_misses(row)), None)
    answers = {"gold": gold_answer(row, rewards), "empty": "", "near miss": near_miss}
    return {name: answer for name, answer in answers.items() if answer is not None}


def _readers(row: Mapping[str, Any], rewards: Sequence[Reward]) -> list[Reward]:
    """Rewards whose columns a row has, those given first."""
    return [r for r in (*rewards, *_OTHERS) if all(row.get(column) is not None for column in r.columns)]
