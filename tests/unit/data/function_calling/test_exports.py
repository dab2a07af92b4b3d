from __future__ import annotations

import json
from pathlib import Path

import pytest
from quince.data.function_calling.adapters import exports
from quince.data.function_calling.check.schema import from_bfcl, openai_tool
from quince.data.rows import RowError
from quince.data.sources import load_rows

ROOT = {"root": str(Path(__file__).parents[2] / "fixtures" / "function_calling")}
TOOL = openai_tool(
    "fare",
    "Fare.",
    {
        "type": "object",
        "properties": {
            "to": {"type": "string"},
            "class": {"type": "integer", "default": 2},
            "who": {"type": "object", "properties": {"age": {"type": "number"}}},
        },
        "required": ["to"],
    },
)


def row(gold, prompt=({"role": "user", "content": "?"},), **columns):
    return {
        "id": "r",
        "task": "function_call",
        "scenario": "",
        "prompt": list(prompt),
        "tools": json.dumps([TOOL]),
        "gold": json.dumps(gold),
        **columns,
    }


def call(**arguments):
    return {"decision": "call", "calls": [{"name": "fare", "arguments": arguments}]}


def test_tucan_eval_there_and_back(tmp_path):
    rows = load_rows("tucan_eval", split="test", path="tucan_eval.json", **ROOT)
    samples, left_out = exports.tucan_eval_samples(rows)
    assert left_out == [] and len(samples) == len(rows)
    (tmp_path / "samples.json").write_text(json.dumps(samples, ensure_ascii=False), encoding="utf-8")
    again = load_rows("tucan_eval", split="test", path="samples.json", root=str(tmp_path))
    assert again == rows
    assert "null" not in (tmp_path / "samples.json").read_text(encoding="utf-8")


def test_tucan_eval_takes_single_turns_with_one_call():
    two = call(to="Русе")
    two["calls"] *= 2
    system = [{"role": "system", "content": "s"}, {"role": "user", "content": "?"}]
    rows = [row(call(to="Русе")), row(two), row(call(to="Русе"), prompt=system), row({"decision": "ask", "calls": []})]
    samples, left_out = exports.tucan_eval_samples(rows)
    assert len(samples) == 2 and len(left_out) == 2
    assert samples[0]["expected_behavior"] == {
        "should_call_function": True,
        "expected_function": "fare",
        "expected_parameters": {"to": "Русе"},
    }
    assert samples[1]["scenario_type"] == "missing_required_parameters"


def test_mcp_listing():
    listing = exports.mcp_listing([TOOL, TOOL])
    assert [tool["name"] for tool in listing["tools"]] == ["fare"] and "inputSchema" in listing["tools"][0]
    with pytest.raises(RowError, match="found two tools named 'fare'"):
        exports.mcp_listing([TOOL, openai_tool("fare", "Other.", None)])


def test_bfcl_question_and_answer():
    made = row(call(to="Русе", who={"age": 7}) | {"accepted": [{"to": ["Ruse"]}]})
    question = exports.bfcl_question(made)
    assert question["question"] == [[{"role": "user", "content": "?"}]]
    assert question["function"][0]["parameters"]["type"] == "dict"
    assert from_bfcl(question["function"][0])["function"]["name"] == "fare"
    # A default is the same call whether it is stated or left out.
    assert exports.bfcl_answer(made) == {
        "id": "r",
        "ground_truth": [{"fare": {"to": ["Русе", "Ruse"], "who": [{"age": [7]}], "class": ["", 2]}}],
    }
    assert exports.bfcl_answer(row(call(to="a", **{"class": 2})))["ground_truth"][0]["fare"]["class"] == [2, ""]
    assert exports.bfcl_answer(row(call(to="a", **{"class": 1})))["ground_truth"][0]["fare"]["class"] == [1]
    with pytest.raises(RowError, match="found decision 'ask'"):
        exports.bfcl_answer(row({"decision": "ask", "calls": []}))
