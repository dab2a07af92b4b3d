"""The intra-inter cosine gap against brute force, and hidden states against what transformers returns."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from quince.eval.coverage.representations import blocks_of, cosine_gap, gap_map, hidden_states


def by_pairs(vectors, groups):
    same, other = [], []
    for a, b in itertools.combinations(range(len(vectors)), 2):
        cosine = vectors[a] @ vectors[b] / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b])
        (same if np.array_equal(groups[a], groups[b]) else other).append(cosine)
    return np.mean(same), np.mean(other)


@pytest.mark.parametrize("parts", [1, 2])
def test_the_gap_is_that_over_all_pairs(parts):
    rng = np.random.default_rng(0)
    vectors, groups = rng.normal(size=(40, 6)) + 0.5, rng.integers(3, size=(40, parts))
    within, between = by_pairs(vectors, groups)
    gap = cosine_gap(vectors, groups if parts > 1 else groups[:, 0])
    assert gap.within == pytest.approx(within)
    assert gap.between == pytest.approx(between)
    assert gap.gap == pytest.approx(within - between)


def test_clusters_have_a_gap_of_one_and_noise_none():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(8), 50)
    assert cosine_gap(np.eye(8)[groups] * 3, groups).gap == pytest.approx(1.0)
    assert abs(cosine_gap(rng.normal(size=(400, 64)), groups).gap) < 0.02


def test_what_has_no_pairs_is_nan():
    vectors = np.eye(3)
    assert np.isnan(cosine_gap(vectors, [0, 1, 2]).within)
    assert np.isnan(cosine_gap(vectors, [0, 0, 0]).between)
    assert cosine_gap([[0.0, 0.0], [1.0, 0.0]], [0, 0]).within == 0
    with pytest.raises(ValueError, match="3 vectors and 2 labels"):
        cosine_gap(vectors, [0, 1])


def test_rows_with_equal_beginnings_count_once():
    """Two copies of one state would be a cluster of their own; without copies the two states are orthogonal."""
    tokens = np.array([[0, 1, 5], [0, 1, 6], [2, 1, 5]])
    states = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])[None, :, None].repeat(3, axis=2)
    gaps = gap_map(states, tokens, np.array([0, 0, 0]))
    assert np.isnan(gaps).all()
    groups = np.array([0, 0, 1])
    assert np.isnan(gap_map(states, tokens, groups)[0, :2]).all()
    assert gap_map(states, tokens, groups)[0, 2] == pytest.approx(1.0)


def random_lm(kind):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"num_hidden_layers": 3, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    if kind == "gpt2":
        sizes = {"n_layer": 3, "n_embd": 16, "n_head": 2}
    elif kind != "gpt_neox":
        sizes |= {"num_key_value_heads": 1}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=32, bos_token_id=0, eos_token_id=0, pad_token_id=0, **sizes)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen3", "gpt_neox"])
def test_states_are_those_of_transformers(kind):
    import torch

    model = random_lm(kind)
    tokens = torch.randint(32, (5, 4), generator=torch.Generator().manual_seed(0))
    before = [len(block._forward_hooks) + len(block._forward_pre_hooks) for block in blocks_of(model)]
    states = hidden_states(model, tokens, batch=2)
    assert [len(block._forward_hooks) + len(block._forward_pre_hooks) for block in blocks_of(model)] == before
    assert states.shape == (4, 5, 4, 16)
    with torch.no_grad():
        expected = torch.stack(model(input_ids=tokens, output_hidden_states=True).hidden_states).numpy()
    np.testing.assert_allclose(states[:3], expected[:3], atol=1e-5)


def test_a_model_without_one_list_of_blocks_is_named():
    model = random_lm("gpt2")
    model.config.n_layer = 7
    with pytest.raises(ValueError, match="0 lists of 7 modules"):
        blocks_of(model)
