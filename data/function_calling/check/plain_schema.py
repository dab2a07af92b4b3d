"""The plain part of JSON Schema, checked in microseconds.

Nearly every tool uses a handful of keywords. For schemas of those alone this module answers what
``schema.check_tool`` and ``schema.argument_problems`` would, some hundred times faster than the
jsonschema library; for any other schema it says that it can't tell.
"""

from __future__ import annotations

import math
from typing import Any

_LEAF = frozenset({"type", "description"})
_KEYWORDS = _LEAF | {"title", "enum", "default", "format", "minimum", "maximum", "examples"}
_ARRAY = _KEYWORDS | {"items"}
_OBJECT = _KEYWORDS | {"properties", "required", "additionalProperties"}
_ALLOWED = {
    **dict.fromkeys(("string", "integer", "number", "boolean"), _KEYWORDS),
    "array": _ARRAY,
    "object": _OBJECT,
}


def is_plain(schema: Any) -> bool:
    """Whether a schema is valid and uses plain keywords only, so that ``fits`` may judge with it."""
    if not isinstance(schema, dict):
        return False
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _ALLOWED or not schema.keys() <= _ALLOWED[kind]:
        return False
    if not isinstance(schema.get("description", ""), str):
        return False
    if schema.keys() <= _LEAF:
        return True
    if not _plain_options(schema):
        return False
    if "items" in schema and not is_plain(schema["items"]):
        return False
    return kind != "object" or _plain_object(schema)


def _plain_options(schema: dict[str, Any]) -> bool:
    for key in ("title", "format"):
        if not isinstance(schema.get(key, ""), str):
            return False
    for key in ("minimum", "maximum"):
        if not _is_number(schema.get(key, 0)):
            return False
    if "enum" in schema:
        # Only lists of texts: whether 1, 1.0 and true are one value is left to the library.
        values = schema["enum"]
        if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
            return False
    return isinstance(schema.get("examples", []), list) and schema.get("default", "") is not None


def _plain_object(schema: dict[str, Any]) -> bool:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return False
    if not isinstance(schema.get("additionalProperties", False), bool):
        return False
    if not all(isinstance(name, str) and name in properties for name in required):
        return False
    if len(set(required)) < len(required):
        return False
    return all(map(is_plain, properties.values()))


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value is valid under a plain schema, strictly: no coercion, no unnamed keys.

    Args:
        value: A decoded JSON value.
        schema: A schema for which ``is_plain`` holds.
    """
    if "enum" in schema and value not in schema["enum"]:
        return False
    match schema["type"]:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and _in_range(value, schema)
        case "number":
            return _is_number(value) and _in_range(value, schema)
        case "array":
            items = schema.get("items")
            return isinstance(value, list) and (items is None or all(fits(item, items) for item in value))
    return isinstance(value, dict) and _object_fits(value, schema)


def _object_fits(value: dict[str, Any], schema: dict[str, Any]) -> bool:
    properties = schema.get("properties")
    if any(name not in value for name in schema.get("required", ())):
        return False
    if properties is None:
        # Without named properties any key may come, unless that is forbidden.
        return not value or schema.get("additionalProperties", True)
    for name, item in value.items():
        if name not in properties:
            if not schema.get("additionalProperties", False):
                return False
        elif not fits(item, properties[name]):
            return False
    return True


def _in_range(value: float, schema: dict[str, Any]) -> bool:
    return schema.get("minimum", value) <= value <= schema.get("maximum", value)


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)
