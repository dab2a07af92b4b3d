"""JSON as RFC 8259 defines it, from hostile text.

Python's `json` accepts NaN, Infinity, 1e999, duplicate keys and lone surrogates, and raises `RecursionError` on deep
nesting. Here each of these is a `JsonProblem`, so that every value read can be compared, checked against a schema and
written as UTF-8.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
MAX_DEPTH = 64
MAX_DIGITS = 300  # below the largest double, so that every integer can be compared with a float


class JsonProblem(ValueError):
    """The text is no usable JSON; the message is one short line."""


def loads(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        JsonProblem: If it is not JSON, or has one of the defects that the module names.
    """
    value, end = raw_decode(text, skip_space(text, 0))
    if skip_space(text, end) != len(text):
        raise JsonProblem("more text after the JSON value")
    return value


def raw_decode(text: str, start: int = 0) -> tuple[Any, int]:
    """The JSON value that starts at `start`, and where it ends.

    Raises:
        JsonProblem: See `loads`.
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise JsonProblem(f"nested deeper than {MAX_DEPTH}") from None
    except JsonProblem:
        raise
    except ValueError as error:
        raise JsonProblem(str(error)[:80]) from None
    check_value(value)
    return value, end


def skip_space(text: str, start: int) -> int:
    """The first position from `start` on that holds no white space of JSON."""
    return _SPACE.match(text, start).end()  # type: ignore[union-attr]  # it matches the empty string


def check_value(value: Any) -> None:
    """Refuse what is nested too deeply, holds a lone surrogate or is no JSON value.

    Raises:
        JsonProblem: See above.
    """
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise JsonProblem(f"nested deeper than {MAX_DEPTH}")


def _children(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    if isinstance(item, list):
        return item
    if isinstance(item, str):
        try:
            item.encode("utf-8")
        except UnicodeEncodeError:
            raise JsonProblem("lone surrogate") from None
    elif isinstance(item, float) and not math.isfinite(item):
        raise JsonProblem("number is not finite")
    elif isinstance(item, int) and abs(item) >= 10**MAX_DIGITS:
        raise JsonProblem(f"integer of more than {MAX_DIGITS} digits")
    elif item is not None and not isinstance(item, bool | int | float):
        raise JsonProblem(f"{type(item).__name__} is not a JSON value")
    return []


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise JsonProblem(f"key {key[:40]!r} comes twice")
        found[key] = value
    return found


def _refuse_constant(name: str) -> Any:
    raise JsonProblem(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise JsonProblem(f"integer of more than {MAX_DIGITS} digits")
    return int(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_integer)
