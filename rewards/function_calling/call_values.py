"""When an argument is right: the listed rules by which a value is compared with the gold one.

V1  Types are JSON's and exact: `"1"` is not 1, `true` is not 1, `null` is only null.
V2  Numbers are equal within a relative 1e-9, whole ones exactly; 3 and 3.0 are alike, unless the schema says
    `integer`: then 3.0 is of the wrong type.
V3  Literals (an `enum` or `const` or `format` in the schema, class enum or iso) are equal letter by letter.
V4  Class verbatim: equal after NFC and with white space stripped and squeezed; case and punctuation count, since the
    value was to be copied.
V5  Other strings: as V4, but without case.
V6  Lists are ordered and of the same length; the rules hold for the items.
V7  Objects have the same keys, by rules A1 to A3; the rules hold for the values.

A1  An argument that the gold has may be left out if it is optional and the gold value is its schema default, or if the
    row accepts that.
A2  An argument that the gold lacks may be given if it is its schema default or a value that the row accepts.
A3  Anything else that is missing, extra or null is an error.

There is no transliteration and no number or date parsing here: which spelling is right is a matter of the row, in its
gold or its accepted values.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...data.function_calling.wire.calls import Call
from .gold_calls import GoldCall

_RELATIVE_TOLERANCE = 1e-9
_LITERAL = ("enum", "iso")
_LITERAL_KEYS = ("enum", "const", "format")
_CLASS_OF_TYPE = {"integer": "number", "number": "number", "boolean": "boolean", "array": "list", "object": "object"}


@dataclass(frozen=True)
class ArgumentScore:
    """One argument of a call: its parameter, the class of its value, and why it is wrong.

    Reasons: "" if it is right; unknown (not in the schema), missing, extra (not asked for), null, type, value.
    """

    name: str
    kind: str
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is right."""
        return not self.reason


def compare_arguments(found: Call, gold: GoldCall, parameters: Mapping[str, Any]) -> tuple[ArgumentScore, ...]:
    """Every argument of either call, those of the gold first; `parameters` is the tool's JSON Schema."""
    wanted = gold.call.arguments
    names = [*wanted, *(name for name in found.arguments if name not in wanted)]
    scores = []
    for name in names:
        accepted = gold.accepted.get(name) or []
        right = [wanted[name]] if name in wanted else []
        reason = _argument(found.arguments, name, [*right, *accepted], name in wanted, parameters, gold.classes)
        scores.append(ArgumentScore(name, gold.classes.get(name) or class_of(_property(parameters, name)), reason))
    return tuple(scores)


def class_of(schema: Mapping[str, Any]) -> str:
    """Class of a value for which the row names none: enum, number, boolean, list, object, else text."""
    if "enum" in schema:
        return "enum"
    return next((_CLASS_OF_TYPE[kind] for kind in _types(schema) if kind in _CLASS_OF_TYPE), "text")


def difference(found: Any, gold: Any, schema: Mapping[str, Any], kind: str = "") -> str:
    """Why two values differ by rules V1 to V7, a reason of `ArgumentScore`; "" if they do not."""
    if found is None or gold is None:
        return "" if found is gold else "null"
    if isinstance(found, bool) or isinstance(gold, bool):
        return "type" if type(found) is not type(gold) else "" if found is gold else "value"
    if isinstance(found, int | float) and isinstance(gold, int | float):
        return _numbers(found, gold, _types(schema))
    if isinstance(found, str) and isinstance(gold, str):
        return "" if _text(found, schema, kind) == _text(gold, schema, kind) else "value"
    if isinstance(found, list) and isinstance(gold, list):
        items = schema.get("items")
        inner = items if isinstance(items, Mapping) else {}
        reasons = (difference(one, other, inner) for one, other in zip(found, gold, strict=False))
        return next(filter(None, reasons), "" if len(found) == len(gold) else "value")
    if isinstance(found, Mapping) and isinstance(gold, Mapping):
        return _objects(found, gold, schema)
    return "type"


def _argument(
    found: Mapping[str, Any],
    name: str,
    right: list[Any],
    wanted: bool,
    parameters: Mapping[str, Any],
    classes: Mapping[str, str],
) -> str:
    """Why an argument is wrong, given its right values (`None` among them: may be left out)."""
    schema = _property(parameters, name)
    if "default" in schema and name not in (parameters.get("required") or ()):
        # Left out and given as the default mean the same to the tool.
        if not wanted:
            right = [*right, schema["default"]]
        elif not difference(schema["default"], right[0], schema):
            right = [*right, None]
    if name not in found:
        return "" if not wanted or any(value is None for value in right[1:]) else "missing"
    kind = classes.get(name, "")
    reasons = [difference(found[name], value, schema, kind) for value in right if value is not None or not right[1:]]
    if "" in reasons:
        return ""
    if found[name] is None:
        return "null"
    if not wanted:
        return "extra" if name in (parameters.get("properties") or {}) else "unknown"
    return reasons[0]


def _objects(found: Mapping[str, Any], gold: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    keys = dict.fromkeys((*gold, *found))
    reasons = [_argument(found, key, [gold[key]] if key in gold else [], key in gold, schema, {}) for key in keys]
    # What is wrong inside of a value makes the value wrong: the argument itself is there.
    return "type" if "type" in reasons else "value" if any(reasons) else ""


def _numbers(found: int | float, gold: int | float, types: tuple[str, ...]) -> str:
    if isinstance(found, float) and "integer" in types and "number" not in types:
        return "type"
    if isinstance(found, int) and isinstance(gold, int):
        return "" if found == gold else "value"
    whole = float(found).is_integer() and float(gold).is_integer()  # one in a billion more is another count
    return "" if math.isclose(found, gold, rel_tol=0.0 if whole else _RELATIVE_TOLERANCE) else "value"


def _text(text: str, schema: Mapping[str, Any], kind: str) -> str:
    if kind in _LITERAL or any(key in schema for key in _LITERAL_KEYS):
        return text
    squeezed = " ".join(unicodedata.normalize("NFC", text).split())
    return squeezed if kind == "verbatim" else unicodedata.normalize("NFC", squeezed.casefold())


def _property(parameters: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    properties = parameters.get("properties")
    found = properties.get(name) if isinstance(properties, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _types(schema: Mapping[str, Any]) -> tuple[str, ...]:
    kinds = schema.get("type", ())
    return (kinds,) if isinstance(kinds, str) else tuple(kinds)
