"""Masked rows are the same rows under other names."""

import json
import random
import re

import pytest
from quince.data.function_calling.say.masking import mask_row
from quince.data.rows import RowError, check_row

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather in a city; for a later day use get_forecast, never get_weather.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city of day_count"},
                "unit": {"type": "string", "enum": ["celsius", "kelvin"], "default": "celsius"},
            },
            "required": ["city"],
        },
    },
}
FORECAST = {
    "type": "function",
    "function": {
        "name": "get_forecast",
        "description": "Weather of the next days.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "day_count": {"type": "integer", "minimum": 1}},
            "required": ["city", "day_count"],
            "dependentRequired": {"city": ["day_count"]},
            "anyOf": [{"required": ["city"]}, {"required": ["day_count"]}],
        },
    },
}


def call(name, **arguments):
    text = json.dumps(arguments, ensure_ascii=False)
    return {"type": "function", "function": {"name": name, "arguments": text}}


def row():
    slots = {
        "city": {"value": "Sofia", "said": "София", "policy": "translit", "rule": "town"},
        "day_count": {"value": 3, "said": "три", "policy": "number", "rule": "count"},
    }
    return {
        "id": "row/1",
        "task": "function_call",
        "prompt": [
            {"role": "system", "content": "Call get_weather for today."},
            {"role": "user", "content": "Колко е градуса? Кой city?"},
            {"role": "assistant", "content": "", "tool_calls": [call("get_weather", city="Sofia")]},
            {"role": "tool", "name": "get_weather", "content": '{"note": "get_weather", "city": 3}'},
            {"role": "user", "content": "А за три дни?"},
        ],
        "tools": json.dumps([WEATHER, FORECAST], ensure_ascii=False),
        "gold": json.dumps(
            {
                "decision": "call",
                "calls": [{"name": "get_forecast", "arguments": {"city": "Sofia", "day_count": 3}}],
                "accepted": [{"city": ["Sofia", "София"]}],
                "classes": [{"city": "translit", "day_count": "number"}],
                "missing": ["day_count"],
                "mentions": {"day_count": ["дни"]},
            },
            ensure_ascii=False,
        ),
        "provenance": json.dumps(
            {
                "tool_ids": ["get_weather", "get_forecast"],
                "intents": [{"tool": "get_forecast", "slots": slots}],
            },
            ensure_ascii=False,
        ),
    }


def test_every_place_has_the_new_names():
    masked = mask_row(row(), random.Random(1))
    check_row(masked, "test")
    provenance = json.loads(masked["provenance"])
    names, parameters = provenance["masked"]["names"], provenance["masked"]["parameters"]
    weather, forecast = json.loads(masked["tools"])
    city, count = parameters["get_forecast"]["city"], parameters["get_forecast"]["day_count"]

    assert list(names) == ["get_weather", "get_forecast"]
    assert parameters["get_weather"]["city"] == city
    assert weather["function"]["name"] == names["get_weather"]
    assert list(forecast["function"]["parameters"]["properties"]) == [city, count]
    assert forecast["function"]["parameters"]["required"] == [city, count]
    assert forecast["function"]["parameters"]["dependentRequired"] == {city: [count]}
    assert forecast["function"]["parameters"]["anyOf"] == [{"required": [city]}, {"required": [count]}]
    gold = json.loads(masked["gold"])
    assert gold["calls"] == [{"name": names["get_forecast"], "arguments": {city: "Sofia", count: 3}}]
    assert gold["accepted"] == [{city: ["Sofia", "София"]}]
    assert gold["classes"] == [{city: "translit", count: "number"}]
    assert (gold["missing"], gold["mentions"]) == ([count], {count: ["дни"]})
    turn = masked["prompt"][2]["tool_calls"][0]["function"]
    assert (turn["name"], json.loads(turn["arguments"])) == (names["get_weather"], {city: "Sofia"})
    assert masked["prompt"][3] == {**row()["prompt"][3], "name": names["get_weather"]}
    assert list(provenance["intents"][0]["slots"]) == [city, count]
    assert provenance["intents"][0]["tool"] == "get_forecast"


def test_meaning_stays():
    masked = mask_row(row(), random.Random(1))
    renamed = json.loads(masked["provenance"])["masked"]
    weather = json.loads(masked["tools"])[0]["function"]
    city = weather["parameters"]["properties"][renamed["parameters"]["get_weather"]["city"]]
    unit = weather["parameters"]["properties"][renamed["parameters"]["get_weather"]["unit"]]
    assert unit == {"type": "string", "enum": ["celsius", "kelvin"], "default": "celsius"}
    # A name that can only be a name follows its tool; "city" is also a word, and stays.
    assert city["description"] == f"The city of {renamed['parameters']['get_forecast']['day_count']}"
    names = renamed["names"]
    expected = f"Weather in a city; for a later day use {names['get_forecast']}, never {names['get_weather']}."
    assert weather["description"] == expected
    assert masked["prompt"][0]["content"] == f"Call {names['get_weather']} for today."
    assert masked["prompt"][1] == row()["prompt"][1]


def unmasked(masked):
    text = json.dumps(masked, ensure_ascii=False)
    renamed = json.loads(masked["provenance"])["masked"]
    for old, new in [*renamed["names"].items(), *(p for t in renamed["parameters"].values() for p in t.items())]:
        text = re.sub(rf"\b{new}\b", old, text)
    back = json.loads(text)
    provenance = json.loads(back["provenance"])
    del provenance["masked"]
    return back | {"provenance": json.dumps(provenance, ensure_ascii=False)}


def test_masking_is_undone_by_its_record():
    for seed in range(50):
        assert unmasked(mask_row(row(), random.Random(seed))) == row()


def test_the_random_state_decides():
    one, other = (mask_row(row(), random.Random(5)) for _ in range(2))
    assert one == other
    assert mask_row(row(), random.Random(6)) != one
    assert row() == row()


def test_names_are_distinct_and_valid():
    many = json.dumps(
        [
            {"type": "function", "function": {"name": f"tool_{i}", "parameters": {"properties": {f"p{i}": {}}}}}
            for i in range(400)
        ]
    )
    masked = mask_row(row() | {"tools": many}, random.Random(3))
    functions = [tool["function"] for tool in json.loads(masked["tools"])]
    new = [function["name"] for function in functions]
    new += [name for function in functions for name in function["parameters"]["properties"]]
    assert len({name.lower() for name in new}) == 800
    assert all(re.fullmatch(r"[a-z]{5,6}", name) for name in new)


def test_rows_that_have_nothing_to_mask():
    plain = {"id": "a", "task": "function_call", "prompt": [{"role": "user", "content": "Hi"}]}
    assert mask_row(plain, random.Random(0)) == plain
    assert mask_row(plain | {"tools": "[]"}, random.Random(0)) == plain | {"tools": "[]"}


def test_a_path_to_a_parameter_keeps_the_parameters():
    pointing = {"name": "f", "parameters": {"properties": {"a": {"type": "string"}, "b": {"$ref": "#/properties/a"}}}}
    tools = json.dumps([{"type": "function", "function": pointing}])
    masked = mask_row({"id": "a", "task": "t", "tools": tools}, random.Random(0))
    function = json.loads(masked["tools"])[0]["function"]
    assert function["name"] != "f"
    assert function["parameters"] == pointing["parameters"]


def test_what_cannot_be_masked():
    masked = mask_row(row(), random.Random(0))
    with pytest.raises(RowError, match="row/1 · provenance"):
        mask_row(masked, random.Random(0))
