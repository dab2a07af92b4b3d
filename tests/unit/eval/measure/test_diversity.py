from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quince.eval.engines import Sampling
from quince.eval.engines.transformers import TransformersEngine
from quince.eval.measure.diversity import effective_number, entropy, idiom_entropy, keep_explore, sampled_kl
from quince.eval.measure.statistics import StatisticsError
from transformers import Qwen3Config, Qwen3ForCausalLM


def test_keep_and_explore():
    result = keep_explore([1, 1, 1, 0, 0], [1, 0, 1, 1, 0])
    assert result.keep.estimate == pytest.approx(2 / 3)
    assert result.explore.estimate == pytest.approx(1 / 2)
    assert (result.base_solved, result.problems) == (3, 5)
    assert result.keep.low <= result.keep.estimate <= result.keep.high


def test_keep_and_explore_of_probabilities_are_expected_shares():
    rng = np.random.default_rng(0)
    base, new = rng.random(40), rng.random(40)
    draws = [keep_explore(rng.random(40) < base, rng.random(40) < new) for _ in range(300)]
    expected = keep_explore(base, new)
    assert np.mean([d.keep.estimate for d in draws]) == pytest.approx(expected.keep.estimate, abs=0.02)
    assert np.mean([d.explore.estimate for d in draws]) == pytest.approx(expected.explore.estimate, abs=0.02)


def test_keep_without_anything_to_keep():
    assert keep_explore([0, 0], [1, 0]).keep is None
    assert keep_explore([1, 1], [1, 0]).explore is None


def test_keep_explore_wants_the_same_problems():
    with pytest.raises(StatisticsError, match="same problems"):
        keep_explore([1], [1, 0])


@given(st.integers(1, 20), st.integers(1, 50))
def test_equal_counts_count_as_many(kinds, each):
    assert effective_number([each] * kinds) == pytest.approx(kinds)


@given(st.lists(st.integers(0, 30), max_size=8))
def test_entropy_lies_between_none_and_all(counts):
    positive = sum(c > 0 for c in counts)
    assert 0 <= entropy(counts) <= log(max(positive, 1)) + 1e-12


def test_idiom_entropy_leaves_unsolved_problems_out():
    assert idiom_entropy([{"a": 1, "b": 1}, {}, {"a": 5}]) == pytest.approx(log(2) / 2)
    assert idiom_entropy([{}, {}]) is None


class Letters:
    eos_token_id = 1

    def batch_decode(self, rows, skip_special_tokens):
        return [str(row) for row in rows]


def one_token_model(seed: int) -> TransformersEngine:
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=12,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        initializer_range=0.5,
        eos_token_id=1,
    )
    return TransformersEngine(Qwen3ForCausalLM(config).eval(), Letters())


def test_sampled_kl_is_the_exact_kl_of_one_token():
    base, other = one_token_model(0), one_token_model(1)
    prompts = [[3], [4, 5], [6, 2]]
    with torch.no_grad():
        both = [[e.model(torch.tensor([p])).logits[0, -1].log_softmax(-1) for p in prompts] for e in (base, other)]
    exact = np.mean([(p.exp() * (p - q)).sum().item() for p, q in zip(*both, strict=True)])
    answers = base.generate(prompts, Sampling(n=4_000, max_tokens=1))
    estimate = sampled_kl(prompts, answers, base, other)
    assert estimate.estimate == pytest.approx(exact, rel=0.05)
    assert sampled_kl(prompts, answers, base, base).estimate == 0
