"""The split: which prompts are near-perfect, which answers are stored, and when a split is used again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from quince.data.rows import check_rows
from quince.eval.engines.base import Completion
from quince.recipes.parts.loading import load_training_and_old
from quince.recipes.rlvr.split import (
    Draw,
    SplitResult,
    confirmed,
    describe,
    ensure_split,
    max_tokens,
    needs_split,
    split_folder,
    store_rows,
)

ROWS = [
    {"id": name, "task": "t", "prompt": [{"role": "user", "content": name}], "accepted": '["ok"]'}
    for name in ("never", "seldom", "often", "always")
]
COUNTS = [0, 1, 3, 4]
"""Right answers of 4 of each row."""


def answer(text: str, finish: str = "stop") -> Completion:
    return Completion(text, (len(text), 7), (-0.5, -0.25), finish)


class Scripted:
    """An engine that gives the answers it was told to, one list for each call."""

    name = "scripted"

    def __init__(self, *draws: list[list[Completion]]) -> None:
        self.draws, self.calls = list(draws), []

    def generate(self, prompts, sampling):
        self.calls.append((prompts, sampling))
        return self.draws.pop(0)


@pytest.fixture
def recipe(toy):
    return lambda *overrides: toy("rewards=[{kind: exact_match}]", *overrides).recipe


@pytest.fixture
def tokenizer(toy_model):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(toy_model)


def candidates(section):
    return [row for row, count in zip(ROWS, COUNTS, strict=True) if count >= section.threshold]


def first_draw():
    return [
        [(answer(f"{row['id']} {n}"), n < count) for n in range(4)] for row, count in zip(ROWS, COUNTS, strict=True)
    ]


def test_fresh_answers_decide_what_is_stored(recipe, tokenizer):
    chosen = recipe("split.threshold=3", "split.samples_per_prompt=2")
    fresh = [[answer("bad"), answer("ok")], [answer("bad"), answer("bad")]]
    engine = Scripted(fresh)
    found = candidates(chosen.split)
    answers = confirmed(Draw(chosen, engine, tokenizer), found, chosen.split, first_draw(), ROWS, seed=5)
    assert [row["id"] for row in found] == ["often", "always"]
    assert answers == [[answer("ok")], []]
    ((prompts, sampling),) = engine.calls
    assert (sampling.n, sampling.temperature, sampling.top_p, sampling.max_tokens) == (2, 1.0, 1.0, 8)
    assert sampling.seed != 5
    stored, ids = store_rows(found, answers, lambda row: prompts[0])
    assert ids == ["often"]
    assert stored[0].prompt_ids.tolist() == prompts[0]
    assert stored[0].completion_ids.tolist() == [2, 7]
    assert stored[0].log_probs.tolist() == [-0.5, -0.25]


def test_without_confirmation_the_first_right_answers_are_stored(recipe, tokenizer):
    chosen = recipe("split.threshold=3", "split.confirm=false", "split.samples_per_prompt=2")
    draw = Draw(chosen, Scripted(), tokenizer)
    answers = confirmed(draw, candidates(chosen.split), chosen.split, first_draw(), ROWS, seed=5)
    assert [[a.text for a in row] for row in answers] == [["often 0", "often 1"], ["always 0", "always 1"]]


def test_an_answer_cut_off_at_the_limit_takes_no_place_in_the_store(recipe, tokenizer):
    chosen = recipe("split.threshold=3")
    engine = Scripted([[answer("ok", "length")], [answer("ok")]])
    answers = confirmed(Draw(chosen, engine, tokenizer), candidates(chosen.split), chosen.split, [], ROWS, seed=0)
    assert answers == [[], [answer("ok")]]
    first = [[(answer("cut", "length"), True), (answer("whole"), True)]]
    one = recipe("split.threshold=1", "split.confirm=false").split
    assert confirmed(Draw(chosen, engine, tokenizer), ROWS[:1], one, first, ROWS[:1], 0) == [[answer("whole")]]


@pytest.mark.parametrize(("policy", "dropped"), [("keep", []), ("drop", ["never"])])
def test_every_prompt_goes_to_one_place(recipe, policy, dropped):
    section = recipe("split.threshold=3", f"split.all_wrong={policy}").split
    record = describe(ROWS, COUNTS, {"always"}, section)
    assert record["near_perfect"] == ["always"]
    assert record["explore"] == [name for name in ("never", "seldom", "often") if name not in dropped]
    assert record["dropped"] == dropped
    assert record["candidates"] == 2
    assert record["sizes"] == {"near_perfect": 1, "explore": 3 - len(dropped), "dropped": len(dropped)}
    assert record["right_of_rollouts"] == {"never": 0, "seldom": 1, "often": 3, "always": 4}


def test_an_answer_is_right_if_every_reward_that_judges_it_says_so(recipe, tokenizer):
    chosen = recipe(
        "rewards=[{kind: exact_match}, {kind: format, pattern: 'o.*'}, {kind: format, pattern: never, weight: 0.0}]"
    )
    texts = ["ok", "on", "no"]
    draw = Draw(chosen, Scripted([[answer(text) for text in texts]] * 2), tokenizer)
    strict, lenient = ROWS[0], {name: value for name, value in ROWS[1].items() if name != "accepted"}
    judged = draw([strict, lenient], 3, seed=0)
    assert [[right for _, right in row] for row in judged] == [[True, False, False], [True, True, False]]


@pytest.mark.parametrize("override", ["split.rollouts=8", "split.threshold=1", "split.confirm=false", "seed=1"])
@pytest.mark.parametrize("base", [[], ["split.max_tokens=5"]])
def test_settings_that_decide_a_split_name_its_folder(recipe, override, base):
    assert split_folder(recipe(*base), ROWS) == split_folder(recipe(*base), ROWS)
    assert split_folder(recipe(*base, override), ROWS) != split_folder(recipe(*base), ROWS)


def test_rows_rewards_lengths_and_chat_format_name_the_folder(recipe, tmp_path):
    template = tmp_path / "chat.jinja"
    template.write_text("{{ messages[0].content }}")
    usual = split_folder(recipe(), ROWS)
    assert split_folder(recipe(), ROWS[:3]) != usual
    for override in (
        "rewards=[{kind: format, pattern: a}]",
        "trainer.max_completion_length=9",
        "trainer.chat_template_kwargs={enable_thinking: false}",
        f"model.chat_template={template}",
    ):
        assert split_folder(recipe(override), ROWS) != usual, override
    for override in ("split.train_on=exp", "trainer.learning_rate=0.5", "divergence={kind: nll, weight: 1.0}"):
        assert split_folder(recipe(override), ROWS) == usual, override


@pytest.mark.parametrize(("overrides", "tokens"), [([], 8), (["split.max_tokens=3"], 3)])
def test_answers_are_as_long_as_in_training_unless_the_split_says(recipe, overrides, tokens):
    assert max_tokens(recipe(*overrides)) == tokens


@pytest.mark.parametrize(
    ("train_on", "divergence", "needed"),
    [
        ("all", "{kind: none}", False),
        ("exp", "{kind: none}", True),
        ("all", "{kind: forward_kl, weight: 1.0}", True),
        ("all", "{kind: reverse_kl, on: rollouts, weight: 1.0, estimator: k2_loss}", False),
        ("all", "{kind: jensen_shannon_definition, weight: 1.0}", True),
    ],
)
def test_a_split_is_made_only_where_it_is_used(recipe, train_on, divergence, needed):
    assert needs_split(recipe(f"split.train_on={train_on}", f"divergence={divergence}")) == needed


def test_a_split_is_made_once_and_says_what_made_it(toy, monkeypatch):
    from quince.recipes.parts.loading import load_sources

    chosen = toy("data.0.size=6").recipe
    rows = load_sources(chosen.data)
    made = ensure_split(chosen, rows)
    assert sorted([*made.near_perfect, *made.explore]) == sorted(row["id"] for row in rows)
    record = json.loads((made.folder / "split.json").read_text())
    assert record["origin"]["sampling"]["rollouts"] == 4
    store = json.loads((made.store / "store.json").read_text())
    assert set(store["ids"]) == set(made.near_perfect)
    monkeypatch.setattr("quince.recipes.rlvr.split.make_split", pytest.fail)
    assert ensure_split(chosen, rows) == made
    explore_only = ensure_split(toy("data.0.size=6", "split.train_on=exp").recipe, rows)
    assert [row["id"] for row in explore_only.training_rows(rows)] == list(made.explore)
    assert made.training_rows(rows) == rows


def test_several_processes_do_not_split(toy, monkeypatch):
    from quince.recipes.rlvr.store import StoreError

    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(StoreError, match="run `quince split`"):
        ensure_split(toy().recipe, ROWS)


TEMPLATE = "{{ 'quietly' if quiet else '' }}{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"


@pytest.mark.parametrize("options", [[], ["trainer.chat_template_kwargs={quiet: true}"]])
def test_split_and_training_render_a_prompt_alike(toy, tmp_path, options):
    from quince.recipes.parts.models import load_tokenizer
    from quince.recipes.rlvr.train import build_trainer

    (tmp_path / "chat.jinja").write_text(TEMPLATE)
    loaded = toy(f"model.chat_template={tmp_path / 'chat.jinja'}", *options)
    rows = check_rows(
        [row | {"prompt": [*row["prompt"], {"role": "user", "content": "2 + 3"}]} for row in ROWS], "test"
    )
    draw = Draw(loaded.recipe, Scripted(), load_tokenizer(loaded.recipe.model))
    trainer = build_trainer(loaded)
    trainer.rows = rows
    trained = trainer.generate([row["prompt"] for row in rows])["prompt_ids"]
    assert [draw.prompt(row) for row in rows] == trained
    assert ("quietly" in draw.tokenizer.decode(trained[0])) == bool(options)


def test_old_skills_are_stored_and_not_trained_on(toy):
    loaded = toy("rehearsal.data=[{kind: strategies, size: 5, seed: 9}]")
    rows, old = load_training_and_old(loaded.recipe)
    assert len(old) == 5 and not {row["id"] for row in rows} & {row["id"] for row in old}
    everything = {row["id"] for row in [*rows, *old]}
    result = SplitResult(Path("."), tuple(everything), (), (), "all")
    assert {row["id"] for row in result.training_rows(rows)} == {row["id"] for row in rows}
