"""A model with short convolutions and a tokenizer of words: it samples and scores alike, alone and in a batch."""

from __future__ import annotations

import pytest
import torch
from quince.data.sources import load_demonstrations
from quince.eval.engines.base import Sampling
from quince.eval.engines.transformers import TransformersEngine
from quince.recipes.config.pretrain import Architecture
from quince.recipes.pretrain.tokenizer import UNKNOWN, train_tokenizer
from quince.recipes.pretrain.train import new_model

SIZES = {"hidden_size": 16, "layers": 4, "heads": 2, "kv_heads": 1, "intermediate_size": 32, "max_positions": 256}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(load_demonstrations("passages", size=50), vocab_size=640, max_length=256, kind="words")


@pytest.fixture(scope="module")
def engine(tokenizer):
    torch.manual_seed(0)
    return TransformersEngine(new_model(Architecture(kind="lfm2", **SIZES), tokenizer), tokenizer)


def test_every_word_and_mark_is_a_token(tokenizer):
    ids = tokenizer("pilot song river; nurse")["input_ids"]
    assert [tokenizer.decode([token]) for token in ids] == ["pilot", "song", "river", ";", "nurse"]
    assert tokenizer.decode(tokenizer("xylophone")["input_ids"]) == UNKNOWN


def test_a_conversation_keeps_its_turns(tokenizer):
    chat = [{"role": "user", "content": "pilot song?"}, {"role": "assistant", "content": "pilot song river"}]
    text = tokenizer.decode(tokenizer.apply_chat_template(chat, return_dict=False))
    assert text == "<|im_start|> user pilot song ? <|im_end|> <|im_start|> assistant pilot song river <|im_end|>"


def test_a_batch_answers_as_each_prompt_alone(engine):
    prompts = [[5, 6, 7, 8, 9, 10], [11, 12], [13, 14, 15]]
    greedy = Sampling(temperature=0.0, max_tokens=6)
    together = [group[0].token_ids for group in engine.generate(prompts, greedy)]
    assert together == [engine.generate([prompt], greedy)[0][0].token_ids for prompt in prompts]


def test_scores_are_those_of_sampling(engine):
    prompts = [[5, 6, 7, 8], [9, 10]]
    groups = engine.generate(prompts, Sampling(n=3, max_tokens=5))
    for prompt, group in zip(prompts, groups, strict=True):
        scores = engine.score([prompt] * 3, [completion.token_ids for completion in group])
        for completion, score in zip(group, scores, strict=True):
            assert score == pytest.approx(completion.logprobs, abs=1e-4)
