"""Corruptions are wrong for their row, in the way that their label says."""

import json
import random
from collections import Counter

import pytest
from quince.data.function_calling.check.corruptions import LABELS, corruptions, preference_rows
from quince.data.function_calling.check.row_view import view
from quince.data.function_calling.check.wrong_calls import is_right
from quince.data.function_calling.generator import demonstrations, rows
from quince.data.function_calling.say.inventions import example, invent
from quince.data.function_calling.wire.calls import Call, of_message
from quince.data.function_calling.wire.formats import render_calls
from quince.data.rows import check_row
from quince.rewards.function_calling.call_scoring import score

LANGUAGES = ("en", "bg", "de")
# What the scorer calls each corruption.
ERRORS = {
    "wrong_tool": {"wrong_tool"},
    "untranslated_enum": {"wrong_value"},
    "untranslated_name": {"wrong_value"},
    "invented_value": {"wrong_value", "unwarranted_call"},
    "extra_null": {"null_argument"},
    "missing_parallel_call": {"missing_call"},
    "extra_call": {"extra_call"},
    "duplicated_call": {"duplicate_call"},
    "missing_argument": {"missing_argument"},
    "unknown_argument": {"unknown_argument"},
    "wrong_type": {"wrong_type"},
    "swapped_arguments": {"wrong_value"},
    "stringified_arguments": {"format"},
    "call_on_irrelevant": {"unwarranted_call"},
    "refusal_when_callable": {"no_call", "wrong_decision"},
    "ask_when_complete": {"no_call", "wrong_slot"},
    "wrong_language": {"wrong_language", "wrong_slot"},
    "empty": {"mute"},
}


@pytest.fixture(scope="module")
def generated():
    prompts = rows(size=250, seed=1, languages=LANGUAGES, masking=0.3)
    return prompts + demonstrations(size=250, seed=1, languages=LANGUAGES, masking=0.3)


def scored(row, message):
    text = message["content"]
    if message.get("tool_calls"):
        text = render_calls(of_message(message), "hermes")
    prompt = row["prompt"] if "prompt" in row else row["messages"][:-1]
    return score(text, row | {"prompt": prompt})


def test_every_corruption_is_wrong_in_its_own_way(generated):
    seen = Counter()
    for row in generated:
        found = corruptions(row, random.Random(row["id"]))
        assert found
        labels = [corruption.label for corruption in found]
        assert labels == sorted(set(labels), key=LABELS.index)
        for corruption in found:
            result = scored(row, corruption.message)
            assert not result.exact, corruption
            assert result.error in ERRORS[corruption.label], (corruption, result.error, row["gold"])
            check_row({"id": "a", "task": "t", "messages": [corruption.message]}, "test")
        seen.update(labels)
    assert set(seen) == set(LABELS) == set(ERRORS)


def test_the_random_state_decides(generated):
    for row in generated[:20]:
        assert corruptions(row, random.Random(3)) == corruptions(row, random.Random(3))


def test_pairs_are_the_right_turn_beside_a_wrong_one(generated):
    talks = [row for row in generated if "messages" in row]
    pairs = preference_rows(talks, seed=2)
    assert pairs == preference_rows(talks, seed=2) != preference_rows(talks, seed=3)
    assert [pair["prompt"] for pair in pairs] == [row["messages"][:-1] for row in talks]
    for row, pair in zip(talks, pairs, strict=True):
        check_row(pair, "test")
        assert pair["chosen"] == row["messages"][-1:]
        assert scored(row, pair["chosen"][0]).exact
        assert not scored(row, pair["rejected"][0]).exact
    counts = Counter(pair["label"] for pair in pairs)
    # Templates drop nulls and write stringified arguments otherwise, so these two are not among them.
    assert set(counts) == set(LABELS) - {"extra_null", "stringified_arguments"}
    assert max(counts.values()) <= 3 * min(counts.values())


def test_pairs_of_prompts_need_a_known_right_turn(generated):
    prompts = [row for row in generated if "prompt" in row]
    calls = [row for row in prompts if json.loads(row["gold"])["calls"]]
    assert [pair["prompt"] for pair in preference_rows(prompts)] == [row["prompt"] for row in calls]


TOOL = {
    "type": "function",
    "function": {
        "name": "book",
        "description": "Book",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "nights": {"type": "integer"},
                "room": {"type": "string", "enum": ["single", "double"], "default": "single"},
            },
            "required": ["city"],
        },
    },
}


def hand_row(decision="call", calls=(), **gold):
    return {
        "id": "hand",
        "task": "function_call",
        "prompt": [{"role": "user", "content": "Book."}],
        "tools": json.dumps([TOOL]),
        "gold": json.dumps({"decision": decision, "calls": list(calls), **gold}),
    }


def by_label(row, seed=0):
    return {found.label: found for found in corruptions(row, random.Random(seed))}


def arguments(corruption):
    return [call.arguments for call in of_message(corruption.message)]


def test_a_default_left_out_is_no_mistake():
    row = hand_row(calls=[{"name": "book", "arguments": {"city": "Rome", "room": "single"}}])
    for seed in range(20):
        found = by_label(row, seed)
        assert arguments(found["missing_argument"]) == [{"room": "single"}]
        assert "nights" in arguments(found["extra_null"])[0] or arguments(found["extra_null"])[0]["room"] is None


def test_accepted_values_are_no_mistakes():
    values = [{"city": "Rome", "room": "single"}]
    row = hand_row(calls=[{"name": "book", "arguments": values[0]}], accepted=[{"room": ["double"]}])
    for seed in range(20):
        assert arguments(by_label(row, seed)["invented_value"])[0]["city"] != "Rome"
    gold = view(row)
    assert is_right(gold, [Call("book", {"city": "ROME ", "room": "double"})])
    assert is_right(gold, [Call("book", {"city": "Rome"})])
    assert not is_right(gold, [Call("book", {"city": "Rome", "nights": 2})])
    assert not is_right(gold, [])


def test_imported_rows_have_corruptions_without_provenance():
    row = hand_row(calls=[{"name": "book", "arguments": {"city": "Rome", "nights": 3}}])
    found = by_label(row)
    assert {"invented_value", "extra_call", "wrong_type", "stringified_arguments", "empty"} <= set(found)
    # Neither a refusal nor a question: which language they would have to be in is not known.
    assert not {"refusal_when_callable", "ask_when_complete", "wrong_language"} & set(found)
    assert "wrong_tool" not in found  # there is no other
    assert set(by_label(hand_row("refuse"))) == {"call_on_irrelevant", "empty"}


def test_further_accepted_decisions_are_no_mistakes():
    row = hand_row("refuse", decisions=["refuse", "call"]) | {"language": "en"}
    assert set(by_label(row)) == {"wrong_language", "empty"}
    any_call = hand_row("call", decisions=["call", "ask", "refuse"]) | {"language": "en"}
    assert set(by_label(any_call)) == {"empty"}


def test_rows_of_unknown_truth_have_none():
    row = hand_row()
    del row["gold"]
    assert corruptions(row, random.Random(0)) == []
    assert preference_rows([row]) == []


@pytest.mark.parametrize(
    "value", ["Rome", "2026-02-28", "2026-13-99", "9999-12-31", "15:30", "", 3, 0, 2.5, True, ["a"], [], {"a": "b"}, {}]
)
def test_an_invented_value_is_another_of_its_type(value):
    for seed in range(20):
        found = invent(value, {}, random.Random(seed))
        assert found != value
        assert type(found) is type(value)


def test_invented_values_keep_to_the_schema():
    rng = random.Random(0)
    assert {invent(5, {"minimum": 4, "maximum": 6}, rng) for _ in range(30)} == {4, 6}
    assert invent("a", {"enum": ["a", "b"]}, rng) == "b"
    nested = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 2}, "f": {"type": "boolean"}}}
    assert example({"type": "array", "items": nested}, rng) == [{"n": 2, "f": True}]
