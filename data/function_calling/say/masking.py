"""Function and parameter names without meaning, so that a model reads descriptions instead of names.

Hammer (arXiv 2410.04587, section 3.2) renames functions and parameters in two thirds of the rows to random
characters. A model that has memorised names then has only the tool list to go by.

We differ from the paper and its code in three points:

- Names are pseudo-words of two syllables. Random characters cost a byte-level tokenizer about a token each, and a
  small model then spends its capacity on spelling them.
- A parameter name has one new name in the whole row, where Hammer draws one for each tool. So a missing parameter and
  the words that mention it stay well defined without saying of which tool.
- Default values stay. Hammer replaces them in the schema and in the user's text by string search, which would break
  values that are checked against the dialogue; besides, a default is a value with a meaning (a unit, a currency).
"""

from __future__ import annotations

import itertools
import json
import random
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...rows import Row, RowError
from ..wire.calls import dump

# No English word has these clusters at a syllable boundary (none of 118,000 words of books, dialogues and source code),
# so no name can be a word by accident.
_CLUSTERS = "bp fg fp fv gk gt gv jm jt kb kg kz pg pv vg vk vp vz zk zs zt".split()
_ONSETS = "bdfgjklmnprstvz"
_VOWELS = "aeiou"
_HEADS = [f"{c}{v}{join}{w}" for c in _ONSETS for v in _VOWELS for join in _CLUSTERS for w in _VOWELS]
_TAILS = ("", "", "", "n", "l", "r", "k")


def mask_row(row: Mapping[str, Any], rng: random.Random, *, unseen: bool | None = None) -> Row:
    """A copy of a row with new names in the tools, the messages, the gold and the provenance.

    New names are distinct within the row and differ from all of its old names. Descriptions stay, except that an old
    name which occurs in one as an identifier (``get_weather``, ``roomType``) is replaced as well. Names inside
    object-valued parameters stay, and so do all parameters if a schema refers to one by its path.
    ``provenance.masked`` records ``{"names": {old: new}, "parameters": {old tool: {old: new}}}``.

    Equal states of `rng` give equal rows. `unseen` draws from the names that a checksum keeps out of training (true),
    from the others (false), or from all.

    Raises:
        RowError: If the row is masked already.
    """
    tools = json.loads(row.get("tools") or "[]")
    if not tools:
        return dict(row)
    provenance = json.loads(row.get("provenance") or "{}")
    if any((provenance.get("masked") or {}).values()):
        raise RowError(f"{row.get('id')} · provenance.masked · found names · mask a row once")
    properties = {tool["function"]["name"]: list(_properties(tool["function"])) for tool in tools}
    parameters = list(dict.fromkeys(itertools.chain(*properties.values())))
    new = _new_names(rng, unseen, {*properties, *parameters})
    functions = {old: next(new) for old in properties}
    if '"#/properties/' in row["tools"]:
        properties, parameters = {}, []
    renaming = _Renaming(functions, {old: next(new) for old in parameters}, _texts(row, tools))
    by_tool = {name: {old: renaming.parameters[old] for old in own} for name, own in properties.items()}
    provenance["masked"] = {"names": renaming.functions, "parameters": by_tool}
    return _masked(row, tools, provenance, renaming)


def is_unseen_name(name: str) -> bool:
    """Whether a made-up name is kept out of training; one in four is."""
    return zlib.crc32(name.encode()) % 4 == 0


def pseudo_word(rng: random.Random) -> str:
    """Two syllables that form no word, for example ``dejmik`` or ``nukzo``."""
    return _HEADS[int(rng.random() * len(_HEADS))] + _TAILS[int(rng.random() * len(_TAILS))]


def _new_names(rng: random.Random, unseen: bool | None, taken: set[str]) -> Iterator[str]:
    taken = {name.lower() for name in taken}
    while True:
        name = pseudo_word(rng)
        if name not in taken and unseen in (None, is_unseen_name(name)):
            taken.add(name)
            yield name


def _masked(row: Mapping[str, Any], tools: list[Any], provenance: dict[str, Any], renaming: _Renaming) -> Row:
    masked = dict(row)
    masked["tools"] = dump([renaming.tool(tool) for tool in tools])
    for column in ("prompt", "messages"):
        if masked.get(column) is not None:
            masked[column] = [renaming.message(message) for message in masked[column]]
    if masked.get("gold"):
        masked["gold"] = dump(renaming.gold(json.loads(masked["gold"])))
    for intent in provenance.get("intents", ()):
        intent["slots"] = renaming.keys(intent.get("slots", {}))
    masked["provenance"] = dump(provenance)
    return masked


class _Renaming:
    """Old names to new ones, applied to each part of a row."""

    def __init__(self, functions: dict[str, str], parameters: dict[str, str], texts: str) -> None:
        self.functions, self.parameters = functions, parameters
        every = functions | parameters
        self._identifiers = {old: new for old, new in every.items() if old in texts and _is_identifier(old)}

    def keys(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {self.parameters.get(key, key): value for key, value in values.items()}

    def listed(self, names: Iterable[str]) -> list[str]:
        return [self.parameters.get(name, name) for name in names]

    def tool(self, tool: Mapping[str, Any]) -> dict[str, Any]:
        function = self.described(tool["function"])
        function |= {"name": self.functions[function["name"]]}
        if isinstance(function.get("parameters"), dict):
            function |= {"parameters": self.schema(function["parameters"])}
        return {**tool, "function": function}

    def schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        renamed = dict(schema)
        if isinstance(schema.get("properties"), dict):
            renamed["properties"] = self.keys({k: self.described(inner) for k, inner in schema["properties"].items()})
        if isinstance(schema.get("required"), list):
            renamed["required"] = self.listed(schema["required"])
        if isinstance(schema.get("dependentRequired"), dict):
            dependent = {key: self.listed(value) for key, value in schema["dependentRequired"].items()}
            renamed["dependentRequired"] = self.keys(dependent)
        for key in ("anyOf", "oneOf", "allOf"):
            if key in schema:
                renamed[key] = [self.schema(branch) for branch in schema[key]]
        for key in ("if", "then", "else", "not"):
            if isinstance(schema.get(key), dict):
                renamed[key] = self.schema(schema[key])
        return renamed

    def described(self, part: Any) -> Any:
        """A function or a schema with the identifiers in its description renamed."""
        if not isinstance(part, dict) or not isinstance(part.get("description"), str):
            return part
        return {**part, "description": self.text(part["description"])}

    def text(self, text: str) -> str:
        found = [old for old in self._identifiers if old in text]
        for old in sorted(found, key=len, reverse=True):
            text = re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", self._identifiers[old], text)
        return text

    def message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        renamed = dict(message)
        if renamed.get("name") in self.functions:
            renamed["name"] = self.functions[renamed["name"]]
        # Tool results are data: what looks like a name in them is none.
        if isinstance(renamed.get("content"), str) and renamed.get("role") != "tool":
            renamed["content"] = self.text(renamed["content"])
        if renamed.get("tool_calls"):
            calls = renamed["tool_calls"]
            renamed["tool_calls"] = [{**call, "function": self.call(call["function"])} for call in calls]
        return renamed

    def call(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """A call whose arguments are an object or, as in messages, its JSON text."""
        arguments = call["arguments"]
        decoded = json.loads(arguments) if isinstance(arguments, str) else arguments
        if isinstance(decoded, dict):
            decoded = self.keys(decoded)
            arguments = dump(decoded) if isinstance(arguments, str) else decoded
        return {**call, "name": self.functions.get(call["name"], call["name"]), "arguments": arguments}

    def gold(self, gold: Mapping[str, Any]) -> dict[str, Any]:
        renamed = {**gold, "calls": list(map(self.call, gold.get("calls", ())))}
        for aligned in ("accepted", "classes"):
            if aligned in gold:
                renamed[aligned] = [self.keys(values) for values in gold[aligned]]
        if "missing" in gold:
            renamed["missing"] = self.listed(gold["missing"])
        if "mentions" in gold:
            renamed["mentions"] = self.keys(gold["mentions"])
        return renamed


def _properties(function: Mapping[str, Any]) -> Mapping[str, Any]:
    return (function.get("parameters") or {}).get("properties") or {}


def _texts(row: Mapping[str, Any], tools: list[dict[str, Any]]) -> str:
    """Every description and message, to see at once which names occur in none of them."""
    texts = [message.get("content") for message in row.get("prompt") or row.get("messages") or ()]
    for function in (tool["function"] for tool in tools):
        parts = (function, *_properties(function).values())
        texts += [part.get("description") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _is_identifier(name: str) -> bool:
    """Whether a name can be nothing but a name: ``city`` may also be a word of a description."""
    return re.search(r"\w[_.\-]\w|[a-z][A-Z]|[A-Za-z]\d", name) is not None
