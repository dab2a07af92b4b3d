"""The arguments of the generator's two functions, checked, and what follows from them for every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from ..rows import RowError
from .plans import MIX
from .say import packs
from .say.library import load_library

Split = Literal["train", "test", "values", "paraphrases", "tools", "names", "language", "more_tools"]
SPLITS: tuple[str, ...] = get_args(Split)
Descriptions = Literal["en", "target", "mixed"]
NameStyle = Literal["snake", "mixed"]
_MORE_TOOLS = (9, 20)


@dataclass(frozen=True)
class Settings:
    """The arguments of ``generator.rows``, checked.

    Raises:
        RowError: If one of them is out of its range.
    """

    split: str
    seed: int
    languages: Sequence[str]
    scenarios: Sequence[str] | Mapping[str, float] | None
    min_tools: int
    max_tools: int
    descriptions: str
    name_style: str
    noise: float

    def __post_init__(self) -> None:
        _one_of("split", [self.split], SPLITS)
        _one_of("languages", self.languages, packs.languages())
        _one_of("scenarios", self.scenarios or (), tuple(MIX))
        _one_of("descriptions", [self.descriptions], get_args(Descriptions))
        _one_of("name_style", [self.name_style], get_args(NameStyle))
        if not 0 <= self.min_tools <= self.max_tools:
            found = f"{self.min_tools}, {self.max_tools}"
            raise RowError(f"function_calls · min_tools, max_tools · found {found} · give 0 <= min_tools <= max_tools")
        if not 0 <= self.noise <= 1:
            raise RowError(f"function_calls · noise · found {self.noise} · give a probability")
        if not self.spoken:
            raise RowError("function_calls · languages · found no other pack · leave out fewer languages")

    @cached_property
    def spoken(self) -> tuple[str, ...]:
        """Languages of the users."""
        if self.split == "language":
            return tuple(name for name in packs.languages() if name not in self.languages)
        return tuple(self.languages)

    @cached_property
    def shares(self) -> dict[str, float]:
        """Share of each scenario."""
        if isinstance(self.scenarios, Mapping):
            return dict(self.scenarios)
        return {name: MIX[name] for name in self.scenarios or MIX}

    @cached_property
    def sizes(self) -> tuple[int, int]:
        """Fewest and most tools listed."""
        return _MORE_TOOLS if self.split == "more_tools" else (self.min_tools, self.max_tools)

    @cached_property
    def listable(self) -> tuple[str, ...]:
        """Tools that may be listed."""
        return tuple(tool.id for tool in load_library().tools.values() if self.split == "tools" or not tool.held_out)

    @cached_property
    def wanted(self) -> tuple[str, ...]:
        """Tools that requests are about."""
        return tuple(tool.id for tool in load_library().tools.values() if tool.held_out == (self.split == "tools"))


def _one_of(option: str, found: Sequence[str] | Mapping[str, float], allowed: Sequence[str]) -> None:
    for name in found:
        if name not in allowed:
            raise RowError(f"function_calls · {option} · found {name!r} · one of {', '.join(allowed)}")
