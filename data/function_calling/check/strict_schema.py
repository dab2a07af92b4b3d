"""JSON Schema taken strictly: closed objects, no booleans or floats as integers, finite numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

# Keywords whose value is a schema, a list of schemas, or a mapping of names to schemas.
ONE = ("items", "additionalProperties", "not", "contains", "propertyNames")
MANY = ("prefixItems", "allOf", "anyOf", "oneOf")
NAMED = ("properties", "patternProperties", "$defs", "definitions")


def mapped(schema: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """A copy of a schema with ``change`` applied to the schemas right inside it."""
    copy = dict(schema)
    for key in ONE:
        if isinstance(copy.get(key), Mapping):
            copy[key] = change(copy[key])
    for key in MANY:
        if isinstance(copy.get(key), list):
            copy[key] = [change(inner) for inner in copy[key]]
    for key in NAMED:
        if isinstance(copy.get(key), Mapping):
            copy[key] = {name: change(inner) for name, inner in copy[key].items()}
    return copy


@lru_cache(maxsize=4096)
def strict_validator(text: str) -> Any:
    """Validator of a schema text that has no faults, stricter than the schema as ``schema.py`` says."""
    from referencing.jsonschema import EMPTY_REGISTRY

    # An empty registry: a schema that points elsewhere must not make us fetch anything.
    return _strict_class()(_closed(json.loads(text)), registry=EMPTY_REGISTRY)


@lru_cache(maxsize=1)
def _strict_class() -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    types = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": is_integer, "number": is_number})
    return extend(Draft202012Validator, type_checker=types)


def _closed(schema: Any, part: bool = False) -> Any:
    """The schema with unknown keys forbidden wherever properties are given and more are not allowed.

    A part of a schema that its neighbours complete (``allOf``, or branches beside ``properties``) stays
    open; the schema around it forbids what none of them has named.
    """
    if not isinstance(schema, dict):
        return schema
    pieces = "allOf" in schema or ("properties" in schema and any(key in schema for key in ("anyOf", "oneOf")))
    kept = {key: schema[key] for key in ("allOf", "anyOf", "oneOf", "not") if key in schema}
    copy = mapped({key: value for key, value in schema.items() if key not in kept}, _closed)
    for key, inner in kept.items():
        copy[key] = inner if key == "not" else [_closed(branch, part=part or pieces) for branch in inner]
    if part or "additionalProperties" in schema or "unevaluatedProperties" in schema:
        return copy
    if pieces:
        copy["unevaluatedProperties"] = False
    elif "properties" in schema:
        copy["additionalProperties"] = False
    return copy


def is_integer(_checker: Any, value: Any) -> bool:
    """Whether a value is an integer and no boolean; the first argument is jsonschema's."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(_checker: Any, value: Any) -> bool:
    """Whether a value is a finite number and no boolean; the first argument is jsonschema's."""
    return is_integer(_checker, value) or (isinstance(value, float) and math.isfinite(value))
