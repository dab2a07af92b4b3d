"""From a row to the values of its slots and outputs: paths, normalisers, kinds and comparators."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from ....data.files import shorten
from .slot_schema import Output, ProbeError, Slot

ABSENT = "(absent)"
"""Value of a slot that a row lacks."""


def at(record: Any, path: str) -> Any:
    """The value at a path; None if there is none. JSON text on the way is read; `*` maps over a list."""
    value = record
    keys = path.split(".")
    for place, key in enumerate(keys):
        value = _decoded(value)
        if key == "*":
            rest = ".".join(keys[place + 1 :])
            return [at(item, rest) if rest else item for item in value] if isinstance(value, list) else None
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and re.fullmatch(r"-?\d+", key) and -len(value) <= int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def slot_value(slot: Slot, record: Mapping[str, Any], where: str, file: str) -> str:
    """The value of a slot as text by which rows are compared.

    Raises:
        ProbeError: It is missing or does not fit the slot's kind.
    """
    fix = f"allow it to be missing by `absent: true` in {file}"
    value = at(record, slot.path)
    if value is None and slot.absent:
        return ABSENT
    return _read("slot", slot, value, where, fix, lambda v: _KINDS[slot.kind](slot, _normalised(slot, v)))


def output_value(output: Output, record: Mapping[str, Any], where: str, file: str) -> str | None:
    """The value of an output as text, the same for outputs that compare equal; None if an optional one is missing.

    Raises:
        ProbeError: It is missing or does not fit the comparator.
    """
    fix = f"set `optional: true` in {file}"
    value = at(record, output.path)
    if value is None and output.optional:
        return None
    return _read(
        "output", output, value, where, fix, lambda found: _COMPARATORS[output.comparator](output, _decoded(found))
    )


def _read(kind: str, part: Slot | Output, value: Any, where: str, fix: str, convert: Callable[[Any], str]) -> str:
    if value is None:
        raise ProbeError(f"{where} · {kind} {part.name} · found nothing at {part.path} · give it, or {fix}")
    try:
        return convert(value)
    except ValueError as error:
        found = f"found {shorten(value, 60)} at {part.path}"
        raise ProbeError(f"{where} · {kind} {part.name} · {found} · {error}") from None


def _normalised(slot: Slot, value: Any) -> Any:
    for name in slot.normaliser:
        whole = name in _OF_LISTS or not isinstance(value, list)
        value = _NORMALISERS[name](value) if whole else [_NORMALISERS[name](item) for item in value]
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("this normaliser takes text; leave it out or choose another path")
    return value


def _item(value: Any, place: int) -> Any:
    if not isinstance(value, list | str) or not value:
        raise ValueError("first and last take a non-empty list or text")
    return value[place]


_OF_LISTS = ("first", "last", "count", "present")
_NORMALISERS: dict[str, Callable[[Any], Any]] = {
    "lower": lambda value: _text(value).lower(),
    "strip": lambda value: _text(value).strip(),
    "words": lambda value: len(_text(value).split()),
    "length": lambda value: len(_text(value)),
    "type": lambda value: type(value).__name__,
    "present": bool,
    "first": lambda value: _item(value, 0),
    "last": lambda value: _item(value, -1),
    "count": lambda value: len(value) if isinstance(value, list | Mapping) else 1,
}


def _categorical(slot: Slot, value: Any) -> str:
    if isinstance(value, list | Mapping):
        raise ValueError("a categorical slot takes one value; use kind: set, or a path to one item")
    return value if isinstance(value, str) else json.dumps(value)


def _span(slot: Slot, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if re.fullmatch(r"[-+]?\d+(?:[.,]\d+)?", text.strip()):
        return "number"
    words = len(text.split())
    return "empty" if not words else "word" if words == 1 else "phrase" if words <= 5 else "text"


def _bucket(slot: Slot, value: Any) -> str:
    number = len(value) if isinstance(value, list | Mapping) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError("a bucket takes a number or a list; use kind: categorical, or another path")
    edges = slot.edges
    below = sum(number >= edge for edge in edges)
    if below == 0:
        return f"< {edges[0]:g}"
    if below == len(edges):
        return f"{edges[-1]:g} or more"
    low, high = edges[below - 1], edges[below]
    if low != int(low) or high != int(high):
        return f"{low:g} to < {high:g}"
    return f"{low:g}" if high == low + 1 else f"{low:g} to {high - 1:g}"


def _set(slot: Slot, value: Any) -> str:
    if not isinstance(value, list):
        raise ValueError("a set takes a list; use kind: categorical")
    items = {item if isinstance(item, str) else json.dumps(item, sort_keys=True) for item in value}
    return ", ".join(sorted(items)) or "(none)"


_KINDS: dict[str, Callable[[Slot, Any], str]] = {
    "categorical": _categorical,
    "span": _span,
    "bucket": _bucket,
    "set": _set,
}


def _exact(output: Output, value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _same_set(output: Output, value: Any) -> str:
    if not isinstance(value, list):
        raise ValueError("comparator set takes a list; use comparator: exact")
    return json.dumps(sorted({_exact(output, item) for item in value}), ensure_ascii=False)


def _number(output: Output, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("comparator number takes a number; use comparator: exact, or another path")
    if not math.isfinite(value):
        raise ValueError("comparator number takes a finite number; use comparator: exact, or another value")
    rounded = round(value / output.tolerance) * output.tolerance if output.tolerance else value
    return f"{rounded:.15g}"


_COMPARATORS: dict[str, Callable[[Output, Any], str]] = {"exact": _exact, "set": _same_set, "number": _number}


def _decoded(value: Any) -> Any:
    """What JSON text holds; anything else as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value
