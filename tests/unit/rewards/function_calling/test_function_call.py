"""The scorer of function calls: what is right, each way to be wrong, and what a reward makes of it."""

from __future__ import annotations

import dataclasses
import json
import pickle

import pytest
from quince.data.function_calling.wire.calls import Call, dump
from quince.data.function_calling.wire.formats import render_calls
from quince.data.rows import RowError
from quince.rewards.base import make_reward
from quince.rewards.function_calling.call_scoring import ERRORS, score
from quince.rewards.function_calling.function_call import FunctionCall, graded

TOOLS = [
    {
        "name": "book_table",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string"},
                "people": {"type": "integer"},
                "date": {"type": "string", "format": "date"},
                "area": {"type": "string", "enum": ["inside", "garden"], "default": "inside"},
                "budget": {"type": "number"},
                "smoking": {"type": "boolean", "default": False},
                "dishes": {"type": "array", "items": {"type": "string"}},
                "contact": {"type": "object", "properties": {"name": {"type": "string"}, "phone": {"type": "string"}}},
            },
            "required": ["place", "people", "date"],
        },
    },
    {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
]
ARGUMENTS = {
    "place": "Чучура",
    "people": 4,
    "date": "2026-11-23",
    "budget": 80.5,
    "dishes": ["супа", "риба"],
    "contact": {"name": "Иван"},
}
CLASSES = {"place": "verbatim", "people": "number", "date": "iso", "budget": "number", "dishes": "list"}
RIGHT = Call("book_table", ARGUMENTS)
WEATHER = Call("get_weather", {"city": "Sofia"})


def row(decision="call", language="bg", tools=TOOLS, **gold):
    wrapped = [{"type": "function", "function": {"description": "", **tool}} for tool in tools]
    return {"id": "r", "task": "function_call", "language": language, "tools": dump(wrapped),
            "prompt": [{"role": "user", "content": "Запази маса в Чучура за 4 души."}],
            "gold": dump({"decision": decision, **gold})}  # fmt: skip


def plain(call):
    return {"name": call.name, "arguments": call.arguments}


CALL_ROW = row(calls=[plain(RIGHT)], classes=[CLASSES])
BOTH_ROW = row(calls=[plain(RIGHT), plain(WEATHER)])


def changed(**arguments):
    kept = {name: value for name, value in (ARGUMENTS | arguments).items() if value is not KeyError}
    return render_calls([Call("book_table", kept)])


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (changed(place="Чучурa"), "wrong_value"),  # the last letter is Latin
        (changed(place="чучура"), "wrong_value"),  # to be copied: case counts
        (changed(place="Чучура."), "wrong_value"),
        (changed(place="Chuchura"), "wrong_value"),
        (changed(place=None), "null_argument"),
        (changed(place=["Чучура"]), "wrong_type"),
        (changed(people="4"), "wrong_type"),
        (changed(people=4.0), "wrong_type"),
        (changed(people=True), "wrong_type"),
        (changed(people=5), "wrong_value"),
        (changed(date="23.11.2026"), "wrong_value"),
        (changed(date="2026-11-23 "), "wrong_value"),
        (changed(budget=80.51), "wrong_value"),
        (changed(budget="80.5"), "wrong_type"),
        (changed(area="garden"), "extra_argument"),
        (changed(area="Inside"), "extra_argument"),
        (changed(area=None), "null_argument"),
        (changed(smoking=0), "extra_argument"),
        (changed(colour="red"), "unknown_argument"),
        (changed(colour=None), "null_argument"),
        (changed(date=KeyError), "missing_argument"),
        (changed(budget=KeyError), "missing_argument"),
        (changed(dishes=["риба", "супа"]), "wrong_value"),
        (changed(dishes=["супа"]), "wrong_value"),
        (changed(dishes="супа, риба"), "wrong_type"),
        (changed(contact={"name": "Иван", "phone": "1"}), "wrong_value"),
        (changed(contact={"name": "Иван", "phone": None}), "wrong_value"),
        (changed(contact={}), "wrong_value"),
        (render_calls([Call("Book_table", ARGUMENTS)]), "hallucinated_tool"),
        (render_calls([Call("get_weather", ARGUMENTS)]), "wrong_tool"),
        (render_calls([RIGHT, RIGHT]), "duplicate_call"),
        (render_calls([RIGHT, WEATHER]), "extra_call"),
        (render_calls([RIGHT, Call("no_such", {})]), "hallucinated_tool"),
        ("Не мога да направя това.", "no_call"),
        ("Book it yourself", "no_call"),
        ("", "mute"),
        (" \n", "mute"),
        ("...", "no_decision"),
        ('{"temperature": 21}', "no_decision"),
        (render_calls([RIGHT], "tucan"), "format"),
        (dump(plain(RIGHT)), "format"),
        (render_calls([RIGHT]).replace("</tool_call>", ""), "format"),
        (render_calls([RIGHT]).replace('"', "'"), "format"),
    ],
)
def test_near_misses_of_a_call(reply, error):
    found = score(reply, CALL_ROW)
    assert (found.exact, found.error) == (False, error)
    assert graded(found) < graded(score(render_calls([RIGHT]), CALL_ROW)) == 1.0


@pytest.mark.parametrize(
    "reply",
    [
        changed(place=" Чучура\u00a0"),
        changed(budget=80.5 + 1e-9),
        changed(area="inside", smoking=False),  # the defaults of the schema
        f"Разбира се. {changed()}",
        f"<think>First <tool_call> wrong? No call.</think>{changed()}",
        "<tool_call>" + dump({"arguments": dict(reversed(ARGUMENTS.items())), "name": "book_table"}) + "</tool_call>",
    ],
)
def test_other_ways_to_be_right(reply):
    assert score(reply, CALL_ROW).exact


def test_without_a_class_case_does_not_count_and_integers_are_numbers():
    assert score(render_calls([Call("get_weather", {"city": "sofia"})]), row(calls=[plain(WEATHER)])).exact
    number = row(calls=[{"name": "book_table", "arguments": ARGUMENTS | {"budget": 80}}])
    assert score(changed(budget=80.0), number).exact


def test_accepted_values_and_optional_ones():
    accepting = row(calls=[plain(RIGHT)], accepted=[{"place": ["Chuchura"], "budget": [None], "area": ["garden"]}])
    for reply in (changed(place="Chuchura"), changed(budget=KeyError), changed(area="garden"), changed()):
        assert score(reply, accepting).exact, reply
    assert score(changed(budget=None), accepting).error == "null_argument"


def test_a_gold_default_may_be_left_out_unless_it_is_required():
    tools = json.loads(json.dumps(TOOLS))
    arguments = ARGUMENTS | {"area": "inside"}
    calls = [{"name": "book_table", "arguments": arguments}]
    assert score(changed(), row(calls=calls)).exact
    tools[0]["parameters"]["required"].append("area")
    assert score(changed(), row(calls=calls, tools=tools)).error == "missing_argument"


def test_parallel_calls_are_a_multiset():
    assert score(render_calls([WEATHER, RIGHT]), BOTH_ROW).exact
    twice = row(calls=[plain(WEATHER), plain(WEATHER)])
    assert score(render_calls([WEATHER, WEATHER]), twice).exact
    assert score(render_calls([WEATHER]), twice).error == "missing_call"
    assert score(render_calls([WEATHER] * 3), twice).error == "duplicate_call"


def test_the_matching_is_the_best_one():
    # The first gold call takes either city, the second one only Rome: greedy matching would miss it.
    rome = Call("get_weather", {"city": "Rome"})
    picky = row(calls=[plain(WEATHER), plain(rome)], accepted=[{"city": ["Rome"]}, {}])
    assert score(render_calls([rome, WEATHER]), picky).exact
    assert score(render_calls([rome, rome]), picky).exact


def test_every_argument_is_reported_with_its_class():
    found = score(changed(people=5, date=KeyError, colour="red"), CALL_ROW)
    assert not found.calls_ok
    assert found.decision_ok
    arguments = {argument.name: (argument.kind, argument.reason) for argument in found.calls[0].arguments}
    assert arguments == {
        "place": ("verbatim", ""), "people": ("number", "value"), "date": ("iso", "missing"), "budget": ("number", ""),
        "dishes": ("list", ""), "contact": ("object", ""), "colour": ("text", "unknown"),
    }  # fmt: skip
    assert any("date" in problem for problem in found.calls[0].schema_problems)


def test_a_row_may_accept_any_valid_call():
    anything = row("call", calls=[])
    assert score(render_calls([WEATHER]), anything).exact
    assert score(render_calls([Call("get_weather", {"city": 7})]), anything).error == "invalid_call"
    assert score(render_calls([Call("no_such", {})]), anything).error == "hallucinated_tool"
    assert score("Не мога.", anything).error == "no_call"


def test_tolerant_reading_is_reported_beside():
    for reply in (render_calls([RIGHT], "openai"), render_calls([RIGHT]).replace("</tool_call>", "")):
        found = score(reply, CALL_ROW)
        assert (found.exact, found.tolerant_exact) == (False, True)
    assert not score(render_calls([WEATHER], "openai"), CALL_ROW).tolerant_exact


@pytest.mark.parametrize("column", [{"gold": "{"}, {"gold": '{"decision": "sing"}'}, {"gold": "[]"}, {"tools": "7"},
                                    {"gold": '{"decision": "call", "calls": [{}]}'}])  # fmt: skip
def test_a_malformed_row_is_not_the_fault_of_the_reply(column):
    broken = CALL_ROW | column
    with pytest.raises(RowError, match=r"^r · (gold|tools) · "):
        score(render_calls([RIGHT]), broken)
    (verdict,) = FunctionCall().judge_batch([""], [broken])
    assert (verdict.value, verdict.outcome) == (None, "error")


def test_grades_are_ordered():
    replies = [
        "",
        render_calls([WEATHER]),
        changed(people=5, date="2026-11-24", place="x", colour="red"),
        changed(people=5, date="2026-11-24", place="x"),
        changed(people=5, date="2026-11-24"),
        changed(people=5),
        changed(),
    ]
    values = [graded(score(reply, CALL_ROW)) for reply in replies]
    assert values == sorted(values)
    assert len(set(values)) == len(values)
    assert (values[0], values[-1]) == (-1.0, 1.0)


def test_guessing_many_calls_does_not_pay():
    guesses = [Call("book_table", ARGUMENTS | {"people": people}) for people in range(1, 9)]
    assert graded(score(render_calls(guesses), CALL_ROW)) < graded(score(changed(people=5), CALL_ROW))


def test_the_reward_as_trl_calls_it():
    logged = {}
    reward = make_reward("function_call", grading="graded")
    replies = [render_calls([RIGHT]), "<tool_call>", "Не мога.", "x"]
    values = reward(
        [CALL_ROW["prompt"]] * 4,
        [[{"role": "assistant", "content": reply}] for reply in replies],
        gold=[CALL_ROW["gold"]] * 3 + [None],
        tools=[CALL_ROW["tools"]] * 3 + [None],
        log_metric=logged.__setitem__,
    )
    assert values == [1.0, -1.0, pytest.approx(-5 / 7), None]
    assert {key.rsplit("/", 1)[-1]: share for key, share in logged.items() if share} == {
        "correct": 0.25, "unparseable": 0.25, "wrong": 0.25, "skipped": 0.25,
    }  # fmt: skip


def test_options_and_range():
    assert pickle.dumps(FunctionCall())
    assert (FunctionCall().range, FunctionCall(grading="graded").range) == ((0.0, 1.0), (-1.0, 1.0))
    with pytest.raises(ValueError, match="format · 'hermess' · one of hermes"):
        FunctionCall(format="hermess")


def test_identity_of_a_solution():
    reward = FunctionCall()
    assert reward.canonical(render_calls([RIGHT, WEATHER]), {}) == reward.canonical(render_calls([WEATHER, RIGHT]), {})
    assert reward.canonical(changed(people=5), {}) != reward.canonical(changed(), {})
    assert reward.canonical("Не  МОГА", {}) == "не мога"
    assert reward.canonical("<tool_call>", {}) is None


def test_errors_are_a_closed_list():
    assert len(set(ERRORS)) == len(ERRORS)
    assert {field.name for field in dataclasses.fields(score("", CALL_ROW))} >= {"exact", "error", "tolerant_exact"}
