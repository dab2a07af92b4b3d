"""The gold and the tools of a function-calling row, decoded once and cached."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ...data.function_calling.check.row_view import DECISIONS, Decision
from ...data.function_calling.check.schema import function_of
from ...data.function_calling.wire.calls import Call
from ...data.rows import RowError


@dataclass(frozen=True)
class GoldCall:
    """A right call, with what else is right.

    Attributes:
        accepted: Further right values by parameter; `None` among them means that it may be left out.
        classes: Class of the value by parameter: verbatim, enum, iso, number, boolean, translit, translate, list or
            object.
    """

    call: Call
    accepted: Mapping[str, list[Any]]
    classes: Mapping[str, str]


@dataclass(frozen=True)
class Gold:
    """The right reply; the columns of `gold` under their names.

    Attributes:
        decisions: All accepted decisions, the right one first; more than one where a set does not tell them apart.
        calls: The right calls, in any order; none with the decision `call` means that any valid call will do.
        mentions: By missing parameter, the words that name it.
        contains: What the answer must state.
    """

    decision: Decision
    decisions: tuple[Decision, ...]
    calls: tuple[GoldCall, ...]
    mentions: Mapping[str, list[str]]
    contains: tuple[str, ...]


def read_gold(row: Mapping[str, Any]) -> Gold:
    """The gold of a row.

    Raises:
        RowError: It is not what `data.function_calling` writes.
    """
    try:
        return _gold(row["gold"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RowError(f"{row.get('id', '?')} · gold · {type(error).__name__}: {error} · see ARCHITECTURE.md") from None


def read_tools(row: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """JSON Schema of the parameters by tool name; empty for a row without tools.

    Raises:
        RowError: `tools` is no JSON list of tools.
    """
    try:
        return _tools(row.get("tools") or "[]")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RowError(f"{row.get('id', '?')} · tools · {type(error).__name__}: {error} · give a JSON list") from None


@lru_cache(maxsize=4096)
def _gold(text: str) -> Gold:
    found = json.loads(text)
    calls = found.get("calls") or []
    more = [_aligned(found, column, len(calls)) for column in ("accepted", "classes")]
    decisions = tuple(dict.fromkeys((found["decision"], *(found.get("decisions") or ()))))
    if unknown := [decision for decision in decisions if decision not in DECISIONS]:
        raise ValueError(f"decision {unknown[0]!r} is none of {', '.join(DECISIONS)}")
    mentions = found.get("mentions") or {}
    # Without any words of the language there is nothing to judge a question by.
    slots = dict.fromkeys((*(found.get("missing") or ()), *mentions)) if mentions else ()
    return Gold(
        decisions[0],
        decisions,
        tuple(
            GoldCall(Call(call["name"], call["arguments"]), accepted, classes)
            for call, accepted, classes in zip(calls, *more, strict=True)
        ),
        {name: mentions.get(name) or [name.replace("_", " ")] for name in slots},
        tuple(map(str, found.get("contains") or ())),
    )


def _aligned(found: Mapping[str, Any], column: str, count: int) -> list[dict[str, Any]]:
    values = found.get(column) or [{}] * count
    if len(values) != count:
        raise ValueError(f"{column} has {len(values)} entries for {count} calls")
    return [dict(value or {}) for value in values]


@lru_cache(maxsize=4096)
def _tools(text: str) -> dict[str, Mapping[str, Any]]:
    tools: dict[str, Mapping[str, Any]] = {}
    for function in map(function_of, json.loads(text)):
        tools.setdefault(function["name"], function["parameters"])
    return tools
