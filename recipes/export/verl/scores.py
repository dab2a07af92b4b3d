"""verl's custom reward function: the recipe's rewards, one completion at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ....rewards.base import Reward
from ...parts.loading import build_rewards
from .settings import exported_folder, recipe_of


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None, **_: Any
) -> dict[str, float]:
    """Judge one completion by the row's columns, which `extra_info["row"]` holds as JSON (verl passes the rest).

    Returns:
        `score`, NaN for a completion that could not be judged (the advantages leave it out; 0 would call it wrong), and
        `unjudged` as 0 or 1.
    """
    value = judge(rewards_of(exported_folder()), solution_str, json.loads((extra_info or {})["row"]))
    return {"score": value, "unjudged": float(math.isnan(value))}


@lru_cache
def rewards_of(folder: Path) -> tuple[tuple[Reward, float], ...]:
    """Rewards and their weights, once in each process."""
    sections = recipe_of(folder).rewards
    return tuple(zip(build_rewards(sections), (section.weight for section in sections), strict=True))


def judge(rewards: tuple[tuple[Reward, float], ...], answer: str, row: Mapping[str, Any]) -> float:
    """Weighted sum of the rewards that judge this row, as in training; NaN if one of them could not."""
    total, applied = 0.0, False
    for reward, weight in rewards:
        if weight == 0 or any(row.get(name) is None for name in reward.columns):
            continue
        (verdict,) = reward.judge_batch([answer], [row])
        applied = True
        total += weight * (math.nan if verdict.value is None else verdict.value)
    return total if applied else math.nan
