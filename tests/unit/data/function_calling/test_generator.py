"""The generator of function calls: every split and scenario, and what tells the splits apart."""

from __future__ import annotations

import json
from functools import lru_cache

import pytest
from quince.data.function_calling.check.validators import problems
from quince.data.function_calling.generator import demonstrations, rows
from quince.data.function_calling.generator_settings import SPLITS
from quince.data.function_calling.mocks import run
from quince.data.function_calling.plans import MIX
from quince.data.function_calling.say.library import load_library
from quince.data.function_calling.say.masking import is_unseen_name
from quince.data.rows import RowError, check_rows
from quince.data.sources import load_demonstrations, load_rows

SIZE = 150
DECISIONS = {
    "missing": {"ask"},
    "irrelevant": {"refuse"},
    "no_tools": {"refuse"},
    "chat": {"answer"},
    "result_answer": {"answer"},
    "tool_error": {"answer", "call"},
}


@lru_cache
def sample(split: str, **options) -> list[dict]:
    return rows(split, SIZE, **options)


def user_texts(row: dict) -> set[str]:
    messages = row.get("prompt") or row["messages"]
    return {message["content"] for message in messages if message["role"] == "user"}


def tool_names(row: dict) -> list[str]:
    return [tool["function"]["name"] for tool in json.loads(row["tools"])]


def gold(row: dict) -> dict:
    return json.loads(row["gold"])


def provenance(row: dict) -> dict:
    return json.loads(row["provenance"])


@pytest.mark.parametrize("split", SPLITS)
def test_rows_of_every_split_pass_every_validator(split):
    made = check_rows(sample(split), split)
    assert [problem for row in made for problem in problems(row, execute=run)] == []
    assert len({row["scenario"] for row in made}) >= len(MIX) - 2  # the rare ones may not come up
    assert len({(*sorted(user_texts(row)), *sorted(provenance(row)["tool_ids"])) for row in made}) == SIZE


@pytest.mark.parametrize("scenario", MIX)
def test_a_scenario_has_its_decisions(scenario):
    made = rows("train", 40, scenarios=[scenario])
    assert {gold(row)["decision"] for row in made} == DECISIONS.get(scenario, {"call"})
    assert {row["language"] for row in made} == {"en", "bg"}
    if scenario.startswith("parallel"):
        assert all(len(gold(row)["calls"]) > 1 for row in made)
    if scenario == "no_tools":
        assert all(tool_names(row) == [] for row in made)
    if scenario == "sequential":
        assert all([message["role"] for message in row["prompt"]] == ["user", "assistant", "tool"] for row in made)
    if scenario == "follow_up":
        assert all([message["role"] for message in row["prompt"]] == ["user", "assistant", "user"] for row in made)


def test_rows_do_not_depend_on_how_many_follow():
    assert rows("train", 20, seed=3) == rows("train", 60, seed=3)[:20]
    assert rows("train", 20, seed=3) != rows("train", 20, seed=4)


def test_arguments_are_json_strings_and_text_is_not_escaped():
    for row in demonstrations("train", SIZE):
        calls = [call for message in row["messages"] for call in message.get("tool_calls", ())]
        assert all(isinstance(json.loads(call["function"]["arguments"]), dict) for call in calls)
        assert "\\u" not in json.dumps(row, ensure_ascii=False)


@lru_cache
def training_texts() -> frozenset[str]:
    made = (*rows("train", 600), *demonstrations("train", 600))
    return frozenset().union(*(user_texts(row) for row in made))


@pytest.mark.parametrize("split", [split for split in SPLITS if split != "train"])
def test_no_text_of_training_is_in_another_split(split):
    shared = training_texts().intersection(frozenset().union(*map(user_texts, sample(split))))
    assert sorted(shared) == []


def values_of(made: list[dict]) -> set[tuple[str, str]]:
    """Kind and value of everything said, but for the kinds that are lists of words in the packs."""
    slots = load_library().slots
    found = set()
    for row in made:
        for intent in provenance(row)["intents"]:
            for slot in intent["slots"].values():
                kind = slots.get(slot["rule"])
                if kind and kind.sampler not in ("lexicon", "boolean", "list", "object"):
                    found.add((kind.name, json.dumps(slot["value"])))
    return found


def test_the_split_values_has_values_of_its_own():
    # A default that is said on purpose is no open value; lists and objects are made of such values.
    shared = values_of(rows("train", 600)) & values_of(sample("values"))
    assert sorted(shared) == []


def test_the_split_paraphrases_has_wordings_of_its_own():
    training = {tuple(provenance(row)["rule_ids"]) for row in rows("train", 600)}
    held_out = [provenance(row)["rule_ids"] for row in sample("paraphrases")]
    shared = training & set(map(tuple, held_out))
    assert sorted(shared) == []
    new_in_training = [rules for rules in training if any("/x_" in rule for rule in rules)]
    assert new_in_training == []
    new = [rules for rules in held_out if any("/x_" in rule for rule in rules)]
    assert 0.3 < len(new) / SIZE < 0.95  # the rest are new combinations of familiar pieces


def test_the_split_tools_asks_for_tools_that_training_never_lists():
    held_out = {tool.id for tool in load_library().tools.values() if tool.held_out}
    assert len(held_out) == 6
    shared = held_out & {name for row in sample("train") for name in tool_names(row)}
    assert shared == set()
    for row in sample("tools"):
        wanted = [intent["tool"] for intent in provenance(row)["intents"]]
        assert held_out.intersection(wanted) or row["scenario"] == "chat"


def test_the_split_names_has_no_name_of_the_library():
    tools = load_library().tools
    known = set(tools) | {name for tool in tools.values() for name in tool.parameters}
    for row in sample("names"):
        listed = [tool["function"] for tool in json.loads(row["tools"])]
        names = {function["name"] for function in listed}
        names |= {name for function in listed for name in function["parameters"]["properties"]}
        assert known & names == set()
        assert all(map(is_unseen_name, names))
    for row in rows("train", 50, masking=1.0):
        assert not any(map(is_unseen_name, tool_names(row)))


def test_the_split_more_tools_lists_more_tools():
    sizes = {len(tool_names(row)) for row in sample("more_tools") if row["scenario"] != "no_tools"}
    assert min(sizes) >= 9
    assert max(sizes) == 20
    assert max(len(tool_names(row)) for row in sample("train")) <= 8


def test_the_split_language_uses_the_other_packs():
    assert {row["language"] for row in sample("language")} == {"de"}
    assert {row["language"] for row in rows("language", 30, languages=("en", "de"))} == {"bg"}


def test_look_alikes_are_listed_for_selection_and_often_for_refusal():
    near = load_library().near
    for scenario, share in (("selection", 1.0), ("irrelevant", 0.6)):
        made = rows("train", 60, scenarios=[scenario])
        wanted = [provenance(row)["intents"][0]["tool"] for row in made]
        hits = [set(near[tool]) & set(tool_names(row)) for tool, row in zip(wanted, made, strict=True)]
        assert sum(map(bool, hits)) / len(hits) >= share


def test_masking_grows_over_a_curriculum():
    made = demonstrations("train", 200, masking=1.0, masking_start=0.0)
    masked = [bool(provenance(row)["masked"]) for row in made if tool_names(row)]
    quarter = len(masked) // 4
    assert sum(masked[:quarter]) < quarter / 3 < 2 * quarter / 3 < sum(masked[-quarter:])


def test_several_requests_share_one_list_of_tools():
    made = demonstrations("train", 100, requests=4)
    counts = {sum(message["role"] == "user" for message in row["messages"]) for row in made}
    assert {1, 2, 3, 4} <= counts
    for row in made:
        calls = [call for message in row["messages"] for call in message.get("tool_calls", ())]
        assert {call["function"]["name"] for call in calls} <= set(tool_names(row))
        assert row["messages"][-1]["role"] == "assistant"


def test_the_last_turn_of_a_demonstration_is_its_gold():
    for row in demonstrations("train", SIZE, requests=3, masking=0.5):
        turn = row["messages"][-1]
        calls = [
            {"name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}
            for call in turn.get("tool_calls", ())
        ]
        assert calls == gold(row)["calls"]


def test_options_of_names_descriptions_and_noise():
    mixed = rows("train", SIZE, name_style="mixed")
    names = {name for row in mixed for name in tool_names(row)}
    assert {"get_weather", "getWeather", "get.weather", "get-weather"} <= names
    described = [row for row in rows("train", 60, descriptions="target") if row["language"] == "bg"]
    text = " ".join(row["tools"] for row in described)
    assert "Времето" in text and "Weather now" not in text
    plain, noisy = rows("train", SIZE, seed=9), rows("train", SIZE, seed=9, noise=1.0)
    assert sum(map(user_texts_differ, plain, noisy)) > SIZE / 2
    assert [problem for row in noisy for problem in problems(row, execute=run)] == []


def user_texts_differ(one: dict, other: dict) -> bool:
    return user_texts(one) != user_texts(other)


def test_the_sources_know_the_generator():
    assert len(load_rows("function_calls", split="train", size=5)) == 5
    assert load_demonstrations("function_calls", split="train", size=5)[0]["messages"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "tran"}, "split · found 'tran'"),
        ({"languages": ("en", "xx")}, "languages · found 'xx'"),
        ({"scenarios": ["singel"]}, "scenarios · found 'singel'"),
        ({"descriptions": "bg"}, "descriptions · found 'bg'"),
        ({"name_style": "pascal"}, "name_style · found 'pascal'"),
        ({"min_tools": 5, "max_tools": 2}, "found 5, 2"),
        ({"noise": 2.0}, "noise · found 2.0"),
        ({"split": "language", "languages": ("en", "bg", "de")}, "found no other pack"),
        ({"scenarios": ["no_tools"], "min_tools": 0, "max_tools": 0, "size": 5, "split": "trains"}, "split"),
    ],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(RowError, match=message):
        rows(**options)
