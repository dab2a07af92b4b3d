"""The adapters on every row of the public sets, where a folder with them is named by QUINCE_DATA."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from quince.data.function_calling.adapters import bfcl
from quince.data.function_calling.check.schema import argument_problems, check_tool, from_bfcl, function_of, to_bfcl
from quince.data.sources import load_demonstrations, load_rows

DATA = Path(os.environ.get("QUINCE_DATA") or "/nonexistent")


def needs(name):
    return pytest.mark.skipif(not (DATA / name).is_dir(), reason=f"no {name} in QUINCE_DATA")


def gold(row):
    return json.loads(row["gold"])


@needs("bfcl_v4")
@pytest.mark.parametrize(
    ("split", "count", "misfits"),
    [
        ("simple_python", 400, 1),
        ("simple_java", 100, 10),
        ("simple_javascript", 50, 8),
        ("multiple", 200, 0),
        ("parallel", 200, 0),
        ("parallel_multiple", 200, 4),
        ("live_simple", 258, 22),
        ("live_multiple", 1053, 48),
        ("live_parallel", 16, 1),
        ("live_parallel_multiple", 24, 2),
    ],
)
def test_bfcl_calls(split, count, misfits):
    """Gold calls that break their own schema are the set's errors; their number is pinned."""
    rows = load_rows("bfcl", split=split)
    assert len(rows) == count
    broken = set()
    for row in rows:
        parameters = {function_of(tool)["name"]: function_of(tool)["parameters"] for tool in json.loads(row["tools"])}
        for call in gold(row)["calls"]:
            if argument_problems(call["arguments"], parameters[call["name"]]):
                broken.add(row["id"])
    assert len(broken) == misfits


@needs("bfcl_v4")
def test_bfcl_without_calls_and_groups():
    assert len(load_rows("bfcl", split="irrelevance")) == 240
    rows = load_rows("bfcl", split="live_irrelevance")
    assert len(rows) == 884 and all(gold(row)["decisions"] for row in rows)
    assert {gold(row)["decision"] for row in load_rows("bfcl", split="live_relevance")} == {"call"}
    assert len(load_rows("bfcl", split="single_turn")) == 2501 + 240 + 884
    assert len(bfcl.GROUPS["non_live"]) == 6 and len(bfcl.GROUPS["live"]) == 4


@needs("bfcl_v4")
def test_bfcl_documents_there_and_back():
    for file in sorted((DATA / "bfcl_v4" / "multi_turn_func_doc").glob("*.json")):
        for line in file.read_text(encoding="utf-8").splitlines():
            check_tool(from_bfcl(json.loads(line)), file.name)
    for row in load_rows("bfcl", split="multiple"):
        for tool in json.loads(row["tools"]):
            assert from_bfcl(to_bfcl(tool))["function"]["parameters"]["properties"].keys() == (
                tool["function"]["parameters"]["properties"].keys()
            )


@needs("when2call")
def test_when2call():
    rows = load_rows("when2call", split="test")
    decisions = [gold(row)["decision"] for row in rows]
    assert {decision: decisions.count(decision) for decision in decisions} == {"call": 100, "ask": 100, "refuse": 100}
    for row in rows:
        names = {function_of(tool)["name"] for tool in json.loads(row["tools"])}
        assert all(call["name"] in names for call in gold(row)["calls"])


@needs("tau_bench")
def test_tau_bench():
    assert len(load_demonstrations("tau_bench", split="airline")) == 84
    rows = load_demonstrations("tau_bench", split="airline", solved=False)
    assert len(rows) == 200 and not any("###STOP###" in json.dumps(row) for row in rows)
    assert len(load_demonstrations("tau_bench", split="airline_few_shot")) == 19
    assert len(load_demonstrations("tau_bench", split="retail_few_shot")) == 68
