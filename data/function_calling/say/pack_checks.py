"""Checks of a language pack: every tool can be asked for, every value said, every missing slot named.

Each problem is one message: file · key · what was found · how to fix it.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from ...rows import RowError
from .library import Library, SlotKind
from .pack_model import Intent, Pack, Template, template

SECTIONS = (
    "language scripts decimal clauses frames join_slots join_items verbs parameters intents chains replies refuse "
    "error_answer errors chat chat_frames dates months clock objects lexicon towns syllables pieces"
).split()
_INTENT_KEYS = {"verbs", "objects", "questions", "phrases", "result"}
_OWN_WORDS = ("verbs", "parameters", "intents", "chains", "refuse", "chat", "lexicon", "towns", "pieces", "months")
"""Sections whose letters are those of the language."""


def check_pack(pack: Pack, library: Library) -> Pack:
    """The pack, if it is complete.

    Raises:
        RowError: For the first thing that is missing or misspelt.
    """
    problems = itertools.chain(
        _frame_problems(pack),
        _intent_problems(pack, library),
        _parameter_problems(pack, library),
        _value_problems(pack, library),
        _letter_problems(pack),
    )
    for problem in problems:
        raise RowError(f"{pack.file} · {problem}")
    return pack


def check_sections(data: Any, file: str) -> dict[str, Any]:
    """The data of a pack file, if all sections are there.

    Raises:
        RowError: For the first that is not.
    """
    if not isinstance(data, dict):
        raise RowError(f"{file} · found {type(data).__name__} · give the sections of a language pack")
    missing = [name for name in SECTIONS if not data.get(name)]
    if missing:
        raise RowError(f"{file} · {missing[0]} · missing · add the section, as in en.yaml")
    return data


def _frame_problems(pack: Pack) -> Iterator[str]:
    for name, frame in pack.frames.items():
        if frame.get("form") not in pack.data["clauses"]:
            found, allowed = frame.get("form"), ", ".join(pack.data["clauses"])
            yield f"frames.{name}.form · found {found!r} · one of {allowed}"
        if "{clause}" not in frame.get("text", "") or "join" not in frame:
            yield f"frames.{name} · found {dict(frame)} · give text with {{clause}}, and join"
    forms = {frame["form"] for frame in pack.frames.values()} - {"question"}
    for verb, spec in pack.verbs.items():
        for form in forms - set(spec):
            yield f"verbs.{verb}.{form} · missing · add the form, frames use it"


def _intent_problems(pack: Pack, library: Library) -> Iterator[str]:
    for tool in library.tools.values():
        if tool.id not in pack.data["intents"]:
            yield f"intents.{tool.id} · missing · say how users ask for the tool"
            continue
        spec = pack.data["intents"][tool.id]
        unknown = set(spec) - _INTENT_KEYS
        if unknown:
            yield f"intents.{tool.id} · found {min(unknown)!r} · one of {', '.join(sorted(_INTENT_KEYS))}"
        if "result" not in spec:
            yield f"intents.{tool.id}.result · missing · add the answer after a call"
        yield from _wording_problems(pack, f"intents.{tool.id}", pack.intents[tool.id], set(tool.parameters))
    for chain in library.chains.values():
        for half, tool in (("first", chain.first), ("then", chain.second)):
            if half not in pack.data["chains"].get(chain.id, {}):
                yield f"chains.{chain.id}.{half} · missing · say how users ask for it"
            else:
                intent = pack.intents[f"{chain.id}.{half}"]
                yield from _wording_problems(pack, f"chains.{chain.id}.{half}", intent, set(tool.parameters))


def _wording_problems(pack: Pack, place: str, intent: Intent, parameters: set[str]) -> Iterator[str]:
    for head in intent.heads:
        for verb in head.verbs:
            if verb not in pack.verbs:
                yield f"{place}.verbs · found {verb!r} · add it to verbs"
        for slot in (*head.text.slots, *head.needs, *head.without):
            if slot not in parameters:
                yield f"{place}.{head.id} · found slot {slot!r} · one of {', '.join(sorted(parameters))}"
    for slot, phrases in intent.phrases.items():
        for name, phrase in phrases.items():
            if slot in parameters and set(phrase.slots) - {slot}:
                yield f"{place}.phrases.{slot}.{name} · found another slot · name {{{slot}}} alone"


def _parameter_problems(pack: Pack, library: Library) -> Iterator[str]:
    used = {name: parameter for tool in library.tools.values() for name, parameter in tool.parameters.items()}
    required = {name for tool in library.tools.values() for name in tool.required}
    for name in used:
        spec = pack.data["parameters"].get(name, {})
        for key in ("phrases", "ask", "mentions") if name in required else ("phrases",):
            if not spec.get(key):
                yield f"parameters.{name}.{key} · missing · add it, tools have the parameter"
        mentions = [word.casefold() for word in spec.get("mentions", ())]
        for text in spec.get("ask", ()):
            if not any(re.search(rf"\b{re.escape(word)}", text.casefold()) for word in mentions):
                yield f"parameters.{name}.ask · found {text!r} · use one of its mentions: {', '.join(mentions)}"


def _value_problems(pack: Pack, library: Library) -> Iterator[str]:
    for tool in library.tools.values():
        for name, parameter in tool.parameters.items():
            forms = {"", *_forms_of(pack, pack.intents[tool.id], name)}
            yield from _kind_problems(pack, parameter.kind, name, forms)
    for kind in library.slots.values():
        if kind.sampler == "pieces" and kind.name not in pack.data["pieces"]:
            yield f"pieces.{kind.name} · missing · give join and parts"
        if kind.sampler == "object" and kind.name not in pack.data["objects"]:
            yield f"objects.{kind.name} · missing · say it with {', '.join(kind.options['fields'])}"


def _forms_of(pack: Pack, intent: Intent, name: str) -> Iterator[str]:
    templates: list[Template] = [head.text for head in intent.heads]
    templates += intent.phrases.get(name, {}).values()
    for pieces in (each.pieces for each in templates):
        yield from (piece[1] for piece in pieces if not isinstance(piece, str) and piece[0] == name)


def _kind_problems(pack: Pack, kind: SlotKind, name: str, forms: set[str]) -> Iterator[str]:
    if kind.sampler == "lexicon":
        key, values = kind.name, kind.options["values"]
    elif kind.sampler == "boolean":
        key, values = name, ("true", "false")
    else:
        return
    for value in values:
        for form in sorted(forms):
            if form not in pack.lexicon.get(key, {}).get(value, {}):
                place = f"lexicon.{key}.{value}" + (f".{form}" if form else "")
                yield f"{place} · missing · add what users say for {value!r}"


def _letter_problems(pack: Pack) -> Iterator[str]:
    """Words with letters of another script: a Latin ``a`` in a Cyrillic word looks right and is not."""
    scripts = tuple(pack.data["scripts"])
    for section in _OWN_WORDS:
        for place, text in _texts(pack.data[section], section):
            words = "".join(piece for piece in template(text).pieces if isinstance(piece, str))
            for letter in words:
                if letter.isalpha() and not unicodedata.name(letter, "").startswith(scripts):
                    yield f"{place} · found {letter!r} in {text!r} · write it in {', '.join(scripts)} letters"
                    break


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in ("verbs", "needs", "without"):
                yield from _texts(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, place)
