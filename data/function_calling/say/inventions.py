"""Values that do not occur in the dialogue, as a model invents them where it should copy or ask."""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Mapping
from typing import Any

from .masking import pseudo_word


def example(schema: Mapping[str, Any], rng: random.Random) -> Any:
    """A value that a schema takes."""
    if schema.get("enum"):
        return rng.choice(schema["enum"])
    match schema.get("type"):
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "array":
            return [example(schema.get("items") or {}, rng)]
        case "object":
            return {name: example(inner, rng) for name, inner in (schema.get("properties") or {}).items()}
    return pseudo_word(rng).title()


def invent(value: Any, schema: Mapping[str, Any], rng: random.Random) -> Any:
    """Another value of the same type that the schema allows, as far as it says."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return _other_number(value, schema, rng)
    if isinstance(value, list):
        return [*value[:-1], invent(value[-1], schema.get("items") or {}, rng)] if value else ["..."]
    if isinstance(value, dict):
        key = rng.choice(sorted(value)) if value else "key"
        inner = (schema.get("properties") or {}).get(key) or {}
        return value | {key: invent(value.get(key, ""), inner, rng)}
    return _other_text(str(value), schema, rng)


def _other_number(value: float, schema: Mapping[str, Any], rng: random.Random) -> float:
    low, high = schema.get("minimum", 0), schema.get("maximum", max(10, abs(value) * 2))
    near = [value + step for step in range(-9, 10) if step and low <= value + step <= high]
    return rng.choice(near) if near else value + 1


def _other_text(value: str, schema: Mapping[str, Any], rng: random.Random) -> str:
    others = [literal for literal in schema.get("enum") or () if literal != value]
    if others:
        return rng.choice(others)
    if re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])", value):
        days = datetime.timedelta(days=rng.randint(1, 27))
        return (datetime.date.fromisoformat(value) + days).isoformat()
    digits = list(re.finditer(r"\d", value))
    if digits:
        place = digits[-1].start()
        return value[:place] + str((int(value[place]) + rng.randint(1, 9)) % 10) + value[place + 1 :]
    return pseudo_word(rng).title()
