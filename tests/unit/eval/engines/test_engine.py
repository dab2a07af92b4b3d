from __future__ import annotations

import numpy as np
import pytest
import torch
from quince.eval.engines import EngineError, Sampling, load_engine
from quince.eval.engines.base import choose, prompt_key, stream_keys, uniforms
from quince.eval.engines.transformers import SHARED_PREFIX_MODELS, Expanded, SharedPrefix, TransformersEngine
from transformers import AutoConfig, AutoModelForCausalLM

PROMPTS = [[5, 6, 7], [9, 8, 7, 6, 5, 4, 11], [12], [30, 31, 32, 33, 34]]


class Letters:
    """A tokenizer: every id is a letter; 0 pads, 1 ends."""

    eos_token_id = 1

    def batch_decode(self, rows, skip_special_tokens):
        return ["".join(chr(96 + i) for i in row if i > 1) for row in rows]


def tiny_model(kind: str = "qwen3", **more):
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind,
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=128,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=0,
        **more,
    )
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.fixture(scope="module")
def engine():
    return TransformersEngine(tiny_model(), Letters())


def test_greedy_is_what_transformers_generates(engine):
    ours = engine.generate(PROMPTS, Sampling(temperature=0, max_tokens=12))
    for prompt, (completion,) in zip(PROMPTS, ours, strict=True):
        theirs = engine.model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt)),
            do_sample=False,
            max_new_tokens=12,
        )
        assert list(completion.token_ids) == theirs[0, len(prompt) :].tolist()


@pytest.mark.parametrize(
    "sampling", [Sampling(n=5, max_tokens=9), Sampling(n=5, max_tokens=9, temperature=0.7, top_p=0.8)]
)
def test_completions_do_not_depend_on_batches_or_on_other_prompts(engine, sampling):
    together = engine.generate(PROMPTS, sampling)
    alone = [engine.generate([prompt], sampling)[0] for prompt in PROMPTS]
    narrow = TransformersEngine(engine.model, Letters(), batch_tokens=30).generate(PROMPTS, sampling)
    for a, b, c in zip(together, alone, narrow, strict=True):
        assert [x.token_ids for x in a] == [x.token_ids for x in b] == [x.token_ids for x in c]
        assert len({x.token_ids for x in a}) > 1


def test_equal_prompts_get_different_samples(engine):
    first, second = engine.generate([[5, 6, 7], [5, 6, 7]], Sampling(n=8, max_tokens=6))
    assert [c.token_ids for c in first] != [c.token_ids for c in second]


def test_seed_decides(engine):
    draw = lambda seed: engine.generate(PROMPTS, Sampling(n=4, max_tokens=8, seed=seed))  # noqa: E731
    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_stop_tokens_end_a_completion_and_are_kept(engine):
    stop = tuple(range(1, 30))
    for completion in engine.generate(PROMPTS, Sampling(n=20, max_tokens=5, stop_token_ids=stop))[0]:
        *before, last = completion.token_ids
        assert not set(before) & set(stop)
        assert completion.finish_reason == ("stop" if last in stop else "length")
        assert completion.finish_reason == "stop" or len(completion.token_ids) == 5


@pytest.mark.parametrize(
    "sampling", [Sampling(n=6, max_tokens=10), Sampling(n=6, max_tokens=10, temperature=0.6, top_p=0.9)]
)
def test_score_gives_the_log_probs_of_generation(engine, sampling):
    answers = engine.generate(PROMPTS, sampling)
    pairs = [(p, c) for p, own in zip(PROMPTS, answers, strict=True) for c in own]
    scores = engine.score([p for p, _ in pairs], [c.token_ids for _, c in pairs])
    for (_, completion), score in zip(pairs, scores, strict=True):
        np.testing.assert_allclose(completion.logprobs, score, atol=1e-5)


def test_score_is_a_plain_forward(engine):
    prompt, completion = [5, 6, 7], [9, 10, 1]
    with torch.no_grad():
        logprobs = engine.model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
    expected = [logprobs[2 + i, token].item() for i, token in enumerate(completion)]
    np.testing.assert_allclose(engine.score([prompt, [4] * 9], [completion, [7]])[0], expected, atol=1e-5)


@pytest.mark.parametrize("kind", sorted(SHARED_PREFIX_MODELS))
def test_shared_prefix_gives_the_logits_of_an_expanded_cache(kind):
    model = tiny_model(kind)
    mask = torch.tensor([[False, True, True], [True, True, True]])
    ids = torch.tensor([[0, 5, 6], [7, 8, 9]])

    def prefill():
        return model(ids, attention_mask=mask, position_ids=(mask.cumsum(-1) - 1).clamp(min=0), use_cache=True)

    with torch.inference_mode():
        both = [make(model, prefill().past_key_values, mask, 3) for make in (SharedPrefix, Expanded)]
        for step in range(40):
            if step == 5:
                for decoder in both:
                    decoder.select(torch.tensor([1]), torch.tensor([4, 5]))
            tokens = torch.arange(6 if step < 5 else 2) + step % 7
            shared, expanded = (decoder.step(tokens) for decoder in both)
            torch.testing.assert_close(shared, expanded, atol=2e-4, rtol=2e-4)


def test_other_architectures_take_the_expanded_cache(engine):
    model = tiny_model("gemma3_text", sliding_window=4)
    sampling = Sampling(n=4, max_tokens=8)
    other = TransformersEngine(model, Letters())
    together, alone = other.generate(PROMPTS, sampling)[1], other.generate(PROMPTS[1:2], sampling)[0]
    assert [c.token_ids for c in together] == [c.token_ids for c in alone]


def test_model_is_left_as_it_was():
    model = tiny_model().train()
    usual = model.config._attn_implementation
    TransformersEngine(model, Letters()).generate(PROMPTS, Sampling(n=2, max_tokens=3))
    assert model.training
    assert model.config._attn_implementation == usual


def test_draws_are_uniform_and_independent():
    keys = stream_keys([prompt_key([1, 2], 0, 0), prompt_key([1, 2], 1, 0)], 0, 20_000)
    first, second = uniforms(keys, 0), uniforms(keys, 1)
    assert first.min() >= 0 and first.max() < 1
    assert abs(np.histogram(first, bins=20, range=(0, 1))[0] / len(keys) - 0.05).max() < 0.005
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert abs(np.corrcoef(first[:20_000], first[20_000:])[0, 1]) < 0.02


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.6)])
def test_tokens_follow_the_distribution(temperature, top_p):
    torch.manual_seed(0)
    logits = torch.randn(1, 150) * 2
    probabilities = (logits / temperature).softmax(-1)[0]
    if top_p < 1:
        ordered, order = probabilities.sort(descending=True)
        probabilities[order[(ordered.cumsum(-1) - ordered) >= top_p]] = 0
        probabilities /= probabilities.sum()
    draws = (torch.arange(100_000) + 0.5) / 100_000
    tokens, logprobs = choose(logits.expand(100_000, -1), draws, Sampling(temperature=temperature, top_p=top_p))
    shares = torch.bincount(tokens, minlength=150) / 100_000
    torch.testing.assert_close(shares, probabilities, atol=2e-5, rtol=0)
    torch.testing.assert_close(logprobs, logits.log_softmax(-1)[0][tokens])


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"n": 0}, "n"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"temperature": 0, "n": 2}, "greedy"),
    ],
)
def test_impossible_sampling_is_refused(bad, word):
    with pytest.raises(EngineError, match=word):
        Sampling(**bad)


def test_unknown_engine_is_named():
    with pytest.raises(EngineError, match=r"'sglang'.*transformers, vllm"):
        load_engine("sglang", "model")
