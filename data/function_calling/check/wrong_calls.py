"""Right calls made wrong in one way each, as models get them wrong.

A maker takes the row and a source of chance and returns the calls of the turn, or None where it does not apply. What a
maker returns may still be right (a default left out); ``is_right`` tells.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..say.inventions import example, invent
from ..say.masking import pseudo_word
from ..wire.calls import Call
from .row_view import RowView
from .schema import argument_problems

Calls = list[Call]
Maker = Callable[[RowView, random.Random], Calls | None]
_Change = Callable[[RowView, random.Random, Call, str], Any]

_NOTHING = object()


def wrong_calls(view: RowView, rng: random.Random) -> Iterator[tuple[str, Calls]]:
    """Every way in which the gold calls of a row can be made wrong, by its label."""
    for label, make in MAKERS.items():
        found = make(view, rng)
        if found is not None and not is_right(view, found):
            yield label, found


def is_right(view: RowView, calls: Calls) -> bool:
    """Whether calls are those of the gold, by the most generous reading.

    Texts are compared without case and spacing; accepted values, and defaults stated or left out, count
    as right. What is wrong by this reading is wrong for every scorer.
    """
    gold = view.gold or {}
    if gold.get("decision") == "call" and not view.gold_calls:
        return bool(calls) and not any(_problems(view, call) for call in calls)
    accepted = gold.get("accepted") or [{}] * len(view.gold_calls)
    open_calls = list(zip(view.gold_calls, accepted, strict=True))
    for call in calls:
        match = next((pair for pair in open_calls if _same(view, call, *pair)), None)
        if match is None:
            return False
        open_calls.remove(match)
    return not open_calls


def example_call(view: RowView, function: Mapping[str, Any], rng: random.Random) -> Call:
    """A call of a tool with values of the dialogue where their names fit, and invented ones elsewhere."""
    known: dict[str, Any] = {}
    for intent in view.provenance.get("intents") or ():
        known |= {name: slot["value"] for name, slot in intent["slots"].items()}
    schemas = _properties(function)
    arguments = {}
    for name in (function.get("parameters") or {}).get("required", ()):
        schema = schemas.get(name) or {}
        fits = name in known and known[name] in schema.get("enum", [known[name]])
        arguments[name] = known[name] if fits else example(schema, rng)
    return Call(function["name"], arguments)


def nearest_function(view: RowView, names: set[str], rng: random.Random) -> dict[str, Any] | None:
    """Of the listed functions that the gold does not call, the one that shares most of the parameter names."""
    called = {call.name for call in view.gold_calls}
    others = [function for function in view.functions.values() if function["name"] not in called]
    rng.shuffle(others)
    return max(others, key=lambda function: len(names & _properties(function).keys()), default=None)


def _same(view: RowView, call: Call, gold: Call, accepted: Mapping[str, list[Any]]) -> bool:
    if call.name != gold.name:
        return False
    properties = _properties(view.functions.get(call.name, {}))
    for name in {*call.arguments, *gold.arguments}:
        right = list(accepted.get(name) or ())
        right += [gold.arguments[name]] if name in gold.arguments else [None]
        default = (properties.get(name) or {}).get("default")
        if default is not None and any(_key(default) == _key(value) for value in [*right, None] if value is not None):
            right.append(None)
        if None in right and default is not None:
            right.append(default)
        if name not in call.arguments:
            if None not in right:
                return False
        elif _key(call.arguments[name]) not in [_key(value) for value in right if value is not None]:
            return False
    return True


def _key(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True).casefold()
    return re.sub(r"[\s]+", "", text)


def _replaced(calls: Calls, index: int, *new: Call) -> Calls:
    return [*calls[:index], *new, *calls[index + 1 :]]


def _wrong_tool(view: RowView, rng: random.Random) -> Calls | None:
    index = rng.randrange(len(view.gold_calls))
    call = view.gold_calls[index]
    other = nearest_function(view, set(call.arguments), rng)
    if other is None:
        return None
    shared = {name: value for name, value in call.arguments.items() if name in _properties(other)}
    return _replaced(view.gold_calls, index, Call(other["name"], shared or call.arguments))


def _missing_call(view: RowView, rng: random.Random) -> Calls | None:
    count = len(view.gold_calls)
    return _replaced(view.gold_calls, rng.randrange(count)) if count > 1 else None


def _extra_call(view: RowView, rng: random.Random) -> Calls | None:
    names = {name for call in view.gold_calls for name in call.arguments}
    other = nearest_function(view, names, rng)
    if other is not None:
        return [*view.gold_calls, example_call(view, other, rng)]
    call = rng.choice(view.gold_calls)
    schemas = _properties(view.functions.get(call.name, {}))
    arguments = {name: invent(value, schemas.get(name) or {}, rng) for name, value in call.arguments.items()}
    return [*view.gold_calls, Call(call.name, arguments)] if arguments else None


def _changed(change: _Change) -> Maker:
    """A maker that changes one argument of one call: the first, in random order, that comes out wrong.

    ``change`` returns the new value, None for an argument to leave out (nulls are made by ``_null``), or ``_NOTHING``
    where it does not apply.
    """

    def make(view: RowView, rng: random.Random) -> Calls | None:
        places = [(index, name) for index, call in enumerate(view.gold_calls) for name in call.arguments]
        rng.shuffle(places)
        for index, name in places:
            call = view.gold_calls[index]
            value = change(view, rng, call, name)
            if value is _NOTHING:
                continue
            kept = {key: old for key, old in call.arguments.items() if key != name}
            arguments = kept if value is None else {**call.arguments, name: value}
            found = _replaced(view.gold_calls, index, Call(call.name, arguments))
            if not is_right(view, found):
                return found
        return None

    return make


def _said(*policies: str) -> _Change:
    """The user's own words where the call needs a literal, an ISO value or Latin letters."""

    def change(view: RowView, rng: random.Random, call: Call, name: str) -> Any:
        for intent in view.provenance.get("intents") or ():
            slot = intent["slots"].get(name, {})
            ours = view.tool_ids.get(call.name) == intent["tool"] and slot.get("value") == call.arguments[name]
            if ours and slot["policy"] in policies and slot["rule"] != "result":
                return slot["said"]
        return _NOTHING

    return change


def _other_type(view: RowView, rng: random.Random, call: Call, name: str) -> Any:
    value = call.arguments[name]
    if isinstance(value, bool | int | float):
        changed: Any = json.dumps(value)
    elif isinstance(value, str):
        changed = int(value) if re.fullmatch(r"[1-9]\d{0,8}", value) else [value]
    else:
        changed = json.dumps(value, ensure_ascii=False)
    return changed if _problems(view, Call(call.name, {name: changed}), only=name) else _NOTHING


def _swapped(view: RowView, rng: random.Random) -> Calls | None:
    pairs = [
        (index, one, other)
        for index, call in enumerate(view.gold_calls)
        for one in call.arguments
        for other in call.arguments
        if one < other and type(call.arguments[one]) is type(call.arguments[other])
    ]
    rng.shuffle(pairs)
    for index, one, other in pairs:
        call = view.gold_calls[index]
        exchanged = {one: call.arguments[other], other: call.arguments[one]}
        found = _replaced(view.gold_calls, index, Call(call.name, call.arguments | exchanged))
        if not is_right(view, found):
            return found
    return None


def _unknown(view: RowView, rng: random.Random) -> Calls | None:
    index = rng.randrange(len(view.gold_calls))
    arguments = view.gold_calls[index].arguments
    return _with(view, index, {pseudo_word(rng): rng.choice([*arguments.values(), True])})


def _null(view: RowView, rng: random.Random) -> Calls | None:
    index = rng.randrange(len(view.gold_calls))
    function = view.functions.get(view.gold_calls[index].name, {})
    required = function.get("parameters", {}).get("required", ())
    optional = [name for name in _properties(function) if name not in required]
    return _with(view, index, {rng.choice(optional): None}) if optional else None


def _with(view: RowView, index: int, more: Mapping[str, Any]) -> Calls | None:
    """The calls with more arguments in one of them; None if its schema allows these."""
    call = Call(view.gold_calls[index].name, {**view.gold_calls[index].arguments, **more})
    return _replaced(view.gold_calls, index, call) if _problems(view, call) else None


MAKERS: dict[str, Maker] = {
    "wrong_tool": _wrong_tool,
    "untranslated_enum": _changed(_said("enum", "iso")),
    "untranslated_name": _changed(_said("translit", "translate")),
    "invented_value": _changed(
        lambda view, rng, call, name: invent(call.arguments[name], _schema(view, call, name), rng)
    ),
    "extra_null": _null,
    "missing_parallel_call": _missing_call,
    "extra_call": _extra_call,
    "duplicated_call": lambda view, rng: [*view.gold_calls, rng.choice(view.gold_calls)],
    "missing_argument": _changed(lambda view, rng, call, name: None),
    "unknown_argument": _unknown,
    "wrong_type": _changed(_other_type),
    "swapped_arguments": _swapped,
}


def _problems(view: RowView, call: Call, only: str = "") -> list[str]:
    function = view.functions.get(call.name)
    if function is None:
        return ["no such tool"]
    found = argument_problems(call.arguments, function.get("parameters", {}))
    return [problem for problem in found if not only or problem.startswith(f"arguments.{only}")]


def _properties(function: Mapping[str, Any]) -> dict[str, Any]:
    return (function.get("parameters") or {}).get("properties") or {}


def _schema(view: RowView, call: Call, name: str) -> dict[str, Any]:
    return _properties(view.functions.get(call.name, {})).get(name) or {}
