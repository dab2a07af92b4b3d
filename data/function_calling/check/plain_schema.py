"""The plain part of JSON Schema, checked in microseconds.

Nearly every tool uses a handful of keywords. For schemas of those alone this module gives the answers of the jsonschema
library some hundred times faster; of any other schema it says that it is not plain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .strict_schema import is_integer, is_number


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool) or is_number(None, value)


def _is_list_of_texts(value: Any) -> bool:
    # Whether 1, 1.0 and true are one value of an enum is left to the library.
    return isinstance(value, list) and all(map(_is_text, value))


def is_plain(schema: Any) -> bool:
    """Whether a schema is valid and uses plain keywords only, so that ``fits`` may judge with it."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    if not isinstance(kind, str) or kind not in _ALLOWED or not schema.keys() <= _ALLOWED[kind]:
        return False
    if not all(_KEYWORDS[key](value) for key, value in schema.items()):
        return False
    required = schema.get("required", ())
    return len(set(required)) == len(required) and all(name in schema.get("properties", ()) for name in required)


_KEYWORDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("type", "description", "title", "format"), _is_text),
    **dict.fromkeys(("minimum", "maximum"), lambda value: is_number(None, value)),
    "enum": lambda value: bool(value) and _is_list_of_texts(value),
    "examples": lambda value: isinstance(value, list) and all(map(_is_scalar, value)),
    "default": _is_scalar,
    "items": is_plain,
    "properties": lambda value: isinstance(value, dict) and all(map(is_plain, value.values())),
    "required": _is_list_of_texts,
    "additionalProperties": lambda value: isinstance(value, bool),
}
_OF_OBJECTS = {"properties", "required", "additionalProperties"}
_ALLOWED = {
    **dict.fromkeys(("string", "integer", "number", "boolean"), _KEYWORDS.keys() - _OF_OBJECTS - {"items"}),
    "array": _KEYWORDS.keys() - _OF_OBJECTS,
    "object": _KEYWORDS.keys() - {"items"},
}


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value is valid under a plain schema (`is_plain`), strictly: no coercion, no unnamed keys."""
    if "enum" in schema and value not in schema["enum"]:
        return False
    match schema["type"]:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return is_integer(None, value) and _in_range(value, schema)
        case "number":
            return is_number(None, value) and _in_range(value, schema)
        case "array":
            items = schema.get("items")
            return isinstance(value, list) and (items is None or all(fits(item, items) for item in value))
    return isinstance(value, dict) and _object_fits(value, schema)


def _object_fits(value: dict[str, Any], schema: dict[str, Any]) -> bool:
    properties = schema.get("properties")
    if any(name not in value for name in schema.get("required", ())):
        return False
    if properties is None:
        # Without named properties any key is allowed, unless that is forbidden.
        return not value or schema.get("additionalProperties", True)
    more = schema.get("additionalProperties", False)
    return all(fits(item, properties[name]) if name in properties else more for name, item in value.items())


def _in_range(value: float, schema: dict[str, Any]) -> bool:
    return schema.get("minimum", value) <= value <= schema.get("maximum", value)
