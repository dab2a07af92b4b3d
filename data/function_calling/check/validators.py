"""Everything that must hold for a function-calling row before it is trained on or scored with.

A problem reads ``row · place · found · fix``. What a row lacks is not checked: an imported row has no provenance, a row
whose right answer is unknown no gold.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...rows import RowError, check_row
from ..say.scripts import SCRIPTS, language_of, share
from ..wire.calls import Call, of_message
from ..wire.formats import FORMATS, parse_calls, render_calls
from .grounding import not_missing, not_single, ungrounded
from .row_view import RowView, view
from .schema import argument_problems, check_tool

Execute = Callable[[str, dict[str, Any]], Any]

_ESCAPE = re.compile(r"\\u(?!00[0-7])[0-9a-fA-F]{4}")
_MIN_SHARE = 0.4  # of a user's letters outside of values; earlier requests of a conversation have values, too


def problems(row: Mapping[str, Any], *, execute: Execute | None = None, noisy: bool = False) -> list[str]:
    """What is wrong with a row; empty if nothing is.

    `execute` runs a call given the library's tool id and parameter names: a call that makes it raise, or whose recorded
    result is another one, is a problem. With `noisy`, users may type in letters of another script.
    """
    where = str(row.get("id"))
    try:
        seen = view(check_row(row, where))
        found = [*_text_problems(row, where), *_tool_problems(seen)]
        found += _gold_problems(seen)
        if seen.turn is not None:
            found += _turn_problems(seen, seen.turn)
        found += [*_call_problems(seen), *_language_problems(seen)]
        found += [] if noisy else _script_problems(seen)
        if seen.provenance:
            found += [*ungrounded(seen), *not_single(seen), *not_missing(seen)]
        if execute:
            found += _execution_problems(seen, execute)
        return found + list(_round_trip_problems(seen))
    except RowError as error:
        return [str(error)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return [f"{where} · found {type(error).__name__}: {error} · give gold and provenance as documented"]


def _text_problems(row: Mapping[str, Any], where: str) -> Iterator[str]:
    columns = [(column, row[column]) for column in ("tools", "gold", "provenance") if row.get(column)]
    messages = row.get("prompt") or row["messages"]
    for index, message in enumerate(messages):
        columns.append((f"messages[{index}].content", message.get("content") or ""))
        arguments = [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
        columns += [(f"messages[{index}].tool_calls", text) for text in arguments]
    for column, text in columns:
        if not isinstance(text, str):
            yield f"{where} · {column} · found {type(text).__name__} · give a JSON string"
            continue
        escape = _ESCAPE.search(text) if "\\u" in text else None
        if escape:
            yield f"{where} · {column} · found {escape.group()!r} · write JSON with ensure_ascii=False"
        if not text.isascii() and not unicodedata.is_normalized("NFC", text):
            yield f"{where} · {column} · found text that is not NFC · normalise it"


def _tool_problems(seen: RowView) -> Iterator[str]:
    if len(seen.functions) < len(seen.tools):
        yield f"{seen.where} · tools · found a name twice · give every tool a name of its own"
    for tool in seen.tools:
        try:
            check_tool(tool, f"{seen.where} · tools")
        except RowError as error:
            yield str(error)


def _gold_problems(seen: RowView) -> Iterator[str]:
    gold = seen.gold
    if gold is None:
        return
    where = f"{seen.where} · gold"
    # A public set may say that a call or a question is right, and not which.
    silent = "intents" not in seen.provenance
    for key, decision in (("calls", "call"), ("missing", "ask")):
        given = bool(gold.get(key))
        if given != (gold["decision"] == decision) and (given or not silent):
            yield f"{where}.{key} · found {gold.get(key)} with {gold['decision']} · {key} belong to {decision!r}"
    for key in ("accepted", "classes"):
        if gold.get(key) and len(gold[key]) != len(gold["calls"]):
            yield f"{where}.{key} · found {len(gold[key])} for {len(gold['calls'])} calls · align it with calls"
    unnamed = [name for name in gold.get("missing") or () if not (gold.get("mentions") or {}).get(name)]
    if unnamed and not silent:
        yield f"{where}.mentions · found none for {unnamed[0]!r} · give words that name the slot"


def _turn_problems(seen: RowView, turn: Mapping[str, Any]) -> Iterator[str]:
    """The last turn of a demonstration must be what its gold says."""
    where = f"{seen.where} · messages[-1]"
    if turn["role"] != "assistant":
        yield f"{where} · found a turn of {turn['role']!r} · end with the assistant's"
        return
    if seen.gold is None:
        return
    calls, text = list(of_message(turn)), turn.get("content") or ""
    if sorted(map(_key, calls)) != sorted(map(_key, seen.gold_calls)):
        yield f"{where} · found calls {calls} · make those of the gold: {seen.gold_calls}"
    if not calls and not text.strip():
        yield f"{where} · found neither text nor calls · answer"
    for name in seen.gold.get("missing") or ():
        words = (seen.gold.get("mentions") or {}).get(name) or [text]
        if not any(word.casefold() in text.casefold() for word in words):
            yield f"{where} · found {text!r} · name the missing {name!r} by one of {', '.join(words)}"
    for piece in seen.gold.get("contains") or ():
        if piece not in text:
            yield f"{where} · found {text!r} · it must hold {piece!r}"


def _call_problems(seen: RowView) -> Iterator[str]:
    for call in (*seen.gold_calls, *seen.history_calls):
        function = seen.functions.get(call.name)
        if function is None:
            yield f"{seen.where} · calls · found {call.name!r} · call listed tools only"
            continue
        empty = [name for name, value in call.arguments.items() if value is None]
        if empty:
            yield f"{seen.where} · calls · {call.name}.{empty[0]} · found null · leave the argument out"
        for problem in argument_problems(call.arguments, function.get("parameters", {})):
            yield f"{seen.where} · calls · {call.name} · {problem} · follow the tool's schema"


def _script_problems(seen: RowView) -> Iterator[str]:
    """Users write their language, values aside."""
    script = SCRIPTS.get(seen.language, "Latin")
    text = " ".join(message["content"] for message in seen.history if message["role"] == "user")
    for intent in seen.provenance.get("intents") or ():
        for slot in intent["slots"].values():
            text = text.replace(slot["said"], " ")
    if seen.language and any(map(str.isalpha, text)) and share(text, script) < _MIN_SHARE:
        found = f"{share(text, script):.0%} {script} letters"
        yield f"{seen.where} · user messages · found {found} · write {seen.language!r}"


def _language_problems(seen: RowView) -> Iterator[str]:
    """The assistant answers in the user's language."""
    known = list(seen.functions)
    for index, message in enumerate([*seen.history, seen.turn] if seen.turn is not None else seen.history):
        text = message.get("content") or ""
        asked = seen.language and message["role"] == "assistant"
        if asked and language_of(text, seen.language, known) == "wrong":
            yield f"{seen.where} · messages[{index}] · found {text!r} · write {seen.language!r}"
        known.append(text)


def _execution_problems(seen: RowView, execute: Execute) -> Iterator[str]:
    """Every call runs, and a tool message holds what its call returns, unless it is an error."""
    pending: list[Call] = []
    for index, message in enumerate(seen.history):
        if message.get("tool_calls"):
            pending = list(of_message(message))
        if message["role"] == "tool" and pending:
            call = pending.pop(0)
            result, content = _run(seen, execute, call), json.loads(message["content"])
            if isinstance(result, Exception) or (content != result and "error" not in content):
                yield f"{seen.where} · messages[{index}] · found {content!r} · {call.name} returns {result!r}"
    for call in (*seen.gold_calls, *pending):
        result = _run(seen, execute, call)
        if isinstance(result, Exception):
            yield f"{seen.where} · calls · {call.name} · found {call.arguments!r} · it must run ({result!r})"


def _run(seen: RowView, execute: Execute, call: Call) -> Any:
    try:
        return execute(seen.tool_ids.get(call.name, call.name), seen.original_arguments(call.arguments))
    except Exception as error:  # whatever a mock raises is reported
        return error


def _round_trip_problems(seen: RowView) -> Iterator[str]:
    """Every wire format can write the calls of a turn and reads the same ones back."""
    turns = [seen.gold_calls, *(list(of_message(message)) for message in seen.history if message.get("tool_calls"))]
    for calls in turns:
        for name in FORMATS if calls else ():
            parsed = parse_calls(render_calls(calls, name), name)
            if list(parsed.calls) != calls:
                yield f"{seen.where} · calls · found {parsed} after {name} · use values that the format can carry"


def _key(call: Call) -> str:
    return json.dumps([call.name, call.arguments], sort_keys=True)
