"""Memory and shapes against numbers that are known."""

from __future__ import annotations

import json

import pytest
from quince.recipes.cli import main
from quince.recipes.config.shapes import SHAPES, Shape, shape_of
from quince.recipes.parts.units import readable
from quince.recipes.plan.generation import Generation
from quince.recipes.plan.gpus import GPUS
from quince.recipes.plan.lines import fits
from quince.recipes.plan.memory import MIXED, Head, Pass, Training
from quince.recipes.plan.seconds import Work, phases
from quince.recipes.plan.training_memory import disk_text

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


LLAMA = SHAPES["meta-llama/Llama-3.1-8B"]


def training(rows=1, tokens=1024, scored=512, precision="bfloat16", **changes):
    given = {
        "shape": LLAMA,
        "weight_bytes": 4.0,
        "trainable": LLAMA.parameters,
        "passes": (Pass(LLAMA, rows, tokens, precision),),
        "head": Head(scored),
        "checkpointing": True,
    }
    return Training(**(given | changes))


def test_full_training_in_float32_takes_sixteen_bytes_a_weight():
    full = training()
    total = full.weights + full.gradients + full.optimizer
    assert total == pytest.approx(16 * full.shape.parameters)
    sharded = full.under("fsdp2", 8)
    assert sharded.weights + sharded.gradients + sharded.optimizer == pytest.approx(total / 8)


@pytest.mark.parametrize(
    ("launch", "weights", "gradients", "optimizer"),
    [("ddp", 4, 8, 8), ("zero2", 2, 2 / 8, 12 / 8), ("zero3", 2 / 8, 2 / 8, 12 / 8), ("fsdp2", 4 / 8, 4 / 8, 8 / 8)],
)
def test_each_launch_spreads_its_own_parts(launch, weights, gradients, optimizer):
    spread = training().under(launch, 8)
    found = (spread.weights, spread.gradients, spread.optimizer)
    assert found == pytest.approx([each * LLAMA.parameters for each in (weights, gradients, optimizer)])


def test_only_full_training_copies_the_reference():
    assert training(reference=True).reference_copy == training().weights
    assert training(reference=True, trainable=LLAMA.lora_parameters(32)).reference_copy == 0


def test_lora_has_the_published_size():
    # PEFT reports 83,886,080 trainable weights for rank 32 on all linear layers of Llama-3.1-8B.
    assert LLAMA.lora_parameters(32) == 83_886_080


def test_checkpointing_shorter_answers_and_fused_logits_save_memory():
    assert training(checkpointing=False).activations > 3 * training().activations
    assert training(tokens=512).activations < training().activations
    whole = training(head=Head(512, "logits"), trainable=LLAMA.lora_parameters(8))
    assert whole.logits > 5 * training(trainable=LLAMA.lora_parameters(8)).logits


def test_an_8b_model_needs_sharding_for_all_weights_and_none_for_an_adapter():
    full = {fit.launch: fit.fits for fit in fits(training(), None, GPUS["h100"], 8)}
    assert full == {"single": False, "ddp": False, "zero2": True, "fsdp2": True, "zero3": True}
    adapter = training(weight_bytes=2.0, trainable=LLAMA.lora_parameters(32))
    assert all(fit.fits for fit in fits(adapter, None, GPUS["h100"], 8))
    assert [fit.launch for fit in fits(adapter, None, GPUS["4090"], 1)] == ["single"]
    assert adapter.peak == pytest.approx(18.0e9, rel=0.01)  # 16.1 GB of weights, 1.3 GB for the adapter


def engine(**changes):
    given = {"shape": LLAMA, "engine": "colocate", "share": 0.35, "tensor_parallel": 1, "sleeps": True}
    given |= {"rows": 256, "group": 16, "prompt": 512, "completion": 512}
    return Generation(**(given | changes))


def test_the_engine_holds_its_weights_and_what_is_left_for_keys_and_values():
    h100 = GPUS["h100"].memory
    assert engine().token_bytes == 131_072  # 32 layers x 8 heads x 128 numbers x 2 x 2 bytes
    assert engine().cache(h100) == pytest.approx(0.35 * h100 - 2 * LLAMA.parameters)
    assert engine().at_once(h100) == pytest.approx(engine().cache(h100) / (1024 * 131_072))
    assert engine(sleeps=False).held_while_training(h100) == 0.35 * h100 and engine().held_while_training(h100) == 0
    assert engine(engine="server", share=0.9).held_while_generating(h100) == 0


def test_a_reference_and_stored_answers_cost_their_forward_passes():
    step = training().under("fsdp2", 8)
    base = phases(Work(1024, 0, False, 0.0), step, engine(), GPUS["h100"])
    more = phases(Work(1024, 128, True, 0.0), step, engine(), GPUS["h100"])
    assert more["update"] == pytest.approx(base["update"] * 1152 / 1024)
    assert more["old log-probs"] == pytest.approx(base["update"] / 4)  # of forward, backward 2, checkpointing 1
    assert "reference" in phases(Work(8, 0, False, 0.0), training(reference=True), engine(), GPUS["h100"])
    slow = phases(Work(1024, 0, False, 0.0), step, engine(share=0.25), GPUS["h100"])
    assert slow["generate"] > base["generate"]


def test_disk_counts_the_checkpoint_that_is_being_written():
    assert disk_text({"save_total_limit": 2}, "sft", 10e9, 3e9).startswith("33 GB for 2 checkpoints of 10 GB")
    assert disk_text({"save_strategy": "no"}, "sft", 10e9, 3e9) == "3 GB for the final model"


@pytest.mark.parametrize(("gpu", "code"), [("h200", 0), ("h300", 2)])
def test_the_gpu_is_chosen_by_name(gpu, code, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["plan", "rlvr/llama31_8b_sql_dph_js_server", "--gpu", gpu])
    assert ended.value.code == code
    said = capsys.readouterr()
    wanted = "'h300' is not one of h200, h100" if code else "fsdp2 fits on 4 x H200"
    assert wanted in " ".join((said.out + said.err).replace("│", " ").split())


FAMILIES = {
    "qwen3": {"query_key_norm": True},
    "llama": {},
    "gemma2": {"sandwich": True},
}


@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", MIXED])
@pytest.mark.parametrize("family", FAMILIES)
def test_activations_are_what_autograd_keeps(family, precision, masked):
    shape = Shape(48, 2, 4, 2, 16, 96, 64, 128, **FAMILIES[family])
    predicted = Pass(shape, 2, 40, precision, masked=masked)
    casts = 2 * shape.linear_parameters if precision == MIXED else 0
    expected = shape.layers * predicted.layer + predicted.last + casts
    assert expected == pytest.approx(saved_bytes(family, shape, precision, masked), rel=0.05)


def saved_bytes(family, shape, precision, masked):
    """Bytes of the distinct storages that a real model keeps for its backward pass, weights apart."""
    import torch
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(
        family,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        intermediate_size=shape.intermediate,
        vocab_size=shape.vocab,
        attn_implementation="sdpa",
    )
    torch.manual_seed(0)
    model = AutoModel.from_config(config).to(torch.bfloat16 if precision == "bfloat16" else torch.float32)
    known = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    attended = torch.ones(2, 40, dtype=torch.long)
    if masked:
        attended[0, :3] = 0
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=precision == MIXED)
    with mixed, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        states = model(torch.zeros(2, 40, dtype=torch.long), attention_mask=attended, use_cache=False)
    assert states.last_hidden_state.shape == (2, 40, 48)
    return sum(kept.values())


@pytest.mark.parametrize(
    ("count", "unit", "text"),
    [(0, "B", "0 B"), (999, "B", "999 B"), (1.5e9, "B", "1.5 GB"), (4096, " tokens", "4.1 k tokens")],
)
def test_readable(count, unit, text):
    assert readable(count, unit) == text
