"""Calls as bare JSON: OpenAI's and Llama 3's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .blocks import BlockProblem, call_of, decode_json
from .calls import Call, Parsed, dump
from .strict_json import JsonProblem, loads

PYTHON_TAG = "<|python_tag|>"
_LOOKS_LIKE_JSON = re.compile(r"""\s*(?:\{|\[\s*[\[\]{"])""")


def parse_openai(text: str) -> Parsed:
    """The whole reply is JSON, or it is plain text."""
    if not _LOOKS_LIKE_JSON.match(text):
        return Parsed((), text)
    try:
        items, content = _openai_items(loads(text))
        return Parsed(tuple(_openai_call(item) for item in items), content)
    except JsonProblem as problem:
        return Parsed((), text, (f"not_json: {problem}",))
    except BlockProblem as problem:
        return Parsed((), text, (str(problem),))


def render_openai(calls: Sequence[Call]) -> str:
    """A JSON list of calls, `arguments` as objects."""
    return dump([{"name": call.name, "arguments": call.arguments} for call in calls])


def parse_llama3(text: str) -> Parsed:
    """Every JSON object at the top level of the reply; text around them is kept, as vLLM does without it."""
    calls: list[Call] = []
    outside: list[str] = []
    position = 0
    while (start := text.find("{", position)) >= 0:
        outside.append(text[position:start])
        try:
            value, position = decode_json(text, start)
            calls.append(call_of(value, ("arguments", "parameters")))
        except BlockProblem as problem:
            if not calls and _plain("".join(outside)):
                break  # prose with a brace in it
            return Parsed((), text.replace(PYTHON_TAG, ""), (str(problem),))
    if not calls:
        return Parsed((), text)
    if "[" in outside[0][-1:]:
        return Parsed((), text, ("other_format: a list of calls",))
    return Parsed(tuple(calls), "\n".join(filter(None, map(_plain, [*outside, text[position:]]))))


def render_llama3(calls: Sequence[Call]) -> str:
    """Objects with a semicolon between."""
    return "; ".join(dump({"name": call.name, "parameters": call.arguments}) for call in calls)


def _openai_items(value: Any) -> tuple[list[Any], str]:
    content = ""
    if isinstance(value, dict) and "tool_calls" in value:
        content = value.get("content") or ""
        value = value["tool_calls"]
    items = [value] if isinstance(value, dict) else value
    if not isinstance(items, list) or not items or not isinstance(content, str):
        raise BlockProblem("not_a_call: no list of calls")
    return items, content


def _openai_call(item: Any) -> Call:
    function = item.get("function", item) if isinstance(item, dict) else item
    if isinstance(function, dict) and isinstance(function.get("arguments"), str):
        try:
            function = function | {"arguments": loads(function["arguments"])}
        except JsonProblem as problem:
            raise BlockProblem(f"bad_arguments: {problem}") from None
    return call_of(function, ("arguments",))


def _plain(piece: str) -> str:
    """What is left of the text between objects without the separator and the tag."""
    return piece.replace(PYTHON_TAG, "").strip().strip(";").strip()
