"""Options that are written once: the frozen dataclass that does the work is the schema of its part of a recipe.

This folder stands below `recipes.config`, which derives its schemas from it, and imports neither it nor torch.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Discriminator, Tag
from pydantic.dataclasses import dataclass

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def options(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass that checks its fields, from code as from YAML; unknown fields are errors."""
    config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    return dataclass(frozen=True, kw_only=True, config=config)(cls)  # type: ignore[return-value]


def tag_of(value: Any, kinds: Container[str] | None = None) -> str | None:
    """What tells the kinds of a field apart: `kind`, and where it acts if that makes another of the known `kinds`.

    The value is a class, an instance, or a mapping read from YAML.
    """
    read = value.get if isinstance(value, dict) else lambda name: getattr(value, name, None)
    kind, tag = read("kind"), f"{read('kind')} on {read('on')}"
    if read("on") == "rollouts" and (kinds is None or tag in kinds):
        return tag
    return kind if isinstance(kind, str) else None


def schema_of(kinds: Mapping[str, type]) -> Any:
    """The type of a recipe field that holds one of several kinds, each a dataclass under its tag."""
    tagged = (Annotated[cls, Tag(name)] for name, cls in kinds.items())
    return Annotated[reduce(or_, tagged), Discriminator(lambda value: tag_of(value, kinds))]
