"""A tool call, and a reply as it was read: what every wire format reads into and is written from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .strict_json import loads

dump = json.JSONEncoder(ensure_ascii=False).encode
"""JSON text with letters of all languages as they are; ``json.dumps`` would build an encoder for each call."""


@dataclass(frozen=True)
class Call:
    """One tool call: the exact tool name and its arguments by parameter name."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Parsed:
    """A reply as it was read: its calls in order, none if there are problems, and the text outside of them, stripped.

    A problem is `code: detail`, `code` one of `PROBLEMS`.
    """

    calls: tuple[Call, ...]
    text: str
    problems: tuple[str, ...] = ()


PROBLEMS = (
    "unclosed",  # a call block without its closing mark
    "stray_mark",  # a mark of a call block in the wrong place
    "not_json",  # the block is not JSON: single quotes, trailing comma, truncated, not finite, a key twice, ...
    "not_a_call",  # JSON, but no object with a name and arguments
    "bad_name",  # the name is not a non-empty string
    "bad_arguments",  # the arguments are not an object
    "other_format",  # a call, but in another wire format
)


def to_message(calls: Iterable[Call], content: str = "") -> dict[str, Any]:
    """The assistant message that makes these calls, in a row's form: `arguments` is a JSON string."""
    functions = [{"name": call.name, "arguments": dump(call.arguments)} for call in calls]
    tool_calls = [{"type": "function", "function": function} for function in functions]
    message: dict[str, Any] = {"role": "assistant", "content": content}
    return message | {"tool_calls": tool_calls} if tool_calls else message


def of_message(message: Mapping[str, Any]) -> tuple[Call, ...]:
    """The calls of an assistant message; `arguments` may be a JSON string or a mapping.

    Raises:
        ValueError: An argument string that is not a JSON object.
    """
    return tuple(_of_function(item.get("function") or item) for item in message.get("tool_calls") or ())


def _of_function(function: Mapping[str, Any]) -> Call:
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        arguments = loads(arguments)
    if not isinstance(arguments, Mapping):
        raise ValueError(
            f"tool_calls · arguments of {function.get('name')!r} · {str(arguments)[:60]!r} · give a JSON object"
        )
    return Call(function["name"], dict(arguments))
