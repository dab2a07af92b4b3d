"""A row that is right has no problems; every way to spoil it is found and named."""

import json
import unicodedata

import pytest
from quince.data.function_calling.check.validators import problems

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather in a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "city, in English"},
                "unit": {"type": "string", "enum": ["celsius", "kelvin"], "default": "celsius"},
                "days": {"type": "integer", "minimum": 1},
            },
            "required": ["city"],
        },
    },
}
NOTE = {
    "type": "function",
    "function": {
        "name": "add_note",
        "description": "Write a note",
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    },
}


def slot(value, said, policy, rule="rule"):
    return {"value": value, "said": said, "policy": policy, "rule": rule}


def packed(**columns):
    nested = {key: json.dumps(columns.pop(key), ensure_ascii=False) for key in ("tools", "gold", "provenance")}
    return {"id": "row/1", "task": "function_call", "language": "bg", "scenario": "single", **columns, **nested}


def changed(row, column, change):
    value = json.loads(row[column])
    change(value)
    return row | {column: json.dumps(value, ensure_ascii=False)}


def call_row():
    slots = {"city": slot("Sofia", "София", "translit"), "days": slot(3, "три", "number")}
    return packed(
        prompt=[{"role": "user", "content": "Какво е времето в София за три дни?"}],
        tools=[WEATHER, NOTE],
        gold={
            "decision": "call",
            "calls": [{"name": "get_weather", "arguments": {"city": "Sofia", "days": 3}}],
            "accepted": [{"unit": ["celsius", None]}],
            "classes": [{"city": "translit", "days": "number"}],
        },
        provenance={"tool_ids": ["weather", "note"], "intents": [{"tool": "weather", "slots": slots}]},
    )


def ask_row():
    return packed(
        messages=[
            {"role": "user", "content": "Какво е времето за 3 дни?"},
            {"role": "assistant", "content": "За кой град?"},
        ],
        tools=[WEATHER, NOTE],
        gold={"decision": "ask", "calls": [], "missing": ["city"], "mentions": {"city": ["град"]}},
        provenance={
            "tool_ids": ["weather", "note"],
            "intents": [{"tool": "weather", "slots": {"days": slot(3, "3", "number")}}],
        },
    )


def refuse_row():
    return packed(
        messages=[
            {"role": "user", "content": "Какво е времето в София?"},
            {"role": "assistant", "content": "Съжалявам, не мога."},
        ],
        tools=[NOTE],
        gold={"decision": "refuse", "calls": []},
        provenance={
            "tool_ids": ["note"],
            "intents": [{"tool": "weather", "slots": {"city": slot("Sofia", "София", "translit")}}],
        },
    )


def answer_row():
    arguments = json.dumps({"city": "Sofia"})
    calls = [{"type": "function", "function": {"name": "get_weather", "arguments": arguments}}]
    return packed(
        messages=[
            {"role": "user", "content": "Какво е времето в София?"},
            {"role": "assistant", "content": "", "tool_calls": calls},
            {"role": "tool", "name": "get_weather", "content": '{"degrees": 21}'},
            {"role": "assistant", "content": "Градусите са 21."},
        ],
        tools=[WEATHER],
        gold={"decision": "answer", "calls": [], "contains": ["21"]},
        provenance={
            "tool_ids": ["weather"],
            "intents": [{"tool": "weather", "slots": {"city": slot("Sofia", "София", "translit")}}],
        },
    )


def execute(tool, arguments):
    return {"weather": lambda city, unit="", days=1: {"degrees": 21}, "note": lambda text: {}}[tool](**arguments)


@pytest.mark.parametrize("make", [call_row, ask_row, refuse_row, answer_row])
def test_a_right_row_has_no_problems(make):
    assert problems(make(), execute=execute) == []


def gold_call(key, value):
    return lambda gold: gold["calls"][0].update({key: value})


def first_slot(**values):
    return lambda provenance: next(iter(provenance["intents"][0]["slots"].values())).update(values)


SPOILED = [
    (call_row, "gold", gold_call("name", "get_rain"), "found 'get_rain' · call listed tools only"),
    (call_row, "gold", gold_call("arguments", {"days": 3}), "'city' is a required property"),
    (call_row, "gold", gold_call("arguments", {"city": "Sofia", "days": "3"}), "'3' is not of type 'integer'"),
    (call_row, "gold", gold_call("arguments", {"city": "Sofia", "days": 3.0}), "3.0 is not of type 'integer'"),
    (call_row, "gold", gold_call("arguments", {"city": "Sofia", "days": 0}), "0 is less than the minimum of 1"),
    (call_row, "gold", gold_call("arguments", {"city": "Sofia", "unit": None}), "get_weather.unit · found null"),
    (call_row, "gold", gold_call("arguments", {"city": "Sofia", "unit": "градуси"}), "is not one of"),
    (call_row, "gold", gold_call("arguments", {"city": "Sofia", "day": 3}), "'day' was unexpected"),
    (call_row, "gold", gold_call("arguments", {"city": "Varna", "days": 3}), "record an intent of weather"),
    (call_row, "gold", gold_call("arguments", {"city": "Sofia"}), "record an intent of weather"),
    (call_row, "gold", lambda gold: gold.update(decision="refuse"), "with refuse · calls belong to 'call'"),
    (call_row, "gold", lambda gold: gold.update(decision="maybe"), "gold.decision · found 'maybe' · one of call"),
    (call_row, "gold", lambda gold: gold.update(calls=[]), "gold.calls · found [] with call"),
    (call_row, "gold", lambda gold: gold.update(accepted=[{}, {}]), "gold.accepted · found 2 for 1 calls"),
    (call_row, "gold", lambda gold: gold["classes"][0].update(city="verbatim"), "stands in the dialogue as it is"),
    (call_row, "gold", lambda gold: gold.pop("decision"), "gold.decision · found None"),
    (call_row, "gold", gold_call("arguments", "city"), "give gold and provenance as documented"),
    (call_row, "provenance", first_slot(said="Варна"), "slots.city.said · found 'Варна'"),
    (call_row, "provenance", first_slot(value="Sofiya"), "the official transliteration is 'Sofia'"),
    (call_row, "provenance", first_slot(policy="verbatim"), "stands in 'София' as it is"),
    (call_row, "provenance", first_slot(policy="guess"), "policy · found 'guess'"),
    (call_row, "provenance", first_slot(rule=""), "slots.city.rule · missing"),
    (ask_row, "provenance", first_slot(value=4), "the words name another number"),
    (ask_row, "provenance", first_slot(value="3"), "a number is a JSON number"),
    (call_row, "provenance", lambda p: p.update(tool_ids=["weather", "weather"]), "found 2 listed tools that serve"),
    (refuse_row, "provenance", lambda p: p.update(tool_ids=["weather"]), "found a listed tool that serves it"),
    (ask_row, "gold", lambda gold: gold.update(missing=["days"], mentions={"days": ["град"]}), "no required parameter"),
    (ask_row, "gold", lambda gold: gold.update(missing=[]), "gold.missing · found [] with ask"),
    (ask_row, "gold", lambda gold: gold.update(mentions={}), "gold.mentions · found none for 'city'"),
    (ask_row, "gold", lambda gold: gold.update(mentions={"city": ["дата"]}), "name the missing 'city' by one of дата"),
    (answer_row, "gold", lambda gold: gold.update(contains=["22"]), "it must hold '22'"),
    (call_row, "tools", lambda tools: tools.append(tools[0]), "tools · found a name twice"),
    (call_row, "tools", lambda tools: tools[1]["function"].pop("name"), "a tool without a named function"),
    (call_row, "tools", lambda tools: tools[1]["function"].update(name="add note"), "name · found 'add note'"),
    (call_row, "tools", lambda tools: tools[1]["function"]["parameters"].update(type="text"), "tool add_note"),
    (call_row, "tools", lambda tools: tools[1]["function"]["parameters"].update(required=["x"]), "required"),
    (call_row, "tools", lambda tools: tools[1]["function"]["parameters"].update(title=None), "tool add_note"),
]


@pytest.mark.parametrize(("make", "column", "change", "message"), SPOILED)
def test_what_is_wrong_is_named(make, column, change, message):
    found = problems(changed(make(), column, change), execute=execute)
    assert any(message in problem for problem in found), found
    assert all(problem.startswith("row/1 · ") for problem in found)


def with_messages(row, *messages):
    column = "prompt" if "prompt" in row else "messages"
    return row | {column: [{"role": role, "content": content} for role, content in messages]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            with_messages(ask_row(), ("user", "Времето за 3 дни?"), ("assistant", "Which город?")),
            "found 'Which город?'",
        ),
        (with_messages(ask_row(), ("user", "Времето за 3 дни?"), ("assistant", " ")), "found neither text nor calls"),
        (with_messages(ask_row(), ("user", "Времето за 3 дни?")), "found a turn of 'user'"),
        (
            with_messages(ask_row(), ("user", "За 3 дни до 15:30?"), ("assistant", "Град?")),
            "found '15:30' in the request",
        ),
        (with_messages(call_row(), ("user", "Weather in София, три days?")), "Cyrillic letters · write 'bg'"),
        (with_messages(call_row(), ("user", unicodedata.normalize("NFD", "Кой ден, София, три?"))), "not NFC"),
        (call_row() | {"gold": json.dumps(json.loads(call_row()["gold"]) | {"note": "София"})}, r"found '\\u0421'"),
        (call_row() | {"gold": "{"}, "gold · found '{' · give JSON text"),
        (call_row() | {"gold": "[]"}, "gold · found JSON of list · give a dict"),
        (call_row() | {"task": ""}, "task · found ''"),
    ],
)
def test_texts_that_are_wrong_are_named(row, message):
    assert any(message in problem for problem in problems(row)), problems(row)


def test_calls_are_executed_under_the_names_of_the_library():
    def broken(tool, arguments):
        raise KeyError(tool)

    assert any("it must run (KeyError('weather'))" in problem for problem in problems(call_row(), execute=broken))
    found = problems(answer_row(), execute=lambda tool, arguments: {"degrees": 5})
    assert found == ["row/1 · messages[2] · found {'degrees': 21} · get_weather returns {'degrees': 5}"]
    renamed = changed(
        call_row(), "provenance", lambda p: p.update(masked={"parameters": {"get_weather": {"town": "city"}}})
    )
    seen = []
    problems(renamed, execute=lambda tool, arguments: seen.append((tool, arguments)))
    assert seen == [("weather", {"town": "Sofia", "days": 3})]


def test_rows_of_unknown_truth_are_checked_for_their_shape():
    row = {"id": "a", "task": "function_call", "prompt": [{"role": "user", "content": "Hi"}]}
    assert problems(row) == []
    assert problems(row | {"prompt": []}) != []
    # Some public sets say that a call or a question is right, and not which.
    assert problems(row | {"gold": json.dumps({"decision": "ask", "missing": ["city"]})}) == []
    assert problems(row | {"gold": json.dumps({"decision": "call", "calls": []})}) == []
    assert problems(row | {"gold": json.dumps({"decision": "refuse", "missing": ["city"]})}) != []


def test_letters_of_another_script_are_allowed_where_they_are_slips():
    typed = with_messages(call_row(), ("user", "Kakvo e vremeto v София za три dni?"))
    assert any("Cyrillic letters" in problem for problem in problems(typed))
    assert problems(typed, noisy=True) == []


def test_the_checks_raise_for_no_row():
    for row in ({}, {"id": 1}, {"id": "a", "task": "t", "messages": [{}]}, call_row() | {"provenance": "3"}):
        found = problems(row)
        assert found and all(isinstance(problem, str) for problem in found)
