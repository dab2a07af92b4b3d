"""Calls in any text, with repairs: how a reply would be scored if the format did not count.

It separates errors of format from others in reports, and tells a reply that calls in another format from a plain one. A
call that only this module can read is never right.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import Any

from .calls import Call
from .strict_json import MAX_DEPTH, JsonProblem, check_value, loads, raw_decode

MAX_TEXT = 20_000  # characters looked at
MAX_SNIPPETS = 64
_NAMES = ("name", "function", "function_name", "tool", "tool_name")
_ARGUMENTS = ("arguments", "parameters", "args", "params", "input")
_NOISE = re.compile(r"</?tool_calls?>|```[\w-]*|<\|python_tag\|>|\[TOOL_CALLS\]|</?tool_code>|</?function_call>|;")
_BRACKET = re.compile(r"[{\[]")
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")


def find_calls(text: str) -> tuple[tuple[Call, ...], str]:
    """Calls in order, and the text without them; read as JSON, else with quotes, commas and brackets repaired."""
    text = text[:MAX_TEXT]
    calls: list[Call] = []
    outside: list[str] = []
    position = 0
    for _ in range(MAX_SNIPPETS):
        bracket = _BRACKET.search(text, position)
        if bracket is None:
            break
        start = bracket.start()
        value, end = _read(text, start)
        found = _calls_of(value)
        calls += found
        outside.append(text[position:start] if found else text[position:end])
        position = end
    outside.append(text[position:])
    return tuple(calls), _NOISE.sub(" ", " ".join(outside)).strip() if calls else text


def _read(text: str, start: int) -> tuple[Any, int]:
    """The value at a bracket and its end; None and the next place if there is none."""
    try:
        return raw_decode(text, start)
    except JsonProblem:
        pass
    end, missing = _balanced(text, start)
    snippet = text[start:end] + missing
    for candidate in (snippet, _TRAILING_COMMA.sub(r"\1", snippet)):
        for read in (loads, _literal):
            try:
                return read(candidate), end
            except JsonProblem:
                continue
    return None, start + 1


def _balanced(text: str, start: int) -> tuple[int, str]:
    """End of the bracketed span at `start`, and the brackets that are missing when the text ends in it."""
    closing: list[str] = []
    quote = ""
    at = start
    while at < len(text):
        letter = text[at]
        if quote:
            at += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "{[":
            closing.append("}" if letter == "{" else "]")
        elif letter in "}]":
            if closing[-1] != letter:
                break
            closing.pop()
        elif text.startswith(("</tool_call>", "```"), at):
            break
        at += 1
        if not closing:
            return at, ""
        if len(closing) > MAX_DEPTH:
            break
    return min(at, len(text)), quote + "".join(reversed(closing))


def _literal(text: str) -> Any:
    """A Python literal made of JSON's types."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an escape that Python does not know
            value = ast.literal_eval(text)
        value = json.loads(json.dumps(value))  # tuples are lists, keys are strings
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise JsonProblem("not a Python literal") from None
    check_value(value)
    return value


def _calls_of(value: Any) -> list[Call]:
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    items = value if isinstance(value, list) else [value]
    return [call for item in items if (call := _call_of(item)) is not None]


def _call_of(item: Any) -> Call | None:
    if isinstance(item, dict) and isinstance(item.get("function"), dict):
        item = item["function"]
    if not isinstance(item, dict):
        return None
    name = next((item[key] for key in _NAMES if isinstance(item.get(key), str)), None)
    arguments = next((item[key] for key in _ARGUMENTS if key in item), None)
    if isinstance(arguments, str):
        try:
            arguments = loads(arguments)
        except JsonProblem:
            return None
    if arguments is None and any(key in item for key in _ARGUMENTS):
        arguments = {}
    return Call(name, arguments) if name and isinstance(arguments, dict) else None
