"""Reward objects from the `rewards:` section."""

from __future__ import annotations

from collections.abc import Sequence

from ...rewards.base import Reward
from ..config.rewards import RewardSpec


def build_rewards(sections: Sequence[RewardSpec]) -> list[Reward]:
    """One reward for each section, in order."""
    return [section.build() for section in sections]
