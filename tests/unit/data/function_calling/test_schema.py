from __future__ import annotations

import time

import pytest
from quince.data.function_calling.check import schema
from quince.data.rows import RowError

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "place": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["city"],
}


def parameters(**properties):
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    "arguments",
    [
        {"city": "София"},
        {"city": "Sofia", "days": 3, "unit": "celsius", "tags": []},
        {"city": "Sofia", "place": {"lat": 42}},
    ],
)
def test_arguments_that_fit(arguments):
    assert schema.argument_problems(arguments, WEATHER) == []


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({}, "arguments: 'city'"),
        ({"city": None}, "arguments.city"),
        ({"city": "Sofia", "days": True}, "arguments.days"),
        ({"city": "Sofia", "days": "3"}, "arguments.days"),
        ({"city": "Sofia", "days": 3.0}, "arguments.days"),
        ({"city": "Sofia", "days": 0}, "arguments.days"),
        ({"city": "Sofia", "unit": "kelvin"}, "arguments.unit"),
        ({"city": "Sofia", "country": "BG"}, "arguments: Additional"),
        ({"city": "Sofia", "place": {"lat": 1.5, "lon": 2}}, "arguments.place"),
        ({"city": "Sofia", "place": {"lat": float("nan")}}, "arguments.place.lat"),
        ({"city": "Sofia", "place": {"lat": True}}, "arguments.place.lat"),
        ({"city": "Sofia", "tags": ["a", 1]}, "arguments.tags.1"),
        (["Sofia"], "arguments: ['Sofia'] is not an object"),
        ("{}", "arguments: '{}' is not an object"),
    ],
)
def test_arguments_that_do_not_fit(arguments, place):
    problems = schema.argument_problems(arguments, WEATHER)
    assert len(problems) == 1 and problems[0].startswith(place), problems


def test_more_keys_only_where_the_schema_says_so():
    named = {"city": {"type": "string"}}
    assert schema.argument_problems({"x": 1}, {"type": "object", "properties": {}}) != []
    assert schema.argument_problems({"x": 1}, {"type": "object"}) == []
    assert (
        schema.argument_problems({"x": 1}, {"type": "object", "properties": named, "additionalProperties": True}) == []
    )
    counts = {"type": "object", "properties": named, "additionalProperties": {"type": "integer"}}
    assert schema.argument_problems({"x": 1}, counts) == []
    assert len(schema.argument_problems({"x": "1"}, counts)) == 1


def test_alternatives_and_parts():
    either = parameters(to={"anyOf": [parameters(id={"type": "integer"}), {"type": "null"}, {"type": "string"}]})
    for right in ({"to": {"id": 1}}, {"to": None}, {"to": "me"}):
        assert schema.argument_problems(right, either) == []
    assert schema.argument_problems({"to": {"id": 1, "x": 2}}, either) != []
    free = parameters(to={"anyOf": [{"type": "object"}, {"type": "null"}]})
    assert schema.argument_problems({"to": {"any": "key"}}, free) == []
    whole = {"type": "object", "allOf": [parameters(a={"type": "integer"}), parameters(b={"type": "integer"})]}
    assert schema.argument_problems({"a": 1, "b": 2}, whole) == []
    assert schema.argument_problems({"a": 1, "c": 2}, whole) != []
    linked = parameters(p={"$ref": "#/$defs/point"}) | {"$defs": {"point": parameters(x={"type": "number"})}}
    assert schema.argument_problems({"p": {"x": 1}}, linked) == []
    assert schema.argument_problems({"p": {"y": 1}}, linked) != []


def test_checking_arguments_is_fast_enough_to_check_every_call():
    arguments = {"city": "София", "days": 3, "unit": "celsius"}
    schema.argument_problems(arguments, WEATHER)
    start = time.process_time()
    for _ in range(200):
        schema.argument_problems(arguments, WEATHER)
    assert time.process_time() - start < 0.2  # a millisecond each; measured: a tenth


def test_openai_tool_fills_in_what_may_be_missing():
    empty = {"type": "object", "properties": {}}
    for missing in (None, {}, {"type": "object"}, {"properties": {}}):
        assert schema.openai_tool("now", None, missing)["function"] == {
            "name": "now",
            "description": "",
            "parameters": empty,
        }
    tool = schema.openai_tool("f", "d", parameters(a={"type": "string", "default": None, "enum": ["x", None]}))
    assert tool["function"]["parameters"] == parameters(a={"type": "string", "enum": ["x", None]})
    assert schema.function_of(tool) == tool["function"] == schema.function_of(tool["function"])


def test_a_tool_of_mcp():
    listed = {"name": "get.weather-now_1", "title": "Weather.", "inputSchema": WEATHER, "annotations": {}}
    assert schema.from_mcp(listed) == schema.openai_tool("get.weather-now_1", "Weather.", WEATHER)


def test_bfcl_there_and_back():
    document = {
        "name": "math.area",
        "description": "Area.",
        "parameters": {
            "type": "dict",
            "properties": {
                "size": {"type": "tuple", "items": {"type": "float"}},
                "extra": {"type": "dict", "properties": {"deep": {"type": "float"}}, "required": []},
                "anything": {"type": "any", "description": "Any."},
                "float": {"type": "string", "default": None},
            },
            "required": ["size"],
        },
    }
    tool = schema.from_bfcl(document)
    assert schema.function_of(tool)["parameters"] == {
        "type": "object",
        "properties": {
            "size": {"type": "array", "items": {"type": "number"}},
            "extra": {"type": "object", "properties": {"deep": {"type": "number"}}, "required": []},
            "anything": {"description": "Any."},
            "float": {"type": "string"},
        },
        "required": ["size"],
    }
    schema.check_tool(tool, "here")
    back = schema.to_bfcl(tool)
    assert back["name"] == "math.area"
    assert back["parameters"]["properties"]["size"] == {"type": "array", "items": {"type": "float"}}
    assert back["parameters"]["properties"]["anything"]["type"] == "any"


def test_bfcl_needs_what_its_checker_reads():
    made = schema.to_bfcl(
        schema.openai_tool(
            "f", "", parameters(a={"type": ["null", "number"]}, b={"type": "array"}, c={"type": "object"})
        )
    )
    assert made["parameters"] == {
        "type": "dict",
        "properties": {"a": {"type": "float"}, "b": {"type": "array", "items": {"type": "any"}}, "c": {"type": "dict"}},
        "required": [],
    }


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        ({"name": "f"}, r"tools.json:3 · tool · found .* · give \{"),
        (schema.openai_tool("two words", "", None), "tools.json:3 · name · found 'two words' · give 1 to 128"),
        (schema.openai_tool("f", "", {"type": "array"}), "tools.json:3 · tool f · parameters · found .*array"),
        (schema.openai_tool("f", "", parameters(a={"type": "int"})), r"parameters.properties.a.type · found 'int'"),
        (schema.openai_tool("f", "", parameters(a={"pattern": "("})), r"parameters.properties.a.pattern · found '\('"),
        (
            schema.openai_tool("f", "", parameters() | {"required": ["b"]}),
            r"parameters.required · found 'b' · name only",
        ),
        (
            schema.openai_tool("f", "", parameters(a={"$ref": "https://example.org/x.json"})),
            r"parameters.properties.a.\$ref · found 'https://example.org/x.json' · write the schema out",
        ),
        (
            {"type": "function", "function": {"name": "f", "parameters": parameters(a={"default": None})}},
            r"parameters.properties.a.default · found null · leave the key out",
        ),
    ],
)
def test_a_bad_tool_says_where_and_what(tool, message):
    with pytest.raises(RowError, match=message):
        schema.check_tool(tool, "tools.json:3")
