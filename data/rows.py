"""The row: one example of training or evaluation, a plain mapping that ``datasets`` can hold.

A row has ``id`` (stable between runs), ``task`` and either ``prompt`` (messages to continue, for RL and evaluation) or
``messages`` (a whole conversation, for SFT). Every other column is for rewards. Nested values that differ in shape
from row to row (tool schemas, lists of accepted answers) are JSON strings, so that Arrow does not add nulls to them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Row = dict[str, Any]

ROLES = ("system", "user", "assistant", "tool")


class RowError(ValueError):
    """A row, or a request for rows, is malformed; the message says where and how to fix it."""


def check_row(row: Mapping[str, Any], where: str) -> Row:
    """Check one row and return it as a plain dict; `where` is its place for messages, such as ``"train.jsonl:12"``.

    Raises:
        RowError: If ``id`` or ``task`` is missing, if not exactly one of ``prompt`` and
            ``messages`` is there, or if messages or tools are malformed.
    """
    if not isinstance(row, Mapping):
        raise RowError(_problem(where, "row", row, "give a mapping of column names to values"))
    for column in ("id", "task"):
        value = row.get(column)
        if not isinstance(value, str) or not value:
            raise RowError(_problem(where, column, value, "give a non-empty string"))
    present = [column for column in ("prompt", "messages") if row.get(column) is not None]
    if len(present) != 1:
        found = " and ".join(present) or "neither"
        fix = "give prompt (RL, evaluation) or messages (SFT), not both"
        raise RowError(f"{where} · prompt, messages · found {found} · {fix}")
    check_messages(row[present[0]], f"{where} · {present[0]}")
    if row.get("tools") is not None:
        _check_tools(row["tools"], where)
    return dict(row)


def check_rows(rows: Iterable[Mapping[str, Any]], where: str) -> list[Row]:
    """Check every row and that ids are unique; where one has a list of gold queries, `gold_sql` becomes one in all.

    Arrow, which holds the rows while training, takes one type a column.

    Raises:
        RowError: For the first malformed row or the first id that comes twice.
    """
    checked: list[Row] = []
    seen: dict[str, int] = {}
    for index, row in enumerate(rows):
        place = f"{where}[{index}]"
        good = check_row(row, place)
        first = seen.setdefault(good["id"], index)
        if first != index:
            raise RowError(f"{place} · id · {good['id']!r} is also the id of row {first} · make ids unique")
        checked.append(good)
    if any(isinstance(row.get("gold_sql"), list) for row in checked):
        checked = [row | {"gold_sql": [sql]} if isinstance(sql := row.get("gold_sql"), str) else row for row in checked]
    return checked


def check_messages(messages: Any, where: str) -> None:
    """Check a list of messages; `where` names it.

    Raises:
        RowError: If it is empty or a message is malformed.
    """
    if not isinstance(messages, list) or not messages:
        raise RowError(f"{where} · found {shorten(messages, 60)} · give a non-empty list of messages")
    for index, message in enumerate(messages):
        place = f"{where}[{index}]"
        if not isinstance(message, Mapping):
            raise RowError(f"{place} · found {shorten(message, 60)} · give {{role, content}}")
        if message.get("role") not in ROLES:
            raise RowError(_problem(place, "role", message.get("role"), f"one of {', '.join(ROLES)}"))
        if message.get("tool_calls"):
            _check_calls(message, place)
        # An assistant turn that only calls tools has no text of its own.
        if message.get("content") is None and message.get("tool_calls"):
            continue
        if not isinstance(message.get("content"), str):
            raise RowError(_problem(place, "content", message.get("content"), "give a string"))


def _check_calls(message: Mapping[str, Any], where: str) -> None:
    """Calls in OpenAI's form; arguments are JSON strings, to which Arrow adds no nulls."""
    calls = message["tool_calls"]
    if message["role"] != "assistant" or not isinstance(calls, list):
        raise RowError(_problem(where, "tool_calls", calls, "give a list, in assistant messages only"))
    for index, call in enumerate(calls):
        place = f"{where} · tool_calls[{index}]"
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            raise RowError(f'{place} · found {shorten(call, 60)} · give {{"type": "function", "function": {{...}}}}')
        if not isinstance(function.get("name"), str) or not function["name"]:
            raise RowError(_problem(place, "name", function.get("name"), "give the name of the tool"))
        if not isinstance(_object(function.get("arguments")), dict):
            fix = "give a JSON string of an object"
            raise RowError(_problem(place, "arguments", function.get("arguments"), fix))


def _object(text: Any) -> Any:
    """What a JSON string holds; None if it is not one."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except json.JSONDecodeError:
        return None


def _check_tools(tools: Any, where: str) -> None:
    fix = "give a JSON string of a list of tool schemas"
    if not isinstance(tools, str):
        raise RowError(_problem(where, "tools", tools, fix))
    try:
        parsed = json.loads(tools)
    except json.JSONDecodeError as error:
        raise RowError(_problem(where, "tools", tools, f"{fix} ({error})")) from None
    if not isinstance(parsed, list) or not all(isinstance(tool, dict) for tool in parsed):
        raise RowError(_problem(where, "tools", tools, fix))


def _problem(where: str, what: str, found: Any, fix: str) -> str:
    return f"{where} · {what} · found {shorten(found, 60)} · {fix}"


def shorten(value: Any, limit: int = 300) -> str:
    """``repr`` cut to ``limit`` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
