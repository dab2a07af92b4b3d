"""Replies to a row with gold calls: the gold ones, others that may be right, and one change at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from quince.data.function_calling.wire.calls import Call, dump
from quince.data.function_calling.wire.formats import render_calls
from quince.data.rows import Row
from quince.rewards.function_calling.gold_calls import GoldCall, read_gold, read_tools

MOST_ALTERNATIVES = 4  # of one parameter
REFUSAL = "I cannot do that with the tools that I have."


@dataclass(frozen=True)
class Prediction:
    """A reply: what was changed, its calls, and its text where that is more than the calls written out."""

    label: str
    calls: tuple[Call, ...] = ()
    text: str | None = None

    def reply(self, format: str) -> str:
        """The reply as a model of that wire format writes it."""
        if self.text is not None:
            return self.text
        return render_calls(self.calls, format) if self.calls else ""


def predictions(row: Row) -> Iterator[Prediction]:
    gold, tools = read_gold(row), read_tools(row)
    calls = tuple(wanted.call for wanted in gold.calls)
    if calls:
        yield Prediction("gold", calls)
    yield Prediction("mute")
    yield Prediction("words", text=REFUSAL)
    yield from (Prediction("some_call", (Call(name, {}),)) for name in list(tools)[:1])
    for at, wanted in enumerate(gold.calls):
        for label, call in _changed_calls(wanted, tools):
            yield Prediction(label, (*calls[:at], call, *calls[at + 1 :]))
    if calls:
        yield Prediction("duplicate_call", (*calls, calls[0]))
    if len(calls) > 1:
        yield Prediction("missing_call", calls[1:])
        yield Prediction("other_order", calls[::-1])


def misformatted(row: Row) -> Iterator[Prediction]:
    """The gold call of a row, or some call where none is right, written as the Tucan fence does not have it."""
    gold, tools = read_gold(row).calls, read_tools(row)
    call = gold[0].call if gold else Call(next(iter(tools), "no_such_tool"), {})
    body = {"name": call.name, "parameters": call.arguments}
    right, json_body = render_calls([call], "tucan"), dump(body)
    strings = dump({"name": call.name, "arguments": dump(call.arguments)})
    other = render_calls([Call("no_such_tool", {})], "tucan")
    for label, text in {
        "text_array": f"```tool_call\n[{json_body}]\n```",
        "text_stringified": f"```tool_call\n{strings}\n```",
        "text_scalar": "```tool_call\n7\n```",
        "text_null": "```tool_call\nnull\n```",
        "text_empty_object": "```tool_call\n{}\n```",
        "text_second_call": f"{right}\n{other}",
        "text_prose": f"Of course.\n{right}\nDone.",
        "text_json_fence": f"```json\n{json_body}\n```",
        "text_hermes": render_calls([call]),
        "text_unclosed": right.removesuffix("\n```"),
        "text_single_quotes": f"```tool_call\n{body}\n```",
    }.items():
        yield Prediction(label, (), text)


def _changed_calls(wanted: GoldCall, tools: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Call]]:
    call = wanted.call
    properties = tools.get(call.name, {}).get("properties") or {}

    def given(name: str, value: Any) -> Call:
        return replace(call, arguments=call.arguments | {name: value})

    for name, value in call.arguments.items():
        accepted = wanted.accepted.get(name) or []
        for other in [value for value in accepted if value is not None][:MOST_ALTERNATIVES]:
            yield "accepted_value", given(name, other)
        left = {key: other for key, other in call.arguments.items() if key != name}
        yield "optional_left_out" if None in accepted else "left_out", replace(call, arguments=left)
        for label, other in _changed_values(value):
            yield label, given(name, other)
    for name, schema in properties.items():
        if name not in call.arguments:
            yield "null_given", given(name, None)
            default = "default" in schema
            label, value = ("default_given", schema["default"]) if default else ("extra_given", _example(schema))
            yield label, given(name, value)
    yield "unknown_parameter", given("no_such_parameter", 1)
    another = next((name for name in tools if name != call.name), f"{call.name}_x")
    yield "wrong_tool", replace(call, name=another)


def _changed_values(value: Any) -> Iterator[tuple[str, Any]]:
    yield "null_value", None
    yield "in_a_list", [value]
    if isinstance(value, bool):
        yield from (("wrong_value", not value), ("bool_as_integer", int(value)), ("bool_as_text", str(value).lower()))
    elif isinstance(value, int | float):
        yield from (("wrong_value", value + 1), ("number_as_text", str(value)), ("number_noise", value * (1 + 1e-12)))
        yield "other_number_type", float(value) if isinstance(value, int) else round(value)
        yield "number_as_bool", bool(value)
    elif isinstance(value, str):
        yield from (("wrong_value", f"{value} no"), ("other_case", value.swapcase()), ("full_stop", f"{value}."))
        yield from (("outer_space", f" {value} "), ("quoted", f'"{value}"'), ("empty_text", ""))
        yield "without_marks", "".join(letter for letter in value if letter not in " ,./-_*^")
        yield "text_as_number", len(value)
    elif isinstance(value, list):
        yield from (("wrong_value", [*value, "no"]), ("other_order_of_items", value[::-1]), ("empty_list", []))
        yield "items_as_text", [str(item) for item in value]
        yield "items_as_float", [float(item) if type(item) is int else item for item in value]
    elif isinstance(value, dict):
        yield from (("wrong_value", {**value, "no": 1}), ("inner_left_out", dict(list(value.items())[1:])))
        yield "inner_as_text", {key: str(item) for key, item in value.items()}


def _example(schema: Mapping[str, Any]) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    return {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}.get(kind, "text")
