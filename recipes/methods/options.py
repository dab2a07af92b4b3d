"""Options that are written once: the frozen dataclass that does the work is the schema of its part of a recipe.

This folder stands below `recipes.config`, which derives its schemas from it, and imports neither it nor torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Discriminator, Field, Strict, Tag
from pydantic.dataclasses import dataclass

T = TypeVar("T")

Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=0)]
Positive = Annotated[int, Strict(), Field(ge=1)]
Weight = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
PositiveFloat = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Strict(), Field(ge=0, le=1)]


@dataclass_transform(frozen_default=True, kw_only_default=True)
def options(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass that checks its fields, from code as from YAML; unknown fields are errors."""
    config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    return dataclass(frozen=True, kw_only=True, config=config)(cls)  # type: ignore[no-any-return, call-overload]


def schema_of(kinds: Mapping[str, type], tag: Callable[[Any], str | None]) -> Any:
    """The type of a recipe field that holds one of several kinds.

    Args:
        kinds: Tag to dataclass.
        tag: Reads the tag from what was written, or from an instance.
    """
    return Annotated[reduce(or_, (Annotated[cls, Tag(name)] for name, cls in kinds.items())), Discriminator(tag)]
