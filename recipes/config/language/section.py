"""The base of every section of a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from .errors import Conflict

Options = dict[str, Any]


class Section(BaseModel):
    """Strict and frozen: an unknown key, a number in quotes or a later assignment is an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


class RecipeBase(Section):
    """What every recipe but a pipeline has."""

    kind: str
    description: str = ""
    seed: int = Field(0, ge=0)
    output_dir: str

    def conflicts(self) -> Iterator[Conflict]:
        """Values that are right alone and wrong together."""
        return iter(())
