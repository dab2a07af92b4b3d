"""Wire formats of tool calls: how a model writes them and how they are read back, strictly and never raising.

hermes    `<tool_call>` tags around `{"name", "arguments"}`, one block a call: Qwen, Hermes, vLLM's `hermes` parser.
openai    the whole reply is JSON: one call, a list of calls, or `{"content", "tool_calls"}`; `arguments` may be a
          JSON string, as OpenAI sends it; xLAM's list of calls is the same.
tucan     a fence of three backticks marked `tool_call` around `{"name", "parameters"}`, one fence a call.
llama3    `{"name", "parameters"}` objects with `;` between, `<|python_tag|>` before or not: vLLM's `llama3_json`.
gemma     `<start_function_call>call:name{key:<escape>text<escape>,n:1}<end_function_call>`, FunctionGemma's. Gemma 2
          and 3 have no format of their own and are tuned with hermes or tucan. vLLM's `functiongemma` parser reads
          escaped values only and turns those that look like JSON into numbers; here a value keeps its written type.

Where readers may differ we follow the server: one bad block invalidates the reply, so that nothing is called. Refused
here although vLLM accepts it: a last block without its closing tag, a duplicate key, NaN, arguments that are no object.
What is read here is read in the same way by vLLM's `hermes` parser (tested).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from . import blocks, gemma, json_calls
from .calls import Call, Parsed
from .tolerant import find_calls


@dataclass(frozen=True)
class _Format:
    render: Callable[[Sequence[Call]], str]
    parse: Callable[[str], Parsed]
    marks: tuple[str, ...]


FormatName = Literal["hermes", "openai", "tucan", "llama3", "gemma"]

FORMATS: dict[str, _Format] = {
    "hermes": _Format(blocks.render_hermes, blocks.parse_hermes, ("<tool_call>", "</tool_call>")),
    "openai": _Format(json_calls.render_openai, json_calls.parse_openai, ()),
    "tucan": _Format(blocks.render_tucan, blocks.parse_tucan, ("```tool_call",)),
    "llama3": _Format(json_calls.render_llama3, json_calls.parse_llama3, ("<|python_tag|>",)),
    "gemma": _Format(gemma.render, gemma.parse, ("<start_function_call>", "<end_function_call>")),
}
_OTHER_MARKS = ("```tool_code", "[TOOL_CALLS]", "<function_call>")
_MARKS = (*(mark for form in FORMATS.values() for mark in form.marks), *_OTHER_MARKS)


def render_calls(calls: Sequence[Call], format: str = "hermes") -> str:
    """The text with which a model makes these calls; `parse_calls` reads the same calls back.

    Raises:
        ValueError: Unknown format, no call, a value that is not JSON, or (gemma) a name or a text that holds a mark.
    """
    if not calls:
        raise ValueError("render_calls · no calls · a reply without calls is plain text in every format")
    return _format(format).render(calls)


def parse_calls(text: str, format: str = "hermes") -> Parsed:
    """Read a reply strictly; text that calls in another format is a problem and not an answer.

    Raises:
        ValueError: Unknown format. No text makes it raise.
    """
    parsed = _format(format).parse(text.strip("\ufeff"))
    problems = parsed.problems or _other_format(parsed.text)
    return replace(parsed, calls=() if problems else parsed.calls, text=parsed.text.strip(), problems=problems)


def parse_tolerant(text: str) -> Parsed:
    """Read a reply in any format with repairs, for reports beside the strict ones only.

    Repairs: any fence or none, `parameters` for `arguments`, arguments as a JSON string, Python quoting, trailing
    commas, missing closing tags and brackets. The problems of the result are always empty.
    """
    text = text.strip("\ufeff")
    for form in FORMATS.values():
        parsed = form.parse(text)
        if parsed.calls and not parsed.problems and not _other_format(parsed.text):
            return replace(parsed, text=parsed.text.strip())
    calls, rest = find_calls(text)
    return Parsed(calls, rest.strip())


def _other_format(text: str) -> tuple[str, ...]:
    """The problem of text outside calls that holds a call of another format."""
    for mark in _MARKS:
        if mark in text:
            return (f"other_format: {mark!r} outside a call",)
    if "{" in text and find_calls(text)[0]:
        return ("other_format: a call outside the marks of the format",)
    return ()


def _format(name: str) -> _Format:
    if name not in FORMATS:
        close = difflib.get_close_matches(name, FORMATS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"format · {name!r} is unknown · {hint}known: {', '.join(FORMATS)}")
    return FORMATS[name]
