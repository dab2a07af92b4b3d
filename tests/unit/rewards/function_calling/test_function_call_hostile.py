"""Replies that crash or fool Tucan-Eval, texts that mean harm, and what chance earns."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quince.data.function_calling.wire.calls import Call, dump
from quince.data.function_calling.wire.formats import FORMATS, render_calls
from quince.rewards.function_calling.call_scoring import ERRORS, score
from quince.rewards.function_calling.call_values import difference
from quince.rewards.function_calling.function_call import FunctionCall, graded

TOOL = {"name": "run", "parameters": {"type": "object", "properties": {"code": {"type": "string"}, "n": {}},
                                      "required": ["code"]}}  # fmt: skip
RIGHT = Call("run", {"code": "print()"})


def row(decision, *calls, language="bg"):
    calls = [{"name": call.name, "arguments": call.arguments} for call in calls]
    return {
        "id": "r",
        "language": language,
        "tools": dump([TOOL]),
        "gold": dump({"decision": decision, "calls": calls}),
    }


CALL, REFUSE = row("call", RIGHT), row("refuse")
BODY = dump({"name": "run", "parameters": RIGHT.arguments})


def fence(body):
    return f"```tool_call\n{body}\n```"


# Each of these raises in Tucan-Eval 1.0.3, or gets the opposite of what it is worth there.
@pytest.mark.parametrize(
    ("sample", "reply", "exact", "tolerant"),
    [
        # an array, stringified or listed arguments, a scalar: the run aborts
        (CALL, fence(f"[{BODY}]"), False, True),
        (CALL, fence(dump({"name": "run", "arguments": dump(RIGHT.arguments)})), False, True),
        (CALL, fence('{"name": "run", "arguments": ["print()"]}'), False, False),
        (CALL, fence("7"), False, False),
        (REFUSE, fence("null"), False, False),
        # calls after the first one: CORRECT
        (CALL, fence(BODY) + fence(dump({"name": "no_such", "parameters": {}})), False, False),
        (CALL, fence(BODY) + fence(BODY), False, False),
        (CALL, f"Ето:\n{fence(BODY)}\nГотово.", True, True),
        # backticks in an argument, a key `error`: MALFORMED_JSON
        (row("call", Call("run", {"code": "```x```"})), render_calls([Call("run", {"code": "```x```"})], "tucan"), True,
         True),
        (CALL, fence(BODY[:-1] + ', "error": 1}'), True, True),
        # the same call in other marks: NO_CALL_WHEN_EXPECTED
        (CALL, f"```json\n{BODY}\n```", False, True),
        (CALL, render_calls([RIGHT]), False, True),
        # anything that is no readable fence where no call is right: CORRECT
        (REFUSE, "", False, False),
        (REFUSE, "I cannot do that with the tools I have.", False, False),
        (REFUSE, render_calls([RIGHT]), False, False),
        (REFUSE, "```tool_call\n" + BODY, False, False),
        (REFUSE, fence("{}"), False, False),
        (REFUSE, "Не мога да направя това.", True, True),
        # lenient values: CORRECT
        (row("call", Call("run", {"code": "1"})), render_calls([Call("run", {"code": 1})], "tucan"), False, False),
        (row("call", Call("run", {"code": "1"})), render_calls([Call("run", {"code": True})], "tucan"), False, False),
        (row("call", Call("run", {"code": ""})), render_calls([Call("run", {"code": "..."})], "tucan"), False, False),
    ],
)  # fmt: skip
def test_what_crashes_or_fools_tucan_eval(sample, reply, exact, tolerant):
    found = score(reply, sample, "tucan")
    assert (found.exact, found.tolerant_exact) == (exact, tolerant)


def test_a_gold_that_says_nothing_is_refused():
    (verdict,) = FunctionCall().judge_batch(["anything"], [{"id": "r", "gold": "{}"}])
    assert (verdict.value, verdict.outcome) == (None, "error")


@pytest.mark.parametrize("sample", [CALL, REFUSE, row("ask"), row("answer"), row("refuse", language="")])
@pytest.mark.parametrize(
    "reply", ["", " ", "\n", "\u200b", ".", "...", "?", "!?", "\ufeff", "\x00", "[]", "{}", "<think>", "```"]
)
def test_a_mute_reply_is_never_right(sample, reply):
    if reply != "<think>":
        assert not score(reply, sample).exact
        assert graded(score(reply, sample)) == -1.0
    assert not score(f"<think>Не мога.</think>{reply}" if reply != "<think>" else "<think></think>", sample).exact


def test_chance_is_below_a_mute_floor_of_the_vacuous_kind():
    # Where half of the rows want no call, any fixed text earns at most one of the four decisions.
    rows = [CALL, row("ask"), REFUSE, row("answer")]
    for reply in ("", "Не мога.", "Коя дата?", "Добре.", render_calls([RIGHT])):
        assert sum(score(reply, sample).exact for sample in rows) <= 1
    assert sum(score("", sample).exact for sample in rows) == 0


pieces = st.sampled_from(
    [
        *'{}[]",:', "<tool_call>", "</tool_call>", "```tool_call\n", "```", BODY, "run", "?",
        dump({"name": "run", "arguments": {}}),
        render_calls([RIGHT]), render_calls([Call("run", {"code": "x", "n": 10**299})]), '"n": 1e308', "NaN",
        "9" * 5000, "\x00", "\ud800", "\ufeff", "</think>", "Не мога.", "Коя дата?", "[" * 2000, "да " * 50,
    ]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    text=st.lists(pieces | st.text(max_size=6), max_size=10).map("".join),
    sample=st.sampled_from([CALL, REFUSE, row("ask"), row("answer"), row("call", RIGHT, RIGHT)]),
    format=st.sampled_from(sorted(FORMATS)),
)
def test_no_text_makes_the_scorer_raise(text, sample, format):
    found = score(text, sample, format)
    assert found.error in ("", *ERRORS)
    assert found.exact == (found.error == "")
    assert -1.0 <= graded(found) <= 1.0
    assert (graded(found) == 1.0) == found.exact
    (verdict,) = FunctionCall(format).judge_batch([text], [sample])
    assert verdict.outcome in ("correct", "wrong", "unparseable")


def test_a_thousand_calls_are_scored_at_once():
    found = score(render_calls([RIGHT] * 1000), CALL)
    assert (found.error, len(found.calls)) == ("duplicate_call", 1000)
    assert graded(found) < -0.7


@pytest.mark.parametrize(
    ("found", "gold", "schema", "reason"),
    [
        (1, True, {}, "type"), (True, 1, {}, "type"), (0, False, {}, "type"), ("1", 1, {}, "type"),
        (None, 0, {}, "null"),
        (None, None, {}, ""), (3.0, 3, {}, ""), (3.0, 3, {"type": "number"}, ""), (3, 3.0, {"type": "number"}, ""),
        (3.0, 3, {"type": "integer"}, "type"), (3.0, 3, {"type": ["integer", "number"]}, ""), (0.1 + 0.2, 0.3, {}, ""),
        (10**299, 1e299, {}, ""), (2**53 + 1, 2**53, {}, "value"), (1e10, 1e10 + 1, {}, "value"),
        (1e10 + 0.5, 1e10, {}, ""), (1e308, -1e308, {}, "value"),
        ("СОФИЯ", "София", {}, ""), ("София", "Sofia", {}, "value"), ("„София“", "София", {}, "value"),
        ("й", "й", {}, ""), ("EUR", "eur", {"enum": ["eur"]}, "value"), ("a  b", " a b", {}, ""),
        ("2024-01-05", "05.01.2024", {}, "value"), (["a", "b"], ["b", "a"], {}, "value"), ([1.0], [1], {}, ""),
        ([1.0], [1], {"items": {"type": "integer"}}, "type"), ({"a": {"b": [1]}}, {"a": {"b": [1]}}, {}, ""),
        ({"a": 1, "b": None}, {"a": 1}, {}, "value"), ({"a": "1"}, {"a": 1}, {}, "type"),
        ({"a": 1}, {"a": 1, "b": 2}, {"properties": {"b": {"default": 2}}}, ""), ([], {}, {}, "type"),
    ],
)  # fmt: skip
def test_values(found, gold, schema, reason):
    assert difference(found, gold, schema) == reason


def test_the_schema_check_never_decides():
    odd = {"name": "run", "parameters": {"type": "object", "properties": {"code": {"pattern": "("}}}}
    sample = CALL | {"tools": json.dumps([odd])}
    found = score(render_calls([RIGHT]), sample)
    assert found.exact
    assert found.calls[0].schema_problems
