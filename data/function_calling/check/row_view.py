"""A function-calling row with its JSON columns decoded, for validators and corruptions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from ...rows import RowError
from ..wire.calls import Call, of_message

Message = Mapping[str, Any]

Decision = Literal["call", "ask", "refuse", "answer", "none"]
DECISIONS: tuple[Decision, ...] = ("call", "ask", "refuse", "answer")


@dataclass(frozen=True)
class RowView:
    """The parts of a row; `where` is its id, for messages.

    The turn is the judged one, None in a row with ``prompt``; the gold is None where it is not known; the provenance
    says how a generated row came about, and is empty for others.
    """

    where: str
    language: str
    history: list[Message]
    turn: Message | None
    tools: list[dict[str, Any]]
    gold: dict[str, Any] | None
    provenance: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def functions(self) -> dict[str, dict[str, Any]]:
        """Listed functions by name."""
        return {tool["function"]["name"]: tool["function"] for tool in self.tools}

    @cached_property
    def gold_calls(self) -> list[Call]:
        """Calls of the gold."""
        return [Call(call["name"], call["arguments"]) for call in (self.gold or {}).get("calls") or ()]

    @cached_property
    def history_calls(self) -> list[Call]:
        """Calls that were made before the judged turn.

        Raises:
            ValueError: If the arguments of one are not a JSON object.
        """
        return [call for message in self.history if message.get("tool_calls") for call in of_message(message)]

    @cached_property
    def said(self) -> str:
        """What users and tools said before the judged turn, where every value has to come from."""
        texts = (message["content"] for message in self.history if message["role"] in ("user", "tool"))
        return "\n".join(text for text in texts if text)

    @cached_property
    def user_text(self) -> str:
        """The last user message before the judged turn."""
        texts = [message["content"] for message in self.history if message["role"] == "user"]
        return texts[-1] if texts else ""

    @cached_property
    def tool_ids(self) -> dict[str, str]:
        """Tool name to library id, for generated rows."""
        return dict(zip(self.functions, self.provenance.get("tool_ids", ()), strict=False))

    @cached_property
    def original_parameters(self) -> dict[str, str]:
        """New parameter name to the library's, for masked rows."""
        masked = (self.provenance.get("masked") or {}).get("parameters") or {}
        return {new: old for renamed in masked.values() for old, new in renamed.items()}

    def original_arguments(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments under the library's parameter names."""
        return {self.original_parameters.get(name, name): value for name, value in arguments.items()}


def view(row: Mapping[str, Any]) -> RowView:
    """Decode the JSON columns of a row that ``check_row`` has passed.

    Raises:
        RowError: If a column is no JSON of the expected kind, or a tool has no function with a name.
    """
    where = str(row.get("id"))
    tools = _decode(row, "tools", list, where) or []
    for tool in tools:
        if not isinstance(tool.get("function"), dict) or not isinstance(tool["function"].get("name"), str):
            raise RowError(f"{where} · tools · found a tool without a named function · give OpenAI-style tools")
    gold = _decode(row, "gold", dict, where)
    if gold is not None and gold.get("decision") not in DECISIONS:
        found = gold.get("decision")
        raise RowError(f"{where} · gold.decision · found {found!r} · one of {', '.join(DECISIONS)}")
    history: list[Message] = list(row.get("prompt") or row["messages"])
    turn = history.pop() if row.get("messages") is not None else None
    provenance = _decode(row, "provenance", dict, where) or {}
    return RowView(where, row.get("language") or "", history, turn, tools, gold, provenance)


def _decode(row: Mapping[str, Any], column: str, kind: type, where: str) -> Any:
    text = row.get(column)
    if not text:
        return None
    try:
        value = json.loads(text)
    except (TypeError, ValueError) as error:
        raise RowError(f"{where} · {column} · found {str(text)[:60]!r} · give JSON text ({error})") from None
    if not isinstance(value, kind):
        raise RowError(f"{where} · {column} · found JSON of {type(value).__name__} · give a {kind.__name__}")
    return value
