"""Conversations as OpenAI's API and TRL have them (kind ``openai_messages``), any file in that layout.

A record has ``messages`` (or ``prompt`` and ``completion``, joined) and perhaps ``tools``, a list or its
JSON text. ``arguments`` may be JSON text (OpenAI) or an object (TRL); in a row they are text. The old
``function_call``, ``functions`` and role ``function``, the role ``developer`` and text in parts are read
too. In a parquet file keys whose value is null are padding of its columns and are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ... import files
from ...rows import Row
from ..wire.calls import Call, dump
from .common import Record, call_of
from .conversations import Conversation
from .llama_factory import tool_list
from .source_functions import file_source

_ROLES = {"developer": "system", "function": "tool"}


def to_row(record: Record, where: str) -> Row:
    """The row of one record."""
    conversation = Conversation(record, where)
    joined = [*_list(record.get("prompt")), *_list(record.get("completion"))]
    fill(conversation, record.get("messages") or joined or None, record, where)
    tools = record.get("tools") if record.get("tools") is not None else record.get("functions")
    return conversation.row(tool_list(tools, record, where))


def fill(conversation: Conversation, messages: Any, record: Record, where: str) -> None:
    """Add a list of OpenAI messages to a conversation.

    Raises:
        RowError: If a message is malformed.
    """
    if not isinstance(messages, list) or not messages:
        raise files.malformed(where, "messages", messages, "give a non-empty list of messages", record)
    names: dict[str, str] = {}
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        if not isinstance(message, Mapping):
            raise files.malformed(where, place, message, "give {role, content}", record)
        role = _ROLES.get(message.get("role", ""), message.get("role"))
        text = _text(message.get("content"), f"{place}.content", record, where)
        if role == "assistant":
            conversation.call(_calls(message, names, place, record, where), text)
        elif role == "tool":
            conversation.result(text, message.get("name") or names.get(message.get("tool_call_id") or ""))
        elif role in ("system", "user"):
            conversation.say(role, text)
        else:
            raise files.malformed(where, f"{place}.role", role, "one of system, user, assistant, tool", record)


def _calls(message: Mapping[str, Any], names: dict[str, str], place: str, record: Record, where: str) -> list[Call]:
    listed = message.get("tool_calls") or ([message["function_call"]] if message.get("function_call") else [])
    if not isinstance(listed, list) or not all(isinstance(item, Mapping) for item in listed):
        raise files.malformed(where, f"{place}.tool_calls", listed, "give a list of calls", record)
    calls = []
    for item in listed:
        call = call_of(item.get("function", item), f"{place}.tool_calls", record, where)
        if item.get("id"):
            names[item["id"]] = call.name
        calls.append(call)
    return calls


def _text(content: Any, place: str, record: Record, where: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(
        isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in content
    ):
        return "".join(part["text"] for part in content)
    if isinstance(content, Mapping):
        return dump(content)  # a tool's result that was not written as text
    raise files.malformed(where, place, content, "give text, or a list of text parts", record)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


rows = file_source(
    "openai_messages", to_row, "Conversations with tools in a file of your own, as OpenAI's API and TRL have them."
)
