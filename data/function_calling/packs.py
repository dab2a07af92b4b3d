"""Language packs: one YAML file holds all that the generator knows of a language.

A pack gives the words (``lexicon``, ``pieces``, ``towns``), the grammar (``frames``, ``clauses``,
``verbs``, ``intents``, ``parameters``) and the assistant's texts (``refuse``, ``ask``, ``result``,
``chat``). A language is added by adding a file; no code names one. An alternative whose id begins with
``x_`` is kept out of training.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..rows import RowError
from .library import Library, load_library, read_yaml

FOLDER = Path(__file__).with_name("languages")
HELD_OUT = "x_"

_SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")


@dataclass(frozen=True)
class Template:
    """A text with slots, cut at them: ``pieces`` are texts and (slot, form) pairs."""

    pieces: tuple[str | tuple[str, str], ...]

    @property
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


def languages() -> tuple[str, ...]:
    """Languages that have a pack."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@lru_cache
def load_pack(language: str, path: Path | None = None) -> Pack:
    """Read and check the pack of a language.

    Args:
        language: Its code; the file is ``languages/<code>.yaml``.
        path: Another file.

    Raises:
        RowError: If there is no such pack, or for the first missing key or form.
    """
    path = path or FOLDER / f"{language}.yaml"
    if not path.is_file():
        raise RowError(f"function_calls · languages · found {language!r} · one of {', '.join(languages())}")
    data = read_yaml(path)
    library = load_library()
    verbs = {name: _forms(spec, data["clauses"]) for name, spec in data["verbs"].items()}
    pack = Pack(
        language=language,
        data=data,
        intents=_intents(data, library),
        verbs=verbs,
        frames=data["frames"],
        last=frozenset(name for name, spec in data["parameters"].items() if spec.get("last")),
        euphony=tuple(
            (re.compile(rf"(?<!\w)({word})(?= [{rule['before']}])", re.IGNORECASE), rule["use"])
            for word, rule in data.get("euphony", {}).items()
        ),
        lexicon={kind: _words(entries) for kind, entries in data["lexicon"].items()},
        file=path.name,
    )
    return pack


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


def _forms(spec: str | dict[str, str], clauses: dict[str, Any]) -> dict[str, str]:
    return dict.fromkeys(clauses, spec) if isinstance(spec, str) else spec


def _words(entries: Mapping[Any, Any]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Value to form to alternatives; a bare text or list is the plain form."""
    return {
        str(value): {
            form: _alternatives(texts) for form, texts in (spec if isinstance(spec, dict) else {"": spec}).items()
        }
        for value, spec in entries.items()
    }


def _alternatives(texts: str | list[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _intents(data: dict[str, Any], library: Library) -> dict[str, Intent]:
    common = {name: _templates(spec["phrases"]) for name, spec in data["parameters"].items()}
    halves = {f"{name}.{half}": chain[half] for name, chain in data["chains"].items() for half in ("first", "then")}
    found = {}
    for name, spec in (data["intents"] | halves).items():
        own = {slot: _templates(texts) for slot, texts in spec.get("phrases", {}).items()}
        result = template(spec["result"]) if "result" in spec else None
        found[name] = Intent(tuple(_heads(spec)), common | own, result)
    return found


def _templates(texts: dict[str, str]) -> dict[str, Template]:
    return {name: template(text) for name, text in texts.items()}


def _heads(spec: dict[str, Any]) -> Iterator[Head]:
    for section in ("objects", "questions"):
        for name, value in spec.get(section, {}).items():
            options = value if isinstance(value, dict) else {"text": value}
            text = template(options["text"])
            verbs = tuple(options.get("verbs", spec["verbs"])) if section == "objects" else ()
            needs = frozenset((*options.get("needs", ()), *text.slots))
            yield Head(name, text, verbs, needs, frozenset(options.get("without", ())))
