"""Conversations as OpenAI's API and TRL have them (kind ``openai_messages``), any file in that layout.

A record has ``messages`` (or ``prompt`` and ``completion``, joined) and perhaps ``tools``, a list or its
JSON text. ``arguments`` may be JSON text (OpenAI) or an object (TRL); in a row they are text. The old
``function_call``, ``functions`` and role ``function``, the role ``developer`` and text in parts are read
too. In a parquet file keys whose value is null are padding of its columns and are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...rows import Row
from ..wire.calls import Call, dump
from .common import Record, call_of, file_source, tool_list
from .conversations import Conversation

_ROLES = {"developer": "system", "function": "tool"}


def to_row(record: Record, where: str) -> Row:
    """The row of one record."""
    conversation = Conversation(record, where)
    halves = [record.get("prompt"), record.get("completion")]
    joined = [message for half in halves if isinstance(half, list) for message in half]
    fill(conversation, record.get("messages") or joined or None)
    tools = record.get("tools") if record.get("tools") is not None else record.get("functions")
    return conversation.row(tool_list(tools, record, where))


def fill(conversation: Conversation, messages: Any) -> None:
    """Add a list of OpenAI messages to a conversation.

    Raises:
        RowError: If a message is malformed.
    """
    if not isinstance(messages, list) or not messages:
        raise conversation.malformed("messages", messages, "give a non-empty list of messages")
    names: dict[str, str] = {}
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        if not isinstance(message, Mapping):
            raise conversation.malformed(place, message, "give {role, content}")
        role = _ROLES.get(message.get("role", ""), message.get("role"))
        text = _text(message.get("content"), f"{place}.content", conversation)
        if role == "assistant":
            conversation.call(_calls(message, names, f"{place}.tool_calls", conversation), text)
        elif role == "tool":
            conversation.result(text, message.get("name") or names.get(message.get("tool_call_id") or ""))
        elif role in ("system", "user"):
            conversation.say(role, text)
        else:
            raise conversation.malformed(f"{place}.role", role, "one of system, user, assistant, tool")


def _calls(message: Mapping[str, Any], names: dict[str, str], place: str, conversation: Conversation) -> list[Call]:
    listed = message.get("tool_calls") or ([message["function_call"]] if message.get("function_call") else [])
    if not isinstance(listed, list) or not all(isinstance(item, Mapping) for item in listed):
        raise conversation.malformed(place, listed, "give a list of calls")
    calls = [call_of(item.get("function", item), place, conversation.record, conversation.where) for item in listed]
    names |= {item["id"]: call.name for item, call in zip(listed, calls, strict=True) if item.get("id")}
    return calls


def _text(content: Any, place: str, conversation: Conversation) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    parts: list[Any] = content if isinstance(content, list) else [None]
    if all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in parts):
        return "".join(part["text"] for part in parts)
    if isinstance(content, Mapping):
        return dump(content)  # a tool's result that was not written as text
    raise conversation.malformed(place, content, "give text, or a list of text parts")


rows = file_source(
    "openai_messages", to_row, "Conversations with tools in a file of your own, as OpenAI's API and TRL have them."
)
