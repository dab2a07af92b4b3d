"""A language pack as it was read: templates, heads, intents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...rows import RowError

HELD_OUT = "x_"
"""Beginning of the ids of alternatives that training never sees."""

_SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")


@dataclass(frozen=True)
class Template:
    """A text with slots, cut at them: ``pieces`` are texts and (slot, form) pairs."""

    pieces: tuple[str | tuple[str, str], ...]

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """Names of the slots."""
        return tuple(piece[0] for piece in self.pieces if not isinstance(piece, str))


@dataclass(frozen=True)
class Head:
    """What a clause is about: an object phrase with its verbs, or a whole question (``verbs`` empty)."""

    id: str
    text: Template
    verbs: tuple[str, ...]
    needs: frozenset[str]
    without: frozenset[str]


@dataclass(frozen=True)
class Intent:
    """How one tool, or one chain, is asked for."""

    heads: tuple[Head, ...]
    phrases: Mapping[str, Mapping[str, Template]]
    result: Template | None


@dataclass(frozen=True, eq=False)
class Pack:
    """A language; ``data`` is the file as it stands, the rest is made ready for the grammar."""

    language: str
    data: Mapping[str, Any]
    intents: Mapping[str, Intent]
    verbs: Mapping[str, Mapping[str, str]]
    frames: Mapping[str, Mapping[str, str]]
    last: frozenset[str]
    euphony: tuple[tuple[re.Pattern[str], str], ...]
    lexicon: Mapping[str, Mapping[str, Mapping[str, tuple[str, ...]]]]
    file: str

    def section(self, *path: str) -> Any:
        """A part of the file by its keys.

        Raises:
            RowError: If the key is missing.
        """
        found: Any = self.data
        for depth, key in enumerate(path):
            if not isinstance(found, Mapping) or key not in found:
                raise RowError(f"{self.file} · {'.'.join(path[: depth + 1])} · missing · add it to the pack")
            found = found[key]
        return found

    def words(self, kind: str, value: str, form: str) -> tuple[str, ...]:
        """What users say for a value of a closed kind, in one inflected form.

        Raises:
            RowError: If the pack lacks the value or the form.
        """
        try:
            return self.lexicon[kind][value][form]
        except KeyError:
            place = f"lexicon.{kind}.{value}" + (f".{form}" if form else "")
            raise RowError(f"{self.file} · {place} · missing · add what users say for {value!r}") from None


def template(text: str) -> Template:
    """Cut a text at its slots."""
    pieces: list[str | tuple[str, str]] = []
    end = 0
    for match in _SLOT.finditer(text):
        if match.start() > end:
            pieces.append(text[end : match.start()])
        pieces.append((match[1], match[2] or ""))
        end = match.end()
    if end < len(text):
        pieces.append(text[end:])
    return Template(tuple(pieces))
