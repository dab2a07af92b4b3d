"""Calls as JSON in marked blocks: Hermes tags and the Tucan fence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .calls import Call, Parsed, dump
from .strict_json import JsonProblem, loads, raw_decode, skip_space

HERMES = ("<tool_call>", "</tool_call>")
TUCAN = ("```tool_call", "```")


class BlockProblem(ValueError):
    """A block without a call; the message is `code: detail` with a code of `calls.PROBLEMS`."""


def call_of(value: Any, argument_keys: Sequence[str]) -> Call:
    """The call that a JSON value is; of several argument keys the first one present counts.

    Keys beside the name and the arguments are ignored, as servers do.

    Raises:
        BlockProblem: The value is no call.
    """
    if not isinstance(value, dict):
        raise BlockProblem(f"not_a_call: a {type(value).__name__}, not an object")
    key = next((key for key in argument_keys if key in value), None)
    if "name" not in value or key is None:
        raise BlockProblem(f"not_a_call: an object without {'name' if 'name' not in value else argument_keys[0]}")
    if not isinstance(value["name"], str) or not value["name"]:
        raise BlockProblem("bad_name: the name is not a non-empty string")
    if not isinstance(value[key], dict):
        raise BlockProblem(f"bad_arguments: {key} is a {type(value[key]).__name__}, not an object")
    return Call(value["name"], value[key])


def read_blocks(text: str, opening: str, closing: str, decode: Callable[[str, int], tuple[Call, int]]) -> Parsed:
    """Split a reply at its blocks; `decode` reads a call after the opening mark and says where it ends.

    The closing mark must follow the call, white space between them aside. Linear in the length of the text.
    """
    calls: list[Call] = []
    problems: list[str] = []
    outside: list[str] = []
    position = 0
    while (start := text.find(opening, position)) >= 0:
        outside.append(text[position:start])
        try:
            call, end = decode(text, start + len(opening))
            position = _after(text, end, closing)
            calls.append(call)
        except BlockProblem as problem:
            problems.append(str(problem))
            end = text.find(closing, start + len(opening))
            position = len(text) if end < 0 else end + len(closing)
    outside.append(text[position:])
    rest = "\n".join(piece for piece in map(str.strip, outside) if piece)
    return Parsed(() if problems else tuple(calls), rest, tuple(problems))


def parse_hermes(text: str) -> Parsed:
    """Every `<tool_call>` block; a closing tag inside of a string closes the block, as it does in vLLM."""
    parsed = read_blocks(text, *HERMES, _decode_hermes)
    if not parsed.problems and HERMES[1] in parsed.text:
        return Parsed((), parsed.text, ("stray_mark: </tool_call> without <tool_call>",))
    return parsed


def render_hermes(calls: Sequence[Call]) -> str:
    """One block a call. Tags inside of strings are escaped, so that they can't end the block."""
    return "\n".join(f"<tool_call>\n{_escaped(call)}\n</tool_call>" for call in calls)


def parse_tucan(text: str) -> Parsed:
    """Every fence; three backticks inside of a string do not end it."""
    return read_blocks(text, *TUCAN, _decode_tucan)


def render_tucan(calls: Sequence[Call]) -> str:
    """One fence a call."""
    blocks = (dump({"name": call.name, "parameters": call.arguments}) for call in calls)
    return "\n".join(f"```tool_call\n{block}\n```" for block in blocks)


def decode_json(text: str, start: int) -> tuple[Any, int]:
    """`strict_json.raw_decode` after white space, its problem as a block's.

    Raises:
        BlockProblem: Not JSON.
    """
    try:
        return raw_decode(text, skip_space(text, start))
    except JsonProblem as problem:
        raise BlockProblem(f"not_json: {problem}") from None


def _decode_hermes(text: str, start: int) -> tuple[Call, int]:
    end = text.find(HERMES[1], start)
    if end < 0:
        raise BlockProblem("unclosed: <tool_call> without </tool_call>")
    try:
        return call_of(loads(text[start:end]), ("arguments",)), end
    except JsonProblem as problem:
        raise BlockProblem(f"not_json: {problem}") from None


def _decode_tucan(text: str, start: int) -> tuple[Call, int]:
    if text.find("```", start) < 0:
        raise BlockProblem("unclosed: ```tool_call without ```")
    value, end = decode_json(text, start)
    return call_of(value, ("arguments", "parameters")), end


def _escaped(call: Call) -> str:
    # "<" can only stand inside of strings of a JSON text, where the escape means the same letter.
    text = dump({"name": call.name, "arguments": call.arguments})
    for tag in HERMES:
        text = text.replace(tag, "\\u003c" + tag[1:])
    return text


def _after(text: str, end: int, closing: str) -> int:
    """Where the closing mark ends that follows at `end`."""
    rest = text.find(closing, end)
    if rest < 0:
        raise BlockProblem(f"unclosed: no {closing}")
    if text[end:rest].strip(" \t\r\n"):
        raise BlockProblem("not_json: more text after the JSON value")
    return rest + len(closing)
