"""Rows of several sources as one list."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from ...data.rows import Row, check_rows
from ...data.sources import load_rows
from ..config.language.plugins import load_plugin


def load_sources(sources: Sequence[Any]) -> list[Row]:
    """Load the recipe's `data:` sources and mix them.

    Sources of equal share are joined whole. Different shares thin the sources out until their sizes stand in that
    proportion; rows are never repeated.

    Args:
        sources: Sections of the `data:` list.
    """
    loaded = thin_out(sources, [load_source(source) for source in sources])
    return check_rows([row for rows in loaded for row in rows], "data")


def load_training_and_old(recipe: Any) -> tuple[list[Row], list[Row]]:
    """The rows that RL trains on, and those of old skills, which are only rehearsed.

    Args:
        recipe: An `rlvr` recipe.
    """
    rows, old = load_sources(recipe.data), load_sources(recipe.rehearsal.data) if recipe.rehearsal.data else []
    check_rows([*rows, *old], "data and rehearsal.data")
    return rows, old


def thin_out(sources: Sequence[Any], loaded: list[list[Row]]) -> list[list[Row]]:
    """The rows of each source, fewer of them where the sources have different shares."""
    shares = [source.share for source in sources]
    if len(set(shares)) == 1:
        return loaded
    scale = min(len(rows) / share for rows, share in zip(loaded, shares, strict=True))
    return [
        random.Random(source.seed).sample(rows, min(len(rows), round(source.share * scale)))
        for rows, source in zip(loaded, sources, strict=True)
    ]


def load_source(source: Any) -> list[Row]:
    """Rows of one source section, built-in or custom."""
    if source.kind != "custom":
        return load_rows(source.kind, **source.model_dump(exclude={"kind", "share"}, exclude_none=True))
    make = load_plugin(source.path)
    return check_rows(make(source.split, source.size, source.seed, **source.options), source.path)
