"""Rows of several sources as one list."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ...data.rows import Row, check_rows
from ..config.data import Source
from ..config.rlvr import RlvrRecipe


def load_sources(sources: Sequence[Source]) -> list[Row]:
    """Load the recipe's `data:` sources and mix them.

    Sources of equal share are joined whole. Different shares thin the sources out until their sizes stand in that
    proportion; rows are never repeated.

    Args:
        sources: Sections of the `data:` list.
    """
    loaded = thin_out(sources, [source.load() for source in sources])
    return check_rows([row for rows in loaded for row in rows], "data")


def load_training_and_old(recipe: RlvrRecipe) -> tuple[list[Row], list[Row]]:
    """The rows that RL trains on, and those of old skills, which are only rehearsed."""
    rows, old = load_sources(recipe.data), load_sources(recipe.rehearsal.data) if recipe.rehearsal.data else []
    check_rows([*rows, *old], "data and rehearsal.data")
    return rows, old


def thin_out(sources: Sequence[Source], loaded: list[list[Row]]) -> list[list[Row]]:
    """The rows of each source, fewer of them where the sources have different shares."""
    shares = [source.share for source in sources]
    if len(set(shares)) == 1:
        return loaded
    scale = min(len(rows) / share for rows, share in zip(loaded, shares, strict=True))
    return [
        random.Random(source.seed).sample(rows, min(len(rows), round(source.share * scale)))
        for rows, source in zip(loaded, sources, strict=True)
    ]
