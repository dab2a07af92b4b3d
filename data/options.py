"""Types of the options of sources and rewards, and what a source says about itself beside its signature.

A source's function and a reward's dataclass are their own schemas: recipes are checked against their annotations,
`Literal`s, defaults and docstrings, so ranges are written where the option is.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import Field, PydanticSchemaGenerationError, Strict, TypeAdapter, ValidationError

Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=0)]
Positive = Annotated[int, Strict(), Field(ge=1)]
"""A count of at least one."""
PositiveFloat = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Strict(), Field(ge=0, le=1)]

Source = TypeVar("Source", bound=Callable[..., Any])


def check_options(options: Any, where: str) -> None:
    """Hold a dataclass to its annotations, so that code that makes one is checked as a recipe is.

    Raises:
        ValueError: The first option that its type does not allow.
    """
    for name, adapter in _adapters(options.__class__).items():
        try:
            adapter.validate_python(found := getattr(options, name))
        except ValidationError as error:
            detail = error.errors()[0]
            allowed = detail["msg"].removeprefix("Input should be ")
            if detail["type"] == "literal_error":
                allowed = f"one of {allowed.replace(' or ', ', ')}".replace("'", "")
            raise ValueError(f"{where} · {name} · {found!r} · {allowed}") from None


@lru_cache(maxsize=256)
def _adapters(cls: type) -> dict[str, TypeAdapter[Any]]:
    """A validator for each field of a dataclass whose type can be checked."""
    adapters: dict[str, TypeAdapter[Any]] = {}
    with suppress(NameError):  # types that are imported for type checkers only
        hints = get_type_hints(cls, include_extras=True)
        for field in dataclasses.fields(cls):
            with suppress(PydanticSchemaGenerationError):
                adapters[field.name] = TypeAdapter(hints[field.name])
    return adapters


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """``did you mean `x`?`` for the name that begins like it or looks like it, or an empty string."""
    names = [str(name) for name in allowed]
    begins = [name for name in names if len(found) > 2 and name.startswith(found) and name != found]
    close = begins or difflib.get_close_matches(found, names, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close and close[0] != found else ""


def provides(*columns: str, splits: Iterable[str] = (), about: str = "") -> Callable[[Source], Source]:
    """Decorate a source with what its signature does not say.

    Args:
        *columns: Columns of its rows that rewards read, beside `id`, `task` and `prompt`. A source without this
            decorator is taken to have whatever a reward asks for until its rows are read.
        splits: Its splits, where the annotation of `split` is not a `Literal` of them; the default is `train` if there
            is one, else the first.
        about: One sentence about the source, where its docstring is that of a family of sources.
    """

    def decorate(source: Source) -> Source:
        vars(source).update(provides=columns, splits=tuple(splits), about=about)
        return source

    return decorate
