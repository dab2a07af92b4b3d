"""Building the messages of an imported conversation, turn by turn, and checking the whole.

Successive turns of the assistant are one turn: calls that a format writes one by one were made together, and text
before a call belongs to it.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

from ... import files
from ...rows import Row, RowError
from ..wire.calls import Call, dump, to_message
from .common import Record, call_of, listed_names, tools_column


class Conversation:
    """The messages of a row under construction; ``record`` and ``where`` are for error messages."""

    def __init__(self, record: Record, where: str) -> None:
        self.messages: list[dict[str, Any]] = []
        self.record, self.where = record, where

    def malformed(self, name: str, found: Any, fix: str) -> RowError:
        """The error of a malformed part of the record."""
        return files.malformed(self.where, name, found, fix, self.record)

    def say(self, role: str, text: str) -> None:
        """A turn of the system, the user or, without calls, the assistant; an empty system turn is left out."""
        if role == "assistant":
            self.call([], text)
        elif role == "user" or text:
            self.messages.append({"role": role, "content": text})

    def call(self, calls: Sequence[Call], text: str = "") -> None:
        """A turn of the assistant; joined to the assistant's turn right before it."""
        made = to_message(calls, text)
        last = self.messages[-1] if self.messages else {}
        if last.get("role") != "assistant":
            self.messages.append(made)
            return
        last["content"] = "\n".join(part for part in (last["content"], text) if part)
        if calls:
            last["tool_calls"] = last.get("tool_calls", []) + made["tool_calls"]

    def speak(self, text: str, marked: re.Pattern[str], stray: re.Pattern[str], name: str) -> None:
        """A turn of the assistant with its calls in marked blocks; ``stray`` finds marks that are left over."""
        bodies, around = blocks(text, marked)
        if stray.search(around):
            raise self.malformed(name, text, "close every mark of a call")
        self.call(calls_of(bodies, "tool_call", self.record, self.where), around)

    def results(self, bodies: Sequence[str]) -> None:
        """Results of tools, in the order of their calls."""
        for body in bodies:
            self.result(body.strip())

    def result(self, text: str, name: str | None = None, spread: bool = False) -> None:
        """A result of a tool, named as the next call that has none yet.

        With ``spread``, a list with one result for each of several calls becomes as many messages.
        """
        pending = self._unanswered()
        for content in _split(text, len(pending)) if spread else [text]:
            named = name or (pending.pop(0) if pending else None)
            self.messages.append({"role": "tool", "content": content, **({"name": named} if named else {})})

    def row(self, tools: Sequence[Any] | None, **columns: str) -> Row:
        """The row, from the first turn to the last of the assistant; None for tools that are not known.

        Raises:
            RowError: If the assistant never speaks, a call is to a tool that is not listed, or a result
                comes before any call.
        """
        messages = self.messages
        while messages and messages[-1]["role"] != "assistant":
            messages = messages[:-1]
        if not messages:
            raise self.malformed("turns", self.messages, "give at least one assistant turn")
        row: Row = {"language": "", "scenario": "", "messages": messages, **columns}
        if tools is not None:
            row["tools"] = tools_column(tools, self.record, self.where)
            listed = listed_names(row["tools"])
            for call in (call for message in messages for call in message.get("tool_calls", ())):
                if call["function"]["name"] not in listed:
                    raise self.malformed("call", call["function"]["name"], "list this tool, or drop the row")
        for before, message in zip([{}, *messages], messages, strict=False):
            if message["role"] == "tool" and before.get("role") != "tool" and not before.get("tool_calls"):
                raise self.malformed("tool", message["content"], "put a call before its result")
        return row

    def _unanswered(self) -> list[str]:
        """Names of the last turn's calls that have no result yet."""
        for answered, message in enumerate(reversed(self.messages)):
            if message["role"] != "tool":
                return [call["function"]["name"] for call in message.get("tool_calls", ())][answered:]
        return []


def literal(text: str, name: str, record: Record, where: str) -> Any:
    """A value written as JSON or, in some public rows, as a Python literal; nothing is executed.

    Raises:
        RowError: If it is neither.
    """
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        problem = error
    try:
        # Through JSON, so that only JSON values remain (a tuple becomes a list, a set is refused).
        return json.loads(dump(ast.literal_eval(text.strip())))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise files.malformed(where, name, text, f"give JSON or a Python literal: {problem}", record) from None


def blocks(text: str, pattern: re.Pattern[str]) -> tuple[list[str], str]:
    """Bodies of the marked blocks of a text, and the text around them; all of it as it was if there is none."""
    bodies, around, end = [], [], 0
    for match in pattern.finditer(text):
        bodies.append(next((group for group in match.groups() if group is not None), ""))
        around.append(text[end : match.start()].strip())
        end = match.end()
    if not bodies:
        return [], text
    return bodies, "\n".join(part for part in (*around, text[end:].strip()) if part)


def calls_of(bodies: Sequence[str], name: str, record: Record, where: str) -> list[Call]:
    """Calls from texts that each hold one call or a list of calls."""
    values = [literal(body, name, record, where) for body in bodies]
    return [
        call_of(one, name, record, where) for value in values for one in (value if isinstance(value, list) else [value])
    ]


def turns(record: Record, where: str, names: Sequence[str] = ("conversations",)) -> list[tuple[str, str]]:
    """ShareGPT turns as pairs of speaker and text.

    Raises:
        RowError: If the field is no list of ``{"from", "value"}``.
    """
    listed = files.field(record, names, where)
    fix = 'give a list of {"from": ..., "value": ...}'
    if not isinstance(listed, list):
        raise files.malformed(where, names[0], listed, fix, record)
    pairs = []
    for index, turn in enumerate(listed):
        speaker, text = (turn.get("from"), turn.get("value")) if isinstance(turn, dict) else (None, None)
        if not isinstance(speaker, str) or not isinstance(text, str):
            raise files.malformed(where, f"{names[0]}[{index}]", turn, fix, record)
        pairs.append((speaker, text))
    return pairs


def _split(text: str, pending: int) -> list[str]:
    if pending < 2:
        return [text]
    try:
        values = json.loads(text)
    except json.JSONDecodeError:
        return [text]
    return [dump(value) for value in values] if isinstance(values, list) and len(values) == pending else [text]
