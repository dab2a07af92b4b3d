"""Types of the options of sources and rewards, and what a source says about itself beside its signature.

A source's function and a reward's dataclass are their own schemas: recipes are checked against their annotations,
`Literal`s, defaults and docstrings, so ranges are written where the option is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

from pydantic import Field, Strict

Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=0)]
Positive = Annotated[int, Strict(), Field(ge=1)]
"""A count of at least one."""
PositiveFloat = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Strict(), Field(ge=0, le=1)]

Source = TypeVar("Source", bound=Callable[..., Any])


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
