"""Reward objects from the `rewards:` section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...rewards.base import Reward
from ...rewards.registry import make_reward
from ..config.language.plugins import load_plugin


def build_rewards(sections: Sequence[Any]) -> list[Reward]:
    """One reward for each section, in order."""
    return [build_reward(section) for section in sections]


def build_reward(section: Any) -> Reward:
    """A built-in reward by its kind, or a custom one by its import path."""
    if section.kind == "custom":
        return load_plugin(section.path)(**section.options)
    return make_reward(section.kind, **section.arguments())
