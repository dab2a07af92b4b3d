"""Memory and shapes against numbers that are known."""

from __future__ import annotations

import json

import pytest
from quince.recipes.config.shapes import SHAPES, shape_of
from quince.recipes.memory import Training, readable

PUBLISHED = {
    "Qwen/Qwen3-0.6B": 0.596e9,
    "Qwen/Qwen3-1.7B": 1.72e9,
    "Qwen/Qwen3-4B": 4.02e9,
    "Qwen/Qwen3-8B": 8.19e9,
    "Qwen/Qwen2.5-Math-7B": 7.62e9,
    "meta-llama/Llama-3.1-8B": 8.03e9,
    "google/gemma-2-2b": 2.61e9,
    "google/gemma-2-9b": 9.24e9,
    "google/gemma-2-27b": 27.2e9,
}


@pytest.mark.parametrize("name", SHAPES)
def test_parameter_counts_are_the_published_ones(name):
    assert SHAPES[name].parameters == pytest.approx(PUBLISHED[name], rel=0.005)


@pytest.mark.parametrize("name", ["Qwen/Qwen3-4B-Base", "meta-llama/Llama-3.1-8B-Instruct", "google/gemma-2-2b-it"])
def test_variants_have_the_shape_of_their_family(name):
    assert shape_of(name) is not None


def test_an_unknown_model_has_no_shape():
    assert shape_of("someone/something") is None


def test_a_folder_is_read_from_its_config(tmp_path):
    config = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 3, "vocab_size": 10}
    config |= {"intermediate_size": 16, "max_position_embeddings": 64, "tie_word_embeddings": True}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shape = shape_of(str(tmp_path))
    assert (shape.head_dim, shape.kv_heads, shape.context) == (4, 2, 64)
    assert shape.parameters == 3 * (4 * 8 * 8 + 3 * 8 * 16) + 10 * 8


def training(**changes):
    shape = SHAPES["meta-llama/Llama-3.1-8B"]
    given = {
        "shape": shape,
        "weight_bytes": 4.0,
        "trainable": shape.parameters,
        "sharded_over": 1,
        "rows": 1,
        "prompt_tokens": 512,
        "completion_tokens": 512,
        "checkpointing": True,
        "reference": False,
    }
    return Training(**(given | changes))


def test_full_training_in_float32_takes_sixteen_bytes_a_weight():
    full = training()
    total = full.weights + full.gradients + full.optimizer
    assert total == pytest.approx(16 * full.shape.parameters)
    sharded = training(sharded_over=8)
    assert sharded.weights + sharded.gradients + sharded.optimizer == pytest.approx(total / 8)


def test_only_full_training_copies_the_reference():
    shape = SHAPES["meta-llama/Llama-3.1-8B"]
    assert training(reference=True).reference_copy == training().weights
    assert training(reference=True, trainable=shape.lora_parameters(32)).reference_copy == 0


def test_lora_has_the_published_size():
    # PEFT reports 83,886,080 trainable weights for rank 32 on all linear layers of Llama-3.1-8B.
    assert SHAPES["meta-llama/Llama-3.1-8B"].lora_parameters(32) == 83_886_080


def test_checkpointing_and_shorter_answers_save_memory():
    assert training(checkpointing=False).activations > 3 * training().activations
    assert training(completion_tokens=256).activations < training().activations


@pytest.mark.parametrize(
    ("count", "unit", "text"),
    [(0, "B", "0 B"), (999, "B", "999 B"), (1.5e9, "B", "1.5 GB"), (4096, " tokens", "4.1 k tokens")],
)
def test_readable(count, unit, text):
    assert readable(count, unit) == text
