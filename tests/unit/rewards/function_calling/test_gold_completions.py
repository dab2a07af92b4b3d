"""What the rewards name as gold is judged correct, and what they name as near misses is not."""

import os
from pathlib import Path

import pytest
from quince.data.function_calling.generator import demonstrations, rows
from quince.data.function_calling.wire.formats import FORMATS
from quince.data.sources import load_rows
from quince.rewards.function_calling.bfcl import BfclCall
from quince.rewards.function_calling.function_call import FunctionCall

CALL = ["single", "selection", "optional", "parallel_same", "parallel_different"]


def assert_known(reward, row):
    gold, misses = reward.gold_completion(row), reward.near_misses(row)
    assert gold is None or reward.judge(gold, row).outcome == "correct", (row["id"], gold)
    assert [miss for miss in misses if reward.judge(miss, row).outcome == "correct"] == []
    return gold, misses


@pytest.mark.parametrize("format", FORMATS)
def test_function_calls_name_gold_and_near_misses(format):
    made = rows("train", 40, languages=("en", "bg", "de"), scenarios=CALL)
    for row in made:
        gold, misses = assert_known(FunctionCall(format, "graded"), row)
        assert gold and len(misses) > 2
    talks = [row | {"prompt": row["messages"][:-1]} for row in demonstrations("train", 40)]
    for row in talks:
        gold, _ = assert_known(FunctionCall(format), {k: v for k, v in row.items() if k != "messages"})
        assert (gold is None) == ('"decision": "call"' not in row["gold"])


def test_rows_without_a_right_turn_have_no_gold():
    bare = {"id": "a", "task": "function_call", "prompt": [{"role": "user", "content": "Hi"}]}
    assert FunctionCall().gold_completion(bare) is None and FunctionCall().near_misses(bare) == []
    refusal = bare | {"gold": '{"decision": "refuse"}'}
    assert FunctionCall().gold_completion(refusal) is None and "" in FunctionCall().near_misses(refusal)


def test_bfcl_names_gold_and_near_misses():
    root = str(Path(__file__).parents[2] / "fixtures" / "function_calling")
    for split in ("simple_python", "irrelevance", "live_irrelevance"):
        for row in load_rows("bfcl", split=split, root=root):
            gold, _ = assert_known(BfclCall(), row)
            assert (gold is not None) == (split == "simple_python")


@pytest.mark.skipif("QUINCE_DATA" not in os.environ, reason="needs the public sets")
def test_the_gold_of_bfcl_is_accepted():
    asked = load_rows("bfcl", split="single_turn", size=400)
    for reward in (BfclCall(), FunctionCall()):
        for row in asked:
            assert_known(reward, row)
