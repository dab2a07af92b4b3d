"""Whether the gold of a generated row is what its dialogue says: every value has a source, exactly one tool fits.

These checks read ``provenance``: what was wanted (``intents``), in which words (``said``), and which library tool each
listed tool is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from ...rows import RowError
from ..say.library import POLICIES, VERBATIM
from ..say.transliteration import TABLES, latin
from .row_view import RowView

_DERIVED = tuple(policy for policy in POLICIES if policy not in VERBATIM)


def ungrounded(view: RowView) -> Iterator[str]:
    """Values that the dialogue does not say, or that nothing derives from what it says."""
    for index, intent in enumerate(view.provenance.get("intents") or ()):
        for name, slot in intent["slots"].items():
            where = f"{view.where} · provenance.intents[{index}].slots.{name}"
            yield from _slot_problems(view, where, slot)
    if view.provenance.get("intents"):
        yield from _unsourced(view)
    for index, classes in enumerate((view.gold or {}).get("classes") or ()):
        arguments = view.gold_calls[index].arguments if index < len(view.gold_calls) else {}
        for name, kind in classes.items():
            if kind == "verbatim" and name in arguments and not _occurs(arguments[name], view.said):
                yield (
                    f"{view.where} · gold.calls[{index}].{name} · found {arguments[name]!r} · "
                    "a verbatim value stands in the dialogue as it is"
                )


def not_single(view: RowView) -> Iterator[str]:
    """Intents that no listed tool, or more than one, serves; for a refusal, intents that any serves."""
    listed = list(view.provenance.get("tool_ids") or ())
    refused = (view.gold or {}).get("decision") == "refuse"
    for index, intent in enumerate(view.provenance.get("intents") or ()):
        count = listed.count(intent["tool"])
        where = f"{view.where} · provenance.intents[{index}] · {intent['tool']}"
        if refused and count:
            yield f"{where} · found a listed tool that serves it · a refusal needs that none does"
        elif not refused and count != 1:
            yield f"{where} · found {count} listed tools that serve it · list exactly one"


def not_missing(view: RowView) -> Iterator[str]:
    """Slots that the gold asks for although they are optional, unknown or said already."""
    gold, intents = view.gold or {}, view.provenance.get("intents") or ()
    if gold.get("decision") != "ask" or not intents:
        return
    intent = intents[-1]
    named = {tool: name for name, tool in view.tool_ids.items()}
    function = view.functions.get(named.get(intent["tool"], ""), {})
    parameters = function.get("parameters", {})
    for name in gold.get("missing") or ():
        where = f"{view.where} · gold.missing · {name}"
        if name not in parameters.get("required", ()):
            yield f"{where} · found no required parameter of {intent['tool']} · ask for required values only"
        elif name in intent["slots"]:
            yield f"{where} · found the value {intent['slots'][name]['value']!r} said · leave it out of the dialogue"
        else:
            yield from _still_said(view, where, parameters["properties"][name], intent["slots"])


def _still_said(view: RowView, where: str, schema: Mapping[str, Any], slots: Mapping[str, Any]) -> Iterator[str]:
    """What is left of the request when the known values are taken out must not hold another value."""
    rest = view.user_text
    for slot in sorted(slots.values(), key=lambda slot: -len(slot["said"])):
        rest = rest.replace(slot["said"], " ", 1)
    found = re.findall(r"\d[\d.,:/-]*|\S+@\S+|[„“\"«][^”“\"»]*[”“\"»]", rest)
    words = set(re.findall(r"\w+", rest.casefold()))
    found += [value for value in schema.get("enum", ()) if str(value).casefold() in words]
    if found:
        yield f"{where} · found {found[0]!r} in the request, of no known value · leave it out of the dialogue"


def _slot_problems(view: RowView, where: str, slot: Mapping[str, Any]) -> Iterator[str]:
    value, said, policy = slot.get("value"), slot.get("said"), slot.get("policy")
    if not isinstance(said, str) or not said or said not in view.said:
        yield f"{where}.said · found {said!r} · give the exact words of the dialogue"
        return
    if policy in VERBATIM:
        if not _occurs(value, said):
            yield f"{where} · found {value!r} · a {policy} value stands in {said!r} as it is"
    elif policy not in _DERIVED:
        yield f"{where}.policy · found {policy!r} · one of {', '.join((*VERBATIM, *_DERIVED))}"
    elif not slot.get("rule"):
        yield f"{where}.rule · missing · record how {said!r} becomes {value!r}"
    else:
        problem = _rule_problem(value, said, policy, view.language)
        if problem:
            yield f"{where} · found {value!r} for {said!r} · {problem}"


def _rule_problem(value: Any, said: str, policy: str, language: str) -> str:
    if policy == "boolean":
        return "" if isinstance(value, bool) else "a boolean is true or false"
    if policy == "number":
        return _number_problem(value, said)
    if policy == "translit" and language in TABLES:
        try:
            expected = latin(said, language)
        except RowError as error:
            return str(error)
        return "" if expected == value else f"the official transliteration is {expected!r}"
    if policy == "iso" and isinstance(value, str) and re.fullmatch(r"\d{4}-.*", value):
        try:
            date.fromisoformat(value)
        except ValueError as error:
            return f"give an ISO date ({error})"
    return ""


def _number_problem(value: Any, said: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "a number is a JSON number"
    digits = re.search(r"-?\d+(?:[.,]\d+)?", said)
    if digits and float(digits.group().replace(",", ".")) != value:
        return "the words name another number"
    return ""


def _unsourced(view: RowView) -> Iterator[str]:
    """Arguments of gold calls that no slot gives and that may not be left out, and slots that no argument takes."""
    accepted = (view.gold or {}).get("accepted") or ()
    for index, call in enumerate(view.gold_calls):
        tool = view.tool_ids.get(call.name)
        optional = accepted[index] if index < len(accepted) else {}
        free = {name for name, values in optional.items() if None in values}
        sources = [intent["slots"] for intent in view.provenance["intents"] if intent["tool"] == tool]
        if not any(_gives(slots, call.arguments, free) for slots in sources):
            yield (
                f"{view.where} · gold.calls[{index}] · found {call.arguments!r} · "
                f"record an intent of {tool} whose slots give every argument"
            )


def _gives(slots: Mapping[str, Any], arguments: Mapping[str, Any], free: set[str]) -> bool:
    given = {name: slot["value"] for name, slot in slots.items()}
    if any(name not in arguments and name not in free for name in given):
        return False
    return all(name in free or (name in given and given[name] == value) for name, value in arguments.items())


def _occurs(value: Any, text: str) -> bool:
    if isinstance(value, dict):
        return all(_occurs(item, text) for item in value.values())
    if isinstance(value, list):
        return all(_occurs(item, text) for item in value)
    return str(value) in text
