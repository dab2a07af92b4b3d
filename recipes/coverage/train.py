"""Run a `coverage` recipe: one model, or one for each size of the training set with a comparison of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config.coverage import CoverageRecipe
    from ..config.loader import LoadedRecipe


def run(loaded: LoadedRecipe[CoverageRecipe], resume: bool = False) -> Path:
    """Train and return the run folder; `resume` continues each size from its newest whole checkpoint, if any."""
    if len(loaded.recipe.data.rows) > 1:
        from .study import train_sizes

        return train_sizes(loaded, resume)
    from .train_probe import train_probe

    return train_probe(loaded, resume)
