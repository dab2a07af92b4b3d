"""Frozen readers and encoders: counting, cutting, scoring, answering, and remembering what was asked."""

from __future__ import annotations

import math

import numpy as np
import pytest
from quince.eval.compression.reader import EngineReader, MeanEncoder
from quince.eval.engines.base import Sampling
from quince.eval.engines.transformers import TransformersEngine

TEXTS = ("", "a", "The pilot has a song.", "SELECT name FROM t; ünïcödé 🙂 ok", "line\nline\n\nline", "x" * 50)


class Counting:
    """An engine that counts the prompts it is asked."""

    def __init__(self, engine):
        self.engine, self.tokenizer, self.name, self.asked = engine, engine.tokenizer, engine.name, 0

    def generate(self, prompts, sampling):
        self.asked += len(prompts)
        return self.engine.generate(prompts, sampling)

    def score(self, prompts, completions):
        self.asked += len(prompts)
        return self.engine.score(prompts, completions)

    def close(self):
        self.engine.close()


@pytest.fixture(scope="module")
def engine(toy_model):
    return TransformersEngine.load(toy_model, dtype="float32")


@pytest.fixture
def reader(engine):
    return EngineReader(Counting(engine), "toy", max_tokens=6)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("tokens", [0, 1, 3, 7, 1000])
def test_a_cut_is_a_beginning_that_counts_at_most_so_many_tokens(reader, text, tokens):
    cut = reader.cut(text, tokens)
    assert text.startswith(cut)
    assert reader.count(cut) <= tokens
    if reader.count(text) <= tokens:
        assert cut == text


def test_log_probs_are_those_of_the_answer_and_the_end_of_its_turn(reader, engine):
    (value,) = reader.log_probs(["the passage"], ["what?"], ["this one"])
    answer = [*engine.tokenizer("this one")["input_ids"], engine.tokenizer.eos_token_id]
    chat = [{"role": "user", "content": "the passage\nwhat?"}]
    prompt = engine.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    assert value == pytest.approx(sum(engine.score([prompt], [answer])[0]), abs=1e-4)
    assert value < 0 and math.isfinite(value)


def test_no_context_leaves_the_question_alone(reader, engine):
    chat = [{"role": "user", "content": "what?"}]
    prompt = engine.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    assert reader.prompt("", "what?") == prompt


def test_braces_in_a_context_are_text(reader):
    assert reader.answers(["{question} {0} {"], ["what?"])


def test_answers_are_greedy(reader, engine):
    prompts = [reader.prompt(context, "what?") for context in ("one", "two")]
    greedy = engine.generate(prompts, Sampling(temperature=0.0, max_tokens=6))
    assert reader.answers(["one", "two"], ["what?"] * 2) == [found[0].text.strip() for found in greedy]


def test_what_was_asked_is_asked_once(reader):
    first = reader.log_probs(["a", "b", "a"], ["q"] * 3, ["x"] * 3)
    assert reader.engine.asked == 2 and first[0] == first[2]
    assert reader.log_probs(["b", "c"], ["q"] * 2, ["x"] * 2)[0] == first[1]
    assert reader.engine.asked == 3
    assert reader.answers(["a", "a"], ["q", "q"]) == reader.answers(["a"], ["q"]) * 2
    assert reader.engine.asked == 4
    assert reader.log_probs([], [], []) == []


def test_embeddings_do_not_depend_on_the_batch(engine):
    encoder = MeanEncoder(engine.model, engine.tokenizer)
    together = encoder.embed(["a", "a longer text about songs", ""])
    assert together.shape[0] == 3 and np.abs(together[2]).max() == 0
    assert np.allclose(encoder.embed(["a"])[0], together[0], atol=1e-5)
