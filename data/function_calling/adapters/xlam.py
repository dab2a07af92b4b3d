"""xLAM function calling 60k (arXiv 2406.18518, CC-BY-4.0, gated; kind ``xlam``).

A record has ``id``, ``query``, and two JSON texts: ``answers``, the calls, and ``tools``, whose
``parameters`` are a flat map of name to ``{type, description, default}`` with Python types such as
``"str, optional"`` or ``"List[int]"``. Types and defaults are checked against rows of the set that public
repositories show. A parameter is optional if its type says so or if it has a default. A default that is
not of its type (``""`` for an integer) is left out; one that only is written as text (``"2"``) is read.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ... import files
from ...rows import Row
from ..check.schema import argument_problems, openai_tool
from ..wire.calls import Call, dump, to_message
from .common import (
    Place,
    Record,
    call_of,
    gold_column,
    listed_names,
    parsed,
    scenario_of,
    tools_column,
    training_source,
)

_PLAIN = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "dict": "object"}
_PLAIN |= {name: name for name in _PLAIN.values()}
_LISTS = ("list", "tuple", "set", "array", "sequence", "iterable")


def schema_of(note: str) -> tuple[dict[str, Any], bool]:
    """Schema of a type note, and whether the note says that the parameter may be left out.

    What is no JSON value (``Callable``) or not known (``Any``, ``np.ndarray``) has the schema of any value.
    """
    parts = [part.strip() for part in _split(note)]
    optional = any(part.lower() in ("optional", "default") or part.lower().startswith("default") for part in parts[1:])
    return _schema(parts[0] if parts else "", optional)


def _schema(note: str, optional: bool) -> tuple[dict[str, Any], bool]:
    name, inside = _application(note)
    if name == "optional" and inside:
        return _schema(inside[0], True)
    if name == "union" and inside:
        kinds = [part for part in inside if part not in ("None", "NoneType")]
        schemas = [_schema(part, False)[0] for part in kinds]
        optional = optional or len(kinds) < len(inside)
        return (schemas[0] if len(schemas) == 1 else {"anyOf": schemas}), optional
    if name in _LISTS:
        return _list(name, inside), optional
    if name == "dict" and len(inside) == 2:
        values = _schema(inside[1], False)[0]
        return {"type": "object", **({"additionalProperties": values} if values else {})}, optional
    return ({"type": _PLAIN[name]} if name in _PLAIN else {}), optional


def _list(name: str, inside: list[str]) -> dict[str, Any]:
    elements = [_schema(part, False)[0] for part in inside if part != "..."]
    same = bool(elements) and all(element == elements[0] for element in elements)
    items = {"items": elements[0]} if same and elements[0] else {}
    # Only a tuple fixes its length; "..." leaves it open.
    fixed = name == "tuple" and len(inside) > 1 and "..." not in inside
    return {"type": "array", **items, **({"minItems": len(inside), "maxItems": len(inside)} if fixed else {})}


def _application(note: str) -> tuple[str, list[str]]:
    """``Name[a, b]`` or ``a | b`` as a lower-case name and its parts."""
    note = note.strip()
    alternatives = [part.strip() for part in _split(note, "|")]
    if len(alternatives) > 1:
        return "union", alternatives
    if not note.endswith("]") or "[" not in note:
        return note.lower(), []
    name, inside = note[:-1].split("[", 1)
    return name.strip().lower().removeprefix("typing."), [part.strip() for part in _split(inside)]


def _split(text: str, mark: str = ",") -> list[str]:
    """Split at a mark outside of brackets."""
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        depth += (letter in "[(") - (letter in "])")
        if letter == mark and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


_PLACE = Place(
    "xlam",
    {"train": ("xlam/train", "xlam/xlam_function_calling_60k", "xlam_function_calling_60k")},
    repo="Salesforce/xlam-function-calling-60k",
)


def to_row(record: Record, where: str) -> Row:
    """The row of one record."""
    listed = parsed(files.field(record, ("tools",), where), "tools", record, where)
    answers = parsed(files.field(record, ("answers",), where), "answers", record, where)
    for name, value in (("tools", listed), ("answers", answers)):
        if not isinstance(value, list) or not value:
            raise files.malformed(where, name, value, "give a JSON list with at least one element", record)
    tools = tools_column([_tool(tool, record, where) for tool in listed], record, where)
    calls = [call_of(answer, "answers", record, where) for answer in answers]
    listed_tools = listed_names(tools)
    for call in calls:
        if call.name not in listed_tools:
            raise files.malformed(where, "answers.name", call.name, "call a listed tool, or drop the row", record)
    return {
        "language": "en",
        "scenario": scenario_of(calls, tools),
        "prompt": [{"role": "user", "content": str(files.field(record, ("query",), where))}],
        "tools": tools,
        "gold": gold_column("call", calls),
    }


def _tool(tool: Any, record: Record, where: str) -> dict[str, Any]:
    if not isinstance(tool, Mapping) or not isinstance(tool.get("parameters") or {}, Mapping):
        raise files.malformed(where, "tools", tool, "give {name, description, parameters}", record)
    flat = tool.get("parameters") or {}
    if flat.get("type") == "object" and isinstance(flat.get("properties"), Mapping):
        return openai_tool(tool.get("name"), tool.get("description"), flat)
    properties, required = {}, []
    for name, described in flat.items():
        if not isinstance(described, Mapping) or not isinstance(described.get("type", ""), str):
            raise files.malformed(where, f"tools.parameters.{name}", described, "give {type, description}", record)
        properties[name], optional = _parameter(dump(described))
        required += [] if optional else [name]
    parameters = {"type": "object", "properties": properties, **({"required": required} if required else {})}
    return openai_tool(tool.get("name"), tool.get("description"), parameters)


@lru_cache(maxsize=65536)  # the set has few thousand tools, each in many rows
def _parameter(text: str) -> tuple[dict[str, Any], bool]:
    """Schema of a parameter from the JSON of its description, and whether it may be left out."""
    described = json.loads(text)
    schema, optional = schema_of(described.get("type", ""))
    if described.get("description"):
        schema["description"] = str(described["description"])
    if "default" not in described:
        return schema, optional
    # As it stands, or as JSON written in a text.
    candidates = [described["default"]]
    if isinstance(described["default"], str):
        with contextlib.suppress(json.JSONDecodeError):
            candidates.append(json.loads(described["default"]))
    holder = {"type": "object", "properties": {"it": dict(schema)}}
    for candidate in candidates:
        if candidate is not None and not argument_problems({"it": candidate}, holder):
            return {**schema, "default": candidate}, True
    return schema, True


def to_conversation(record: Record, where: str) -> Row:
    """The row of one record with ``messages``: the question and the turn that makes the calls."""
    row = to_row(record, where)
    calls = [Call(call["name"], call["arguments"]) for call in json.loads(row["gold"])["calls"]]
    row["messages"] = [*row.pop("prompt"), to_message(calls)]
    return row


_ABOUT = "xLAM-60k: single questions and the calls that answer them (hf.co/papers/2406.18518); gated."

rows = training_source(_PLACE, to_row, _ABOUT, "gold")
demonstrations = training_source(_PLACE, to_conversation, _ABOUT)
