from __future__ import annotations

import os
from typing import Any

import pyarrow
import pytest
from quince.data.cache import cache_dir, write_atomic
from quince.data.rows import RowError, check_row, check_rows
from quince.data.sources import SOURCES, load_demonstrations, load_rows

GOOD = {"id": "a", "task": "t", "prompt": [{"role": "user", "content": "hi"}]}


def test_a_good_row_passes_unchanged() -> None:
    assert check_row(GOOD, "here") == GOOD
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    check_row({"id": "a", "task": "t", "messages": [call], "tools": "[]"}, "here")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "here · id"),
        ({"task": 3}, "here · task"),
        ({"prompt": None}, "found neither"),
        ({"messages": GOOD["prompt"]}, "found prompt and messages"),
        ({"prompt": "hi"}, "non-empty list of messages"),
        ({"prompt": []}, "non-empty list of messages"),
        ({"prompt": [{"role": "robot", "content": "x"}]}, "prompt[0] · role · found 'robot'"),
        ({"prompt": [{"role": "user", "content": 3}]}, "prompt[0] · content"),
        ({"tools": [{}]}, "JSON string"),
        ({"tools": "{"}, "JSON string"),
        ({"tools": "[1]"}, "JSON string"),
    ],
)
def test_a_malformed_row_is_named(change: dict, message: str) -> None:
    with pytest.raises(RowError) as error:
        check_row({**GOOD, **change}, "here")
    assert message in str(error.value)


def test_ids_are_unique() -> None:
    with pytest.raises(RowError, match=r"rows\[1\] · id · 'a' is also the id of row 0"):
        check_rows([GOOD, GOOD], "rows")


def test_unknown_source_and_option_get_a_suggestion() -> None:
    with pytest.raises(RowError, match="did you mean 'sql_idioms'"):
        load_rows("sql_idiom", split="train")
    with pytest.raises(RowError, match="did you mean 'size'"):
        load_rows("strategies", split="train", sizes=3)
    with pytest.raises(RowError, match="options are split"):
        load_rows("gsm8k")


@pytest.mark.parametrize("kind", ["sql_idioms", "strategies", "countdown"])
def test_generated_sources_load(kind: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("QUINCE_CACHE", str(tmp_path))
    assert len(load_rows(kind, split="train", size=5, seed=1)) == 5
    assert len(load_demonstrations(kind, split="pretrain", size=5)) == 5


def test_write_atomic_replaces_and_leaves_nothing_else(tmp_path) -> None:
    target = tmp_path / "deep" / "file.txt"
    write_atomic(target, "old")
    write_atomic(target, b"new")
    assert target.read_text() == "new"
    assert os.listdir(target.parent) == ["file.txt"]


def test_cache_dir_follows_the_environment(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("QUINCE_CACHE", str(tmp_path / "c"))
    assert cache_dir() == tmp_path / "c"


def test_everyday_text_is_only_for_pretraining() -> None:
    assert "everyday" not in SOURCES
    rows = load_demonstrations("everyday", split="pretrain", size=5)
    assert rows == load_demonstrations("everyday", split="pretrain", size=5)
    assert all("<tool_call>" in row["messages"][1]["content"] for row in rows)


def calling(**changes: Any) -> dict[str, Any]:
    function = {"name": "clock", "arguments": '{"zone": "UTC"}'} | changes
    turn = {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": function}]}
    return {"id": "a", "task": "t", "messages": [{"role": "user", "content": "hi"}, turn]}


def test_calls_are_well_formed() -> None:
    assert check_row(calling(), "here") == calling()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"arguments": {"zone": "UTC"}},
            r"messages\[1\] · tool_calls\[0\] · arguments · found .* · give a JSON string",
        ),
        ({"arguments": "{zone"}, "arguments · found '{zone'"),
        ({"arguments": "[1]"}, "give a JSON string of an object"),
        ({"arguments": None}, "arguments · found None"),
        ({"name": ""}, "name · found '' · give the name of the tool"),
    ],
)
def test_a_malformed_call_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        check_row(calling(**changes), "here")


def test_only_the_assistant_calls() -> None:
    row = calling()
    row["messages"][1]["role"] = "user"
    with pytest.raises(RowError, match="in assistant messages only"):
        check_row(row, "here")


def test_rows_with_one_and_with_several_gold_queries_are_one_table() -> None:
    base = {"task": "t", "prompt": [{"role": "user", "content": "hi"}]}
    one, several, other = {"gold_sql": "SELECT 1"}, {"gold_sql": ["SELECT 2", "SELECT 3"]}, {}
    rows = check_rows([base | gold | {"id": str(i)} for i, gold in enumerate((one, several, other))], "here")
    assert [row.get("gold_sql") for row in rows] == [["SELECT 1"], ["SELECT 2", "SELECT 3"], None]
    assert pyarrow.Table.from_pylist(rows).num_rows == 3
    assert check_rows([base | one | {"id": "0"}], "here")[0]["gold_sql"] == "SELECT 1"
