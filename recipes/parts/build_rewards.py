"""Reward objects from the `rewards:` section, and the columns that they read."""

from __future__ import annotations

from collections.abc import Sequence

from ...data.rows import Row
from ...rewards.base import Reward
from ..config.rewards import RewardSpec


def build_rewards(sections: Sequence[RewardSpec]) -> list[Reward]:
    """One reward for each section, in order."""
    return [section.build() for section in sections]


def columns_read(rewards: Sequence[Reward], rows: Sequence[Row]) -> set[str]:
    """The columns that rewards may read; all of the rows' where one does not say which."""
    if any(reward.reads_all for reward in rewards):
        return {name for row in rows for name in row}
    return {name for reward in rewards for name in (*reward.columns, *reward.optional)}
