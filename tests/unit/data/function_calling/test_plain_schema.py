"""Plain schemas are judged as the jsonschema library judges them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quince.data.function_calling.check.plain_schema import fits, is_plain
from quince.data.function_calling.check.schema import argument_problems, schema_problem
from quince.data.function_calling.check.strict_schema import strict_validator

SCHEMAS = st.recursive(
    st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "number", "boolean", "text"])})
    | st.fixed_dictionaries({"type": st.just("string"), "enum": st.lists(st.sampled_from(["a", "b", 1]))})
    | st.fixed_dictionaries({"type": st.just("integer"), "minimum": st.integers(0, 2), "maximum": st.floats(1, 3)}),
    lambda inner: (
        st.fixed_dictionaries({"type": st.just("array")}, optional={"items": inner})
        | st.fixed_dictionaries(
            {"type": st.just("object")},
            optional={
                "properties": st.dictionaries(st.sampled_from("ab"), inner),
                "required": st.lists(st.sampled_from("ab"), max_size=2),
                "additionalProperties": st.booleans(),
            },
        )
    ),
    max_leaves=4,
)
VALUES = st.recursive(
    st.sampled_from(["a", "b", 0, 1, 2, 1.0, 2.5, True, False, None, float("nan"), 10**400]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from("ab"), SCHEMAS), st.dictionaries(st.sampled_from("abc"), VALUES))
def test_plain_schemas_are_judged_as_the_library_judges_them(properties, arguments):
    parameters = {"type": "object", "properties": properties}
    if is_plain(parameters):
        text = json.dumps(parameters)
        assert schema_problem(text) == ""
        assert fits(arguments, parameters) == strict_validator(text).is_valid(arguments)
        assert fits(arguments, parameters) == (argument_problems(arguments, parameters) == [])


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "text"},
        {"type": "string", "enum": []},
        {"type": "string", "default": None},
        {"type": "number", "default": float("nan")},
        {"type": "number", "examples": [float("inf")]},
        {"type": "object", "required": ["a"]},
        {"type": "object", "properties": {"a": 1}},
        {"type": "array", "items": {"type": None}},
        {"type": ["string"]},
        [],
    ],
)
def test_a_schema_with_a_fault_is_not_plain(schema):
    assert not is_plain(schema)
