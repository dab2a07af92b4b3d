"""Tool schemas: one shape inside, conversions from and to the shapes outside, and two checks.

Inside, a tool is what OpenAI's API, TRL and every chat template take: ``{"type": "function", "function": {"name",
"description", "parameters"}}`` with ``parameters`` a JSON-Schema object and no key whose value is null. The dialect is
JSON Schema 2020-12, as MCP's (specification 2025-11-25).

The check of arguments is stricter than JSON Schema in three points, because a call is executed as it was written:
``true`` and ``1.0`` are no integers, a number is finite, and a key that the schema does not name is wrong unless the
schema allows more with ``additionalProperties``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ...rows import RowError, shorten
from .plain_schema import fits, is_plain
from .strict_schema import MANY, NAMED, ONE, mapped, strict_validator

# Wider than MCP's rule (A-Z a-z 0-9 _ - . up to 128), since public sets also have names of other
# scripts and with slashes; without blanks, quotes and brackets, which end a name in some wire format.
_NAME = re.compile(r"[^\s<>{}\[\]()\"'`\\,\x00-\x1f\x7f]{1,128}")

# Types of BFCL's function documents, all three languages; None stands for any value.
_FROM_BFCL: dict[str, str | None] = {
    **dict.fromkeys(("dict", "HashMap"), "object"),
    **dict.fromkeys(("float", "double"), "number"),
    **dict.fromkeys(("tuple", "Array", "ArrayList"), "array"),
    **dict.fromkeys(("String", "char"), "string"),
    **dict.fromkeys(("any", ""), None),
    **{"long": "integer", "Boolean": "boolean"},
}
_TO_BFCL = {"object": "dict", "number": "float"}

_COMBINED = ("allOf", "anyOf", "oneOf", "$ref")


def function_of(tool: Mapping[str, Any]) -> dict[str, Any]:
    """The ``{name, description, parameters}`` of a tool, given wrapped (OpenAI) or bare."""
    function = tool.get("function", tool)
    return openai_tool(function.get("name"), function.get("description"), function.get("parameters"))["function"]


def openai_tool(name: Any, description: Any, parameters: Any) -> dict[str, Any]:
    """A tool in the inner shape; missing parameters become an object without any, nulls are dropped."""
    schema = without_nulls(dict(parameters)) if isinstance(parameters, Mapping) else parameters
    if not schema:
        schema = {}
    if isinstance(schema, dict) and not schema.get("type"):
        schema = {"type": "object", **{key: value for key, value in schema.items() if key != "type"}}
    if isinstance(schema, dict) and schema.get("type") == "object" and not any(key in schema for key in _COMBINED):
        schema.setdefault("properties", {})
    return {"type": "function", "function": {"name": name, "description": description or "", "parameters": schema}}


def without_nulls(value: Any) -> Any:
    """The value without the keys whose value is null, at every depth; nulls inside lists stay."""
    if isinstance(value, Mapping):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list | tuple) else value


def from_mcp(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Inner shape of one tool of an MCP ``tools/list``; title, output schema and annotations are left out."""
    return openai_tool(tool.get("name"), tool.get("description") or tool.get("title"), tool.get("inputSchema"))


def from_bfcl(function: Mapping[str, Any]) -> dict[str, Any]:
    """Inner shape of one BFCL function document; names keep their dots.

    ``dict``, ``float`` and ``tuple`` become ``object``, ``number`` and ``array``; ``any`` loses its
    type. The Java and JavaScript documents name types of those languages, mapped likewise.
    """
    return openai_tool(function.get("name"), function.get("description"), _renamed(function.get("parameters")))


def to_bfcl(tool: Mapping[str, Any]) -> dict[str, Any]:
    """BFCL's shape of a tool, with every key that its checker expects.

    The checker knows one plain type per parameter, so a union keeps its first type that is not null,
    an untyped value is ``any``, an array always has ``items`` and an object always has ``required``.
    """
    function = function_of(tool)
    return {**function, "parameters": _bfcl_schema(function["parameters"], top=True)}


def check_tool(tool: Any, where: str) -> dict[str, Any]:
    """Check a tool of the inner shape and return it; `where` is file and row, for the message.

    Raises:
        RowError: If the shape, the name or the schema is wrong; the message names the field.
    """
    if not isinstance(tool, Mapping) or not isinstance(tool.get("function"), Mapping):
        raise _bad(where, "tool", tool, 'give {"type": "function", "function": {name, description, parameters}}')
    function = tool["function"]
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _bad(where, "name", name, "give 1 to 128 characters without blanks, quotes and brackets")
    where = f"{where} · tool {name}"
    if not isinstance(function.get("description", ""), str):
        raise _bad(where, "description", function["description"], "give a string")
    parameters = function.get("parameters")
    if not isinstance(parameters, Mapping) or parameters.get("type") != "object":
        raise _bad(where, "parameters", parameters, 'give a JSON-Schema object: {"type": "object", "properties": ...}')
    if not is_plain(parameters) and (problem := schema_problem(_text(parameters, where))):
        raise RowError(f"{where} · parameters{problem}")
    return dict(tool)


def argument_problems(arguments: Any, parameters: Mapping[str, Any]) -> list[str]:
    """What is wrong with the arguments of a call, in words; empty if nothing is.

    `parameters` are those of a tool that ``check_tool`` has passed.
    """
    if not isinstance(arguments, Mapping):
        return [f"arguments: {shorten(arguments, 60)} is not an object"]
    if is_plain(parameters) and fits(arguments, dict(parameters)):
        return []
    validator = strict_validator(json.dumps(parameters, ensure_ascii=False))
    if validator.is_valid(arguments):
        return []
    errors = sorted(validator.iter_errors(arguments), key=lambda error: [str(part) for part in error.absolute_path])
    return [f"arguments{_dotted(error.absolute_path)}: {_shortened(error.message)}" for error in errors]


def _shortened(text: str) -> str:
    return text if len(text) <= 160 else text[:159] + "…"


def _renamed(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    renamed = mapped(schema, _renamed)
    if isinstance(schema.get("type"), str):
        renamed["type"] = _FROM_BFCL.get(schema["type"], schema["type"])
        if renamed["type"] is None:
            del renamed["type"]
    choices = renamed.get("enum")
    if renamed.get("type") == "array" and choices and not any(isinstance(choice, list) for choice in choices):
        # BFCL writes the choices of the elements beside the type of the list.
        renamed["items"] = {**(renamed.get("items") or {}), "enum": renamed.pop("enum")}
    return renamed


def _bfcl_schema(schema: Any, top: bool = False) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    copy = mapped(schema, _bfcl_schema)
    kinds = schema.get("type", "any")
    kinds = [kinds] if isinstance(kinds, str) else [kind for kind in kinds if kind != "null"]
    kind = kinds[0] if kinds else "any"
    copy["type"] = _TO_BFCL.get(kind, kind)
    if kind == "array":
        copy.setdefault("items", {"type": "any"})
    if kind == "object" and (top or "properties" in copy):
        copy.setdefault("properties", {})
        copy.setdefault("required", [])
    return copy


def _text(parameters: Mapping[str, Any], where: str) -> str:
    try:
        return json.dumps(parameters, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _bad(where, "parameters", parameters, f"give JSON values only ({error})") from None


@lru_cache(maxsize=4096)
def schema_problem(text: str) -> str:
    """The first fault of a schema, as the end of a message; empty if there is none."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    schema = json.loads(text)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"{_dotted(error.absolute_path)} · found {shorten(error.instance, 60)} · {_shortened(error.message)}"
    for path, inner in _schemas(schema):
        nulls = [key for key, value in inner.items() if value is None]
        if nulls:
            return f"{_dotted((*path, nulls[0]))} · found null · leave the key out"
        if not str(inner.get("$ref", "#")).startswith("#"):
            return f"{_dotted((*path, '$ref'))} · found {inner['$ref']!r} · write the schema out; nothing is fetched"
        unknown = set(inner.get("required", ())) - set(inner.get("properties", ()))
        if unknown and "properties" in inner:
            return f"{_dotted((*path, 'required'))} · found {sorted(unknown)[0]!r} · name only properties"
    return ""


def _schemas(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every schema inside a schema, itself first, with its path."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for key in ONE:
        yield from _schemas(schema.get(key), (*path, key))
    for key in MANY:
        for index, inner in enumerate(schema.get(key) or ()):
            yield from _schemas(inner, (*path, key, str(index)))
    for key in NAMED:
        for name, inner in (schema.get(key) or {}).items():
            yield from _schemas(inner, (*path, key, name))


def _dotted(path: Any) -> str:
    return "".join(f".{part}" for part in path)


def _bad(where: str, what: str, found: Any, fix: str) -> RowError:
    return RowError(f"{where} · {what} · found {shorten(found, 60)} · {fix}")
