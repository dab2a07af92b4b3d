"""FunctionGemma's calls: `<start_function_call>call:name{key:value,...}<end_function_call>`.

Values: `<escape>text<escape>`, numbers, `true`, `false`, `null`, `{key:value}` and `[value]`. Keys are bare, or escaped
like texts. The marks are those of Google's "FunctionGemma formatting and best practices"; the rest is JSON's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from .blocks import BlockProblem, read_blocks
from .calls import Call, Parsed, dump
from .strict_json import MAX_DEPTH, JsonProblem, check_value, loads

OPENING, CLOSING = "<start_function_call>", "<end_function_call>"
ESCAPE = "<escape>"
_HEAD = re.compile(r"\s*call:([^\s{}\[\]<>:,]+)(?=\{)")
_BARE = re.compile(r"[^\s{}\[\]<>:,]+")
_SPACE = re.compile(r"\s*")


def parse(text: str) -> Parsed:
    """Every marked call of a reply."""
    parsed = read_blocks(text, OPENING, CLOSING, _decode)
    if not parsed.problems and CLOSING in parsed.text:
        return Parsed((), parsed.text, (f"stray_mark: {CLOSING} without {OPENING}",))
    return parsed


def render(calls: Sequence[Call]) -> str:
    """One marked call after the other.

    Raises:
        ValueError: A name with brackets or white space, or a text with `<escape>` in it: neither can be written.
    """
    return "".join(f"{OPENING}call:{_name(call.name)}{_render(call.arguments)}{CLOSING}" for call in calls)


def _name(name: str) -> str:
    if not _BARE.fullmatch(name):
        raise ValueError(f"gemma · tool name {name!r} · has no brackets, colons, commas or white space in this format")
    return name


def _render(value: Any) -> str:
    if isinstance(value, dict):
        keys = (key if _BARE.fullmatch(key) else _text(key) for key in value)
        return "{" + ",".join(f"{key}:{_render(item)}" for key, item in zip(keys, value.values(), strict=True)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_render, value)) + "]"
    return _text(value) if isinstance(value, str) else dump(value)


def _text(text: str) -> str:
    if ESCAPE in text:
        raise ValueError(f"gemma · text {text[:60]!r} · {ESCAPE} cannot be written inside a text in this format")
    return f"{ESCAPE}{text}{ESCAPE}"


def _decode(text: str, start: int) -> tuple[Call, int]:
    if text.find(CLOSING, start) < 0:
        raise BlockProblem(f"unclosed: {OPENING} without {CLOSING}")
    head = _HEAD.match(text, start)
    if head is None:
        raise BlockProblem("not_a_call: no call:name{")
    try:
        arguments, end = _value(text, head.end(), 0)
        check_value(arguments)
    except JsonProblem as problem:
        raise BlockProblem(f"not_json: {problem}") from None
    return Call(head.group(1), arguments), end


def _value(text: str, start: int, depth: int) -> tuple[Any, int]:
    if depth > MAX_DEPTH:
        raise JsonProblem(f"nested deeper than {MAX_DEPTH}")
    start = _skip(text, start)
    if text.startswith(ESCAPE, start):
        return _escaped(text, start)
    if text.startswith("{", start):
        pairs, end = _items(text, start + 1, "}", lambda at: _pair(text, at, depth + 1))
        if len(dict(pairs)) != len(pairs):
            raise JsonProblem("a key comes twice")
        return dict(pairs), end
    if text.startswith("[", start):
        return _items(text, start + 1, "]", lambda at: _value(text, at, depth + 1))
    scalar = _BARE.match(text, start)
    if scalar is None:
        raise JsonProblem("a value is missing")
    return loads(scalar.group()), scalar.end()


def _items(text: str, start: int, closing: str, item: Callable[[int], tuple[Any, int]]) -> tuple[list[Any], int]:
    """Items with commas between, up to the closing bracket."""
    found: list[Any] = []
    start = _skip(text, start)
    if text.startswith(closing, start):
        return found, start + 1
    while True:
        value, end = item(start)
        found.append(value)
        end = _skip(text, end)
        if text.startswith(closing, end):
            return found, end + 1
        if not text.startswith(",", end):
            raise JsonProblem(f"no comma and no {closing} after a value")
        start = end + 1


def _pair(text: str, start: int, depth: int) -> tuple[tuple[str, Any], int]:
    start = _skip(text, start)
    if text.startswith(ESCAPE, start):
        key, end = _escaped(text, start)
    else:
        bare = _BARE.match(text, start)
        if bare is None:
            raise JsonProblem("a key is missing")
        key, end = bare.group(), bare.end()
    end = _skip(text, end)
    if not text.startswith(":", end):
        raise JsonProblem(f"no colon after key {key[:40]!r}")
    value, end = _value(text, end + 1, depth)
    return (key, value), end


def _escaped(text: str, start: int) -> tuple[str, int]:
    start += len(ESCAPE)
    end = text.find(ESCAPE, start)
    if end < 0:
        raise JsonProblem(f"a text without its second {ESCAPE}")
    return text[start:end], end + len(ESCAPE)


def _skip(text: str, start: int) -> int:
    return _SPACE.match(text, start).end()  # type: ignore[union-attr]  # it matches the empty string
