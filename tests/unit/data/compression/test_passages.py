"""Passages of the small world: what they promise to rewards, readers and the demonstration."""

from __future__ import annotations

import json
import random

import pytest
from quince.data.compression import passages
from quince.data.compression.passages import ASKABLE, DISTRACTORS, ENTITIES, UNKNOWN, VALUES
from quince.data.rows import RowError
from quince.data.sources import load_demonstrations, load_rows


@pytest.fixture(scope="module")
def tokenizer():
    from quince.recipes.parts.models import model_path
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_path("tiny"))


@pytest.fixture(scope="module")
def rows():
    return load_rows("passages", split="test", size=100)


def test_every_word_is_one_token_of_the_shipped_tokenizer(tokenizer):
    for word in (*ENTITIES, *ASKABLE, *DISTRACTORS, *VALUES, UNKNOWN):
        assert [len(tokenizer(text)["input_ids"]) for text in (word, f" {word}")] == [1, 1], word


def test_three_notes_fill_the_budget_and_cut_four_fifths(rows, tokenizer):
    for row in rows:
        facts = passages.facts_of(row)
        notes = [len(tokenizer(passages.note_of(facts[:count]))["input_ids"]) for count in (3, 4)]
        assert notes[0] <= row["budget"] < notes[1]
        assert row["budget"] <= 0.2 * len(tokenizer(row["passage"])["input_ids"])


def test_a_row_asks_for_its_askable_facts_and_never_in_the_prompt(rows):
    for row in rows:
        facts, asked = passages.facts_of(row), json.loads(row["questions"])
        assert asked == [{"question": fact.question, "answer": fact.note} for fact in facts if fact.askable]
        assert len(facts) == 2 * len(asked) == 6
        assert len({fact.value for fact in facts}) == len({fact.entity for fact in facts}) == 6
        prompt = row["prompt"][0]["content"]
        assert row["passage"] in prompt and not any(item["question"] in prompt for item in asked)
        assert all(fact.value in row["passage"] and fact.entity in row["passage"] for fact in facts)


def test_training_never_says_a_fact_that_is_held_out():
    said = [fact for row in load_rows("passages", split="train", size=300) for fact in passages.facts_of(row)]
    assert not any(passages.held_out(fact.entity, fact.attribute, fact.value) for fact in said)
    tested = [fact for row in load_rows("passages", split="test", size=300) for fact in passages.facts_of(row)]
    share = sum(passages.held_out(fact.entity, fact.attribute, fact.value) for fact in tested) / len(tested)
    assert 0.05 < share < 0.15


def test_paraphrases_share_no_sentence_with_training():
    def sentences(split):
        return {text for row in load_rows("passages", split=split, size=200) for text in row["passage"].split(". ")}

    assert not sentences("paraphrases") & sentences("train")


def test_half_of_the_facts_answer_half_of_the_questions(rows):
    rng = random.Random(0)
    hits = [fact.askable for row in rows for fact in rng.sample(passages.facts_of(row), 3)]
    assert 0.4 < sum(hits) / len(hits) < 0.6


def test_demonstrations_of_notes_are_true_and_name_one_to_six_facts():
    counts = set()
    for row in load_demonstrations("passages", size=200, notes=1.0):
        read, written = (message["content"] for message in row["messages"])
        notes = [tuple(note.split()) for note in written.split(";")]
        counts.add(len(notes))
        assert all(entity in read and value in read for _, entity, value in notes)
    assert counts == {1, 2, 3, 4, 5, 6}


def test_reading_answers_what_the_text_says_and_knows_what_it_does_not():
    known = unknown = 0
    for row in load_demonstrations("passages", size=200, notes=0.0):
        text, _, _ = row["messages"][0]["content"].rpartition("\n")
        for question, answer in zip(row["messages"][::2], row["messages"][1::2], strict=True):
            assert question["role"] == "user"
            attribute, entity, value = answer["content"].split()
            assert question["content"].endswith(f"{attribute} {entity}?")
            known, unknown = known + (value != UNKNOWN), unknown + (value == UNKNOWN)
            assert value == UNKNOWN or (entity in text and attribute in text and value in text)
    assert 0.02 < unknown / (known + unknown) < 0.1


def test_complete_notes_are_all_facts_in_their_order():
    for row in load_demonstrations("passages", size=50, notes=0.0, complete=1.0):
        read, written = (message["content"] for message in row["messages"])
        notes = [tuple(note.split()) for note in written.split(";")]
        places = [read.index(f" {entity} ") for _, entity, _ in notes]
        assert len(notes) == 6 and places == sorted(places)


def test_drills_repeat():
    for row in load_demonstrations("passages", size=20, notes=0.0, drills=1.0):
        assert [m["content"] for m in row["messages"][::2]] == [m["content"] for m in row["messages"][1::2]]


def test_the_same_seed_gives_the_same_rows_and_splits_differ():
    assert load_rows("passages", split="train", size=5) == load_rows("passages", split="train", size=5)
    drawn = {load_rows("passages", split="train", size=1, seed=seed)[0]["passage"] for seed in (0, 1)}
    assert len(drawn | {load_rows("passages", split="test", size=1)[0]["passage"]}) == 3


@pytest.mark.parametrize("options", [{"split": "dev"}, {"split": "train", "distractors": 40}])
def test_bad_options_name_themselves(options):
    with pytest.raises(RowError, match=r"passages · (split|facts) · found"):
        load_rows("passages", **options)
