"""Rows that cannot be judged and prompts that do not fit are found before a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from quince.data.rows import RowError
from quince.recipes.config.model import Model
from quince.recipes.parts.preflight import context_length, fitting, judgeable
from quince.rewards.base import Reward, Verdict

JUDGED: list[str] = []
FLAKY = {"down": True}


@dataclass(frozen=True)
class Twice(Reward):
    """1 for twice the number of a row; a row that says so breaks it."""

    name = "twice"
    columns = ("number",)
    option: int = 0

    def gold_completion(self, row):
        return None if row["number"] == "open" else str(2 * int(row["number"]))

    def judge(self, completion, row):
        JUDGED.append(row["id"])
        if row.get("server") and FLAKY["down"]:
            raise OSError("no server")
        if row.get("hard"):
            return Verdict(0.5, "wrong", "half of it")
        if row["number"] == "open":
            return Verdict(None, "skipped", "no gold") if row.get("empty") else Verdict(0.0, "wrong")
        return Verdict(float(completion == str(2 * int(row["number"]))), "correct")


@dataclass(frozen=True)
class Plain(Reward):
    """Has columns and names no gold."""

    name = "plain"
    columns = ("text",)

    def judge(self, completion, row):
        raise AssertionError("it has no gold answer to try")


def row(name, **columns):
    return {"id": name, "task": "t", "prompt": [{"role": "user", "content": name}], **columns}


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    monkeypatch.setenv("QUINCE_CACHE", str(tmp_path))
    JUDGED.clear()
    FLAKY["down"] = True


GOOD = [row(str(i), number=i) for i in range(20)]


def test_every_good_row_is_kept_and_judged_once():
    assert judgeable(GOOD, [Twice()], 0.0, "data") == GOOD
    assert len(JUDGED) == 20
    assert judgeable(GOOD[5:], [Twice()], 0.0, "data") == GOOD[5:]
    assert len(JUDGED) == 20, "what was found is remembered"
    judgeable(GOOD, [Twice(option=1)], 0.0, "data")
    judgeable([GOOD[0] | {"number": 7}], [Twice()], 0.0, "data")
    assert len(JUDGED) == 41, "of another reward and of another row nothing is known"


BAD = {
    "gold fails": (row("x", number="seven"), "twice cannot read it .ValueError"),
    "gold earns less": (row("x", number=1, hard=True), r"its gold answer earns 0\.5 of 1 by twice .wrong: half of it"),
    "judge fails": (row("x", number=1, server=True), r"its gold answer is not judged by twice .error: .*OSError"),
    "column missing": (row("x", number=None), "no reward can read it .twice needs number"),
    "no gold": (row("x", number="open", empty=True), "an answer is not judged by twice .skipped: no gold"),
}


@pytest.mark.parametrize(("bad", "words"), BAD.values(), ids=BAD)
def test_a_row_that_cannot_be_judged_is_left_out_with_its_reason(bad, words, capsys):
    for _ in range(2):
        assert judgeable([*GOOD, bad], [Twice()], 0.1, "data") == GOOD
        assert "1 of 21" in (said := capsys.readouterr().out) and "x: " in said
    with pytest.raises(
        RowError, match=rf"^data · rows that cannot be judged: 1 of 21 · x: {words}.*max_unjudgeable is 0"
    ):
        judgeable([*GOOD, bad], [Twice()], 0.0, "data")


def test_three_reasons_are_shown_and_all_are_counted():
    bad = [row(f"x{i}", number=None) for i in range(5)]
    with pytest.raises(RowError, match=r"5 of 25 · x0: .*x1: .*x2: .*; and 2 more") as caught:
        judgeable([*GOOD, *bad], [Twice()], 0.1, "data")
    assert "x3" not in str(caught.value)


def test_no_row_at_all_is_refused_whatever_is_allowed():
    with pytest.raises(RowError, match="1 of 1"):
        judgeable([row("x")], [Twice()], 1.0, "data")


def test_a_failure_from_outside_is_tried_again():
    bad = row("x", number=1, server=True)
    assert judgeable([*GOOD, bad], [Twice()], 0.1, "data") == GOOD
    FLAKY["down"] = False
    assert judgeable([*GOOD, bad], [Twice()], 0.1, "data") == [*GOOD, bad]


def test_rows_of_several_tasks_are_judged_by_their_own_rewards():
    mixed = [row("a", number=1), row("b", text="x"), row("c", number="open")]
    assert judgeable(mixed, [Twice(), Plain()], 0.0, "data") == mixed
    with pytest.raises(RowError, match=r"d: no reward can read it \(twice needs number; plain needs text\)"):
        judgeable([*mixed, row("d")], [Twice(), Plain()], 0.0, "data")


def test_a_changed_database_is_tried_again(tmp_path):
    file = tmp_path / "a.sqlite"
    file.write_text("1")
    rows = [row("a", number=1, database=str(file))]
    judgeable(rows, [Twice()], 0.0, "data")
    file.write_text("12")
    judgeable(rows, [Twice()], 0.0, "data")
    assert JUDGED == ["a", "a"]


# --- the length of prompts ---


@pytest.fixture
def fit(random_model, monkeypatch):
    def render(rows, tokenizer, **options):
        return [[1] * len(r["prompt"][0]["content"].split()) for r in rows]

    monkeypatch.setattr("quince.recipes.parts.preflight.render_prompts", render)

    def use(words, how, answer=56):
        rows = [row(f"r{n}") | {"prompt": [{"role": "user", "content": "w " * n}]} for n in words]
        kept, cut = fitting(rows, None, Model(id=str(random_model)), answer, how, "data")
        return [r["id"] for r in kept], cut

    return use


def test_prompts_up_to_the_context_fit(fit, random_model):
    assert context_length(Model(id=str(random_model))) == 256
    assert fit([1, 201], "refuse") == (["r1", "r201"], None)


def test_a_longer_prompt_is_refused_with_its_row_its_tokens_and_the_limit(fit):
    words = r"^data · 2 of 3 prompts are too long, the longest is r900 with 900 tokens · 201 fit: .* has 256, .* to 56"
    with pytest.raises(RowError, match=words):
        fit([1, 202, 900], "refuse")


def test_longer_prompts_are_dropped_or_cut_as_the_recipe_says(fit, capsys):
    assert fit([1, 202, 900], "drop") == (["r1"], None)
    assert fit([1, 202, 900], "cut_left") == (["r1", "r202", "r900"], 201)
    assert capsys.readouterr().out.count("2 of 3 prompts are too long") == 2
    with pytest.raises(RowError, match="2 of 2"):
        fit([202, 900], "drop")


def test_a_context_that_holds_no_answer_is_refused(fit):
    with pytest.raises(RowError, match="answers of 257 tokens"):
        fit([1], "cut_left", answer=257)


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        ('{"max_position_embeddings": 4096}', 4096),
        ('{"text_config": {"max_position_embeddings": 512}}', 512),
        ('{"n_positions": 1024}', 1024),
        ('{"state_size": 16}', None),
        (
            '{"max_position_embeddings": 32768, "rope_scaling": {"rope_type": "yarn", "factor": 4.0, '
            '"original_max_position_embeddings": 32768}}',
            131072,
        ),
    ],
)
def test_the_context_is_the_configurations(config, tokens, tmp_path):
    (tmp_path / "config.json").write_text(config)
    assert context_length(Model(id=str(tmp_path))) == tokens
