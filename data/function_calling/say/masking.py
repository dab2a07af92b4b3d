"""Function and parameter names without a meaning, so that a model reads descriptions, not names.

Hammer (arXiv 2410.04587, section 3.2) renames functions and parameters in two thirds of the rows to
random characters. A model that has learnt names by heart then has nothing to go by but the tool list.

Three differences from the paper and its code, on purpose:

- The default names are pseudo-words of two syllables. Random characters cost a byte-level
  tokenizer about a token each, and a small model then spends its capacity on spelling them.
- A parameter name has one new name in the whole row, where Hammer draws one a tool. So a missing
  parameter and the words that mention it stay well defined without saying of which tool.
- Default values stay. Hammer replaces them in the schema and in the user's text by string search,
  which would break values that are checked against the dialogue; a default also is a value with a
  meaning (a unit, a currency), not a name.
"""

from __future__ import annotations

import json
import random
import re
import string
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from ...rows import Row, RowError

Style = Literal["pseudo", "random"]

# Inside of a syllable boundary that no English word has (none of 118,000 words of books,
# dialogues and source code), so that no name can be a word by accident.
_CLUSTERS = "bp fg fp fv gk gt gv jm jt kb kg kz pg pv vg vk vp vz zk zs zt".split()
_ONSETS = "bdfgjklmnprstvz"
_VOWELS = "aeiou"
_HEADS = [f"{c}{v}{join}{w}" for c in _ONSETS for v in _VOWELS for join in _CLUSTERS for w in _VOWELS]
_TAILS = ("", "", "", "n", "l", "r", "k")

# The paper also uses "." and lets a name start with any character, which OpenAI's API rejects.
_CHARACTERS = string.ascii_letters + string.digits + "_"

_COMBINED = ("anyOf", "oneOf", "allOf")
_CONDITIONAL = ("if", "then", "else", "not")


def mask_row(
    row: Mapping[str, Any],
    rng: random.Random,
    *,
    names: bool = True,
    parameters: bool = True,
    style: Style = "pseudo",
    unseen: bool | None = None,
) -> Row:
    """A copy of a row with fresh names in the tools, the messages, the gold and the provenance.

    New names are distinct within the row and no name that it already has. Descriptions stay, except
    that an old name which stands in one as an identifier (``get_weather``, ``roomType``) is replaced
    too. ``provenance.masked`` records ``{"names": {old: new}, "parameters": {old tool: {old: new}}}``.
    Names inside of object-valued parameters stay.

    Args:
        row: A function-calling row; without tools it is returned as it is.
        rng: Source of the names; equal states give equal rows.
        names: Whether to rename functions.
        parameters: Whether to rename parameters; not done where a schema refers to them by a path.
        style: ``pseudo`` (two syllables) or ``random`` (the paper's lengths: 5 to 15
            characters for a function, 4 to 10 for a parameter).
        unseen: Draw from the names that a checksum keeps out of training (true), from the others
            (false), or from all.

    Raises:
        RowError: If the row is masked already.
    """
    tools = json.loads(row.get("tools") or "[]")
    if not tools:
        return dict(row)
    provenance = json.loads(row.get("provenance") or "{}")
    if any((provenance.get("masked") or {}).values()):
        raise RowError(f"{row.get('id')} · provenance.masked · found names · mask a row once")
    functions = [tool["function"] for tool in tools]
    parameters = parameters and '"#/properties/' not in row["tools"]
    fresh = _Fresh(rng, style, unseen, {*_names(functions), *_parameters(functions)})
    renaming = _Renaming(
        {old: fresh.name(5, 15) for old in _names(functions) if names},
        {old: fresh.name(4, 10) for old in _parameters(functions) if parameters},
        _texts(row, functions),
    )
    provenance["masked"] = {"names": renaming.functions, "parameters": renaming.by_tool(functions)}
    return _masked(row, tools, provenance, renaming)


def is_unseen_name(name: str) -> bool:
    """Whether a made-up name is kept out of training; one in four is."""
    return zlib.crc32(name.encode()) % 4 == 0


def pseudo_word(rng: random.Random) -> str:
    """Two syllables that are no word, for example ``dejmik`` or ``nukzo``."""
    draw = rng.random
    return _HEADS[int(draw() * len(_HEADS))] + _TAILS[int(draw() * len(_TAILS))]


def _masked(row: Mapping[str, Any], tools: list[Any], provenance: dict[str, Any], renaming: _Renaming) -> Row:
    masked = dict(row)
    masked["tools"] = _dump([renaming.tool(tool) for tool in tools])
    for column in ("prompt", "messages"):
        if masked.get(column) is not None:
            masked[column] = [renaming.message(message) for message in masked[column]]
    if masked.get("gold"):
        masked["gold"] = _dump(renaming.gold(json.loads(masked["gold"])))
    for intent in provenance.get("intents", ()):
        intent["slots"] = renaming.keys(intent.get("slots", {}))
    masked["provenance"] = _dump(provenance)
    return masked


class _Fresh:
    """Names that were not there before."""

    def __init__(self, rng: random.Random, style: Style, unseen: bool | None, taken: Iterable[str]) -> None:
        draws: dict[str, Callable[[int, int], str]] = {"pseudo": self._pseudo, "random": self._random}
        if style not in draws:
            raise RowError(f"masking · style · found {style!r} · one of {', '.join(draws)}")
        self._rng = rng
        self._draw = draws[style]
        self._unseen = unseen
        self._taken = {name.lower() for name in taken}

    def name(self, shortest: int, longest: int) -> str:
        while True:
            drawn = self._draw(shortest, longest)
            if drawn.lower() not in self._taken and self._unseen in (None, is_unseen_name(drawn)):
                self._taken.add(drawn.lower())
                return drawn

    def _pseudo(self, _shortest: int, _longest: int) -> str:
        return pseudo_word(self._rng)

    def _random(self, shortest: int, longest: int) -> str:
        rest = self._rng.choices(_CHARACTERS, k=self._rng.randint(shortest, longest) - 1)
        return self._rng.choice(string.ascii_letters) + "".join(rest)


class _Renaming:
    """Old names to new ones, applied to each part of a row."""

    def __init__(self, functions: dict[str, str], parameters: dict[str, str], texts: str) -> None:
        self.functions = functions
        self.parameters = parameters
        every = functions | parameters
        self._identifiers = {old: new for old, new in every.items() if old in texts and _is_identifier(old)}

    def by_tool(self, functions: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
        return {
            function["name"]: {old: self.parameters[old] for old in _properties(function)}
            for function in functions
            if self.parameters
        }

    def keys(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {self.parameters.get(key, key): value for key, value in values.items()}

    def listed(self, names: Iterable[str]) -> list[str]:
        return [self.parameters.get(name, name) for name in names]

    def tool(self, tool: Mapping[str, Any]) -> dict[str, Any]:
        function = dict(tool["function"])
        function["name"] = self.functions.get(function["name"], function["name"])
        if isinstance(function.get("description"), str):
            function["description"] = self.text(function["description"])
        if isinstance(function.get("parameters"), dict):
            function["parameters"] = self.schema(function["parameters"])
        return {**tool, "function": function}

    def schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        renamed = dict(schema)
        if isinstance(schema.get("properties"), dict):
            renamed["properties"] = {
                self.parameters.get(name, name): self.described(inner) for name, inner in schema["properties"].items()
            }
        if isinstance(schema.get("required"), list):
            renamed["required"] = self.listed(schema["required"])
        if isinstance(schema.get("dependentRequired"), dict):
            dependent = {key: self.listed(value) for key, value in schema["dependentRequired"].items()}
            renamed["dependentRequired"] = self.keys(dependent)
        for key in _COMBINED:
            if key in schema:
                renamed[key] = [self.schema(branch) for branch in schema[key]]
        for key in _CONDITIONAL:
            if isinstance(schema.get(key), dict):
                renamed[key] = self.schema(schema[key])
        return renamed

    def described(self, schema: Any) -> Any:
        if not self._identifiers or not isinstance(schema, dict) or not isinstance(schema.get("description"), str):
            return schema
        return {**schema, "description": self.text(schema["description"])}

    def text(self, text: str) -> str:
        found = [old for old in self._identifiers if old in text]
        for old in sorted(found, key=len, reverse=True):
            text = re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", self._identifiers[old], text)
        return text

    def message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        renamed = dict(message)
        if renamed.get("name") in self.functions:
            renamed["name"] = self.functions[renamed["name"]]
        # Tool results are data: what looks like a name there is none.
        if isinstance(renamed.get("content"), str) and renamed.get("role") != "tool":
            renamed["content"] = self.text(renamed["content"])
        if renamed.get("tool_calls"):
            renamed["tool_calls"] = [self.message_call(call) for call in renamed["tool_calls"]]
        return renamed

    def message_call(self, call: Mapping[str, Any]) -> dict[str, Any]:
        function = dict(call["function"])
        function["name"] = self.functions.get(function["name"], function["name"])
        arguments = json.loads(function["arguments"])
        function["arguments"] = _dump(self.keys(arguments)) if isinstance(arguments, dict) else function["arguments"]
        return {**call, "function": function}

    def gold(self, gold: Mapping[str, Any]) -> dict[str, Any]:
        renamed = dict(gold)
        renamed["calls"] = [
            {**call, "name": self.functions.get(call["name"], call["name"]), "arguments": self.keys(call["arguments"])}
            for call in gold.get("calls", ())
        ]
        for aligned in ("accepted", "classes"):
            if aligned in gold:
                renamed[aligned] = [self.keys(values) for values in gold[aligned]]
        if "missing" in gold:
            renamed["missing"] = self.listed(gold["missing"])
        if "mentions" in gold:
            renamed["mentions"] = self.keys(gold["mentions"])
        return renamed


def _names(functions: Iterable[Mapping[str, Any]]) -> list[str]:
    return [function["name"] for function in functions]


def _parameters(functions: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for function in functions for name in _properties(function)))


def _properties(function: Mapping[str, Any]) -> Iterable[str]:
    return ((function.get("parameters") or {}).get("properties") or {}).keys()


def _texts(row: Mapping[str, Any], functions: list[dict[str, Any]]) -> str:
    """Every description and message, to see at once which names stand in none of them."""
    texts = [function.get("description") for function in functions]
    for function in functions:
        properties = (function.get("parameters") or {}).get("properties") or {}
        texts += [schema.get("description") for schema in properties.values() if isinstance(schema, dict)]
    texts += [message.get("content") for message in row.get("prompt") or row.get("messages") or ()]
    return "\n".join(text for text in texts if isinstance(text, str))


def _is_identifier(name: str) -> bool:
    """Whether a name can be nothing but a name: ``city`` may also be a word of a description."""
    return re.search(r"\w[_.\-]\w|[a-z][A-Z]|[A-Za-z]\d", name) is not None


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
