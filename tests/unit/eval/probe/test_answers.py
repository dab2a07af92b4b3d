"""Which outputs of an answer are right, read like the rows."""

import json

import numpy as np
import pytest
from quince.data.function_calling.generator import rows
from quince.data.function_calling.wire.calls import Call
from quince.data.function_calling.wire.formats import render_calls
from quince.data.sources import load_rows
from quince.eval.probe.answers import Reply, answered_call, output_accuracy
from quince.eval.probe.read.slot_rows import Placed, read_tables
from quince.eval.probe.read.slot_schema import load_schema


def scenario(name):
    return next(row for row in rows("train", 400, 1, max_tools=4) if row["scenario"] == name)


def gold_calls(row):
    return [Call(call["name"], call["arguments"]) for call in json.loads(row["gold"])["calls"]]


def right_outputs(row, *texts, schema="function_calls"):
    """Shares of right outputs of one request by name, without those that it lacks."""
    loaded = load_schema(schema)
    (table,) = read_tables(loaded, [Placed("row", row)])
    shares = tuple((text, 1 / len(texts)) for text in texts)
    found = output_accuracy(table, {row["id"]: Reply(0.0, shares)})[0]
    return {output.name: value for output, value in zip(loaded.outputs, found, strict=True) if not np.isnan(value)}


@pytest.mark.parametrize("name", ["single", "optional", "parallel_different", "parallel_same", "sequential"])
def test_gold_calls_are_right_in_every_output_and_any_order(name):
    row = scenario(name)
    calls = gold_calls(row)
    for order in (calls, calls[::-1]):
        assert set(right_outputs(row, render_calls(order)).values()) == {1.0}


def test_a_wrong_value_leaves_tool_and_argument_names_right():
    row = scenario("single")
    (call,) = gold_calls(row)
    changed = Call(call.name, dict.fromkeys(call.arguments, "something else"))
    found = right_outputs(row, render_calls([changed]))
    assert found["decision"] == found["first tool"] == found["arguments of the first"] == 1


def test_a_missing_argument_leaves_the_tool_right():
    row = scenario("single")
    (call,) = gold_calls(row)
    found = right_outputs(row, render_calls([Call(call.name, {})]))
    assert found["first tool"] == found["number of calls"] == 1 and found["arguments of the first"] == 0


def test_another_tool_is_a_call_all_the_same():
    row = scenario("selection")
    other = next(
        tool["function"]["name"]
        for tool in json.loads(row["tools"])
        if tool["function"]["name"] != gold_calls(row)[0].name
    )
    found = right_outputs(row, render_calls([Call(other, {})]))
    assert found["decision"] == found["number of calls"] == 1 and found["first tool"] == 0


def test_words_where_a_call_is_right_are_wrong_in_every_output():
    row = scenario("single")
    assert set(right_outputs(row, "Which city do you mean?").values()) == {0.0}
    assert set(right_outputs(row, "").values()) == {0.0}
    assert answered_call(row, "") is None


def test_an_output_that_the_request_lacks_is_not_judged():
    found = right_outputs(scenario("single"), "hello")
    assert "second tool" not in found and "first tool" in found


def test_shares_of_sampled_answers_add_up():
    row = scenario("single")
    found = right_outputs(row, render_calls(gold_calls(row)), "")
    assert set(found.values()) == {0.5}


def test_queries_are_read_like_the_rows():
    row = load_rows("sql_idioms", split="train", size=1)[0]
    assert set(right_outputs(row, row["gold_sql"], schema="sql").values()) == {1.0}
    assert 0.0 in right_outputs(row, "select 1", schema="sql").values()


def test_readers_of_plain_rows_have_no_answers_to_read(tmp_path):
    schema = tmp_path / "s.yaml"
    schema.write_text("name: t\nslots: [{name: a, path: a}, {name: b, path: b}]\noutputs: [{name: o, path: o}]\n")
    (table,) = read_tables(load_schema(str(schema)), [Placed("row", {"id": "x", "a": "1", "b": "1", "o": "2"})])
    assert output_accuracy(table, {}) is None
