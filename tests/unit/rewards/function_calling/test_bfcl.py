"""Rules of BFCL's checker, each on a small made-up question; the bench compares them on the real ones."""

from __future__ import annotations

import json

import pytest
from quince.data.function_calling.wire.calls import Call
from quince.data.function_calling.wire.formats import render_calls
from quince.rewards.function_calling.bfcl import BfclCall, accepts

TYPES = {
    "city": {"type": "string"},
    "days": {"type": "integer"},
    "price": {"type": "float"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "pairs": {"type": "array", "items": {"type": "dict"}},
    "options": {"type": "dict"},
    "code": {"type": "integer"},
}
FUNCTION = {"name": "trip", "parameters": {"properties": TYPES, "required": ["city"]}}


def record(answers, category="simple_python", functions=(FUNCTION,)):
    return {"category": category, "functions": list(functions), "answers": answers}


def accepted(answer, arguments, name="trip"):
    return accepts(record([{"trip": {"city": ["Sofia"]} | answer}]), [Call(name, {"city": "Sofia"} | arguments)])


@pytest.mark.parametrize(
    ("answer", "arguments", "right"),
    [
        ({}, {}, True),
        ({}, {"city": "so-fia."}, True),  # marks and case do not count
        ({}, {"city": "Varna"}, False),
        ({}, {"days": 3}, False),  # not in the answer
        ({"days": [3]}, {"days": 3}, True),
        ({"days": [3]}, {"days": 3.0}, False),
        ({"days": [3]}, {"days": True}, False),
        ({"days": [3]}, {}, False),
        ({"days": [3, ""]}, {}, True),  # the empty text marks an optional parameter
        ({"price": [3.0]}, {"price": 3}, True),
        ({"price": [3.5]}, {"price": 3.5 + 1e-12}, False),
        ({"tags": [["a", "b"]]}, {"tags": ["A", "b."]}, True),
        ({"tags": [["a", "b"]]}, {"tags": ["b", "a"]}, False),
        ({"tags": [["a", "b"]]}, {"tags": ["a", 1]}, False),
        ({"tags": ["", ["a"]]}, {"tags": []}, True),
        ({"options": [{"size": ["L", "XL"], "kind": ["x", ""]}]}, {"options": {"size": "xl"}}, True),
        ({"options": [{"size": ["L"]}]}, {"options": {"size": "L", "colour": "red"}}, False),
        ({"options": [{"size": ["L"]}]}, {"options": {}}, False),
        ({"pairs": [[{"a": [1]}, {"a": [2]}]]}, {"pairs": [{"a": 1}, {"a": 2}]}, True),
        ({"pairs": [[{"a": [1]}, {"a": [2]}]]}, {"pairs": [{"a": 2}, {"a": 1}]}, False),
        ({"pairs": [[{"a": [1]}], ""]}, {"pairs": []}, True),
        ({"code": ["CODE"]}, {"code": "CODE"}, True),  # a variable: letter by letter
        ({"code": ["CODE"]}, {"code": "code"}, False),
        ({"options": [{"size": 5}]}, {"options": {"size": 5}}, False),  # their checker raises
    ],
)
def test_values(answer, arguments, right):
    assert accepted(answer, arguments) is right


def test_names_counts_and_required_parameters():
    assert not accepted({}, {}, name="travel")
    answers = [{"trip": {"city": ["Sofia"]}}]
    call = Call("trip", {"city": "Sofia"})
    assert not accepts(record(answers), [call, call])
    assert not accepts(record(answers), [])
    assert not accepts(record(answers), [Call("trip", {})])


def test_parallel_calls_come_in_any_order_and_each_answer_takes_the_first_that_fits():
    answers = [{"trip": {"city": ["Sofia", "Varna"]}}, {"trip": {"city": ["Sofia"]}}]
    sofia, varna = Call("trip", {"city": "Sofia"}), Call("trip", {"city": "Varna"})
    assert accepts(record(answers, "parallel"), [varna, sofia])
    assert not accepts(record(answers, "parallel"), [sofia, varna])
    whole, real = (Call("trip", {"city": "Sofia", "days": days}) for days in (3, 3.0))  # equal, and not the same
    twice = [{"trip": {"city": ["Sofia"], "days": [3]}}] * 2
    assert not accepts(record(twice, "parallel"), [real, whole])
    other = {"name": "other", "parameters": {"properties": {}, "required": []}}
    assert accepts(record(answers[1:], "live_multiple", [other, FUNCTION]), [sofia])
    assert not accepts(record(answers[1:], "multiple", [other]), [sofia])


@pytest.mark.parametrize(
    ("category", "reply", "value"),
    [
        ("irrelevance", "", 1.0),
        ("live_irrelevance", "I cannot.", 1.0),
        ("irrelevance", render_calls([Call("trip", {})], "hermes"), 0.0),
        ("live_relevance", render_calls([Call("trip", {})], "hermes"), 1.0),
        ("live_relevance", "I cannot.", 0.0),
    ],
)
def test_where_only_the_decision_is_known(category, reply, value):
    assert BfclCall().judge(reply, {"bfcl": json.dumps(record(None, category))}).value == value


def test_replies_are_read_in_the_wire_format():
    row = {"bfcl": json.dumps(record([{"trip": {"city": ["Sofia"]}}]))}
    call = [Call("trip", {"city": "sofia"})]
    assert BfclCall().judge("<think>hm</think>" + render_calls(call, "hermes"), row).outcome == "correct"
    assert BfclCall("llama3").judge(render_calls(call, "llama3"), row).outcome == "correct"
    assert BfclCall().judge("<tool_call>{", row).outcome == "unparseable"
    assert BfclCall().judge("Sofia it is.", row).outcome == "wrong"
    assert BfclCall().canonical(render_calls(call, "hermes"), row)
    with pytest.raises(ValueError, match="reward bfcl · format · 'x'"):
        BfclCall("x")
