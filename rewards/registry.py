"""Reward kinds by name, imported when asked for (their graders pull in sqlglot or SymPy)."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

from ..data.options import did_you_mean
from .base import Reward

REWARDS: dict[str, str] = {
    "sql_execution": "quince.rewards.sql_execution.sql_reward:SqlExecution",
    "math": "quince.rewards.answers.math:MathAnswer",
    "countdown": "quince.rewards.answers.countdown:Countdown",
    "exact_match": "quince.rewards.answers.text:ExactMatch",
    "format": "quince.rewards.answers.text:Format",
    "length": "quince.rewards.answers.text:Length",
    "function_call": "quince.rewards.function_calling.function_call:FunctionCall",
    "bfcl": "quince.rewards.function_calling.bfcl:BfclCall",
    "capsule": "quince.rewards.capsule.capsule_reward:CapsuleReward",
}


def reward_class(kind: str) -> type[Reward]:
    """The class of a reward kind.

    Raises:
        ValueError: Unknown kind; the message lists the known ones.
    """
    if kind not in REWARDS:
        hint = did_you_mean(kind, REWARDS)
        raise ValueError(f"reward kind · {kind!r} is unknown · one of {', '.join(REWARDS)} · {hint}".rstrip(" ·"))
    module, name = REWARDS[kind].split(":")
    return getattr(importlib.import_module(module), name)


def make_reward(kind: str, **options: Any) -> Reward:
    """Build a reward from its kind and options.

    Raises:
        ValueError: Unknown kind, unknown option, or an option out of its range.
    """
    cls = reward_class(kind)
    try:
        return cls(**options)
    except TypeError as error:
        known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        hint = did_you_mean(next((name for name in options if name not in known), ""), known)
        raise ValueError(f"reward {kind} · {error} · options are {', '.join(known)} · {hint}".rstrip(" ·")) from None
