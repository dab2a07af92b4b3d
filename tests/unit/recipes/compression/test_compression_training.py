"""Compressors are trained: readers are bound to rewards, and Nano-Capsulator's objective is what it says."""

from __future__ import annotations

import math

import pytest
import torch
from quince.recipes.config import load_recipe
from quince.recipes.config.language.errors import RecipeErrors
from quince.recipes.rlvr.capsulator import distance, mean_state

RECIPE = """
kind: rlvr
model: {id: MODEL, dtype: float32}
readers: [{name: a, model: {id: MODEL, dtype: float32}, max_tokens: 4}]
data: [{kind: passages, size: 16}]
rewards: [{kind: capsule}]
share_prompts: true
long_prompts: cut_left
trainer:
  per_device_train_batch_size: 16
  num_generations: 4
  max_completion_length: 8
  max_steps: 2
  loss_type: dapo
  learning_rate: 1e-2
  logging_steps: 1
  save_strategy: "no"
  gradient_checkpointing: false
  disable_tqdm: true
"""
CAPSULATOR = (
    "objective={kind: capsulator}",
    "share_prompts=false",
    "rewards.0.gate=cut",
    "rewards.0.helped_only=false",
    "rewards.0.utility=agreement",
)


@pytest.fixture
def recipe(toy_model, tmp_path):
    file = tmp_path / "capsules.yaml"
    file.write_text(RECIPE.replace("MODEL", str(toy_model)))
    return lambda *overrides: load_recipe(str(file), [f"output_dir={tmp_path / 'run'}", *overrides])


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("optimizer={kind: muon}",),
        CAPSULATOR,
        ("rewards.0.semantics=1.0", "encoder={id: MODEL, dtype: float32}"),
    ],
    ids=["policy gradient", "muon", "capsulator", "semantics"],
)
def test_two_steps_change_the_model(recipe, overrides, toy_model, logged):
    from quince.recipes.rlvr.train import run
    from safetensors.torch import load_file

    folder = run(recipe(*(text.replace("MODEL", str(toy_model)) for text in overrides)))
    steps = logged(folder)
    assert len(steps) == 2 and all(math.isfinite(step["loss"]) for step in steps)
    if overrides == CAPSULATOR:
        assert all(step["capsulator/gap"] > 0 and 0 <= step["capsulator/distance"] <= 1 for step in steps)
        before, after = (load_file(path / "model.safetensors") for path in (toy_model, folder / "model"))
        assert any(not torch.equal(before[name], after[name]) for name in before)


def test_shared_prompts_train_as_whole_rows_do(recipe, logged, tmp_path):
    from quince.recipes.rlvr.train import run

    losses = []
    for share in ("true", "false"):
        options = ["rewards=[{kind: format, pattern: '(?s)[^e]*'}]", "readers=[]", f"share_prompts={share}"]
        folder = run(recipe(*options, f"output_dir={tmp_path / share}"))
        losses.append([step["loss"] for step in logged(folder)])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_distance_is_what_is_missing_to_the_best_reward():
    rewards = torch.tensor([2.0, 1.0, 0.0, 3.0, float("nan")])
    assert distance(rewards, 0.0, 2.0).tolist() == [0.0, 0.5, 1.0, 0.0, 0.0]


def test_the_mean_state_is_over_written_positions(toy_model):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(toy_model, dtype=torch.float32)
    ids = torch.tensor([[5, 6, 7, 8]])
    states = model(ids, output_hidden_states=True).hidden_states[-1]
    written = torch.tensor([[0, 1, 1, 0]])
    found = mean_state(model, ids, torch.ones_like(ids), written)
    assert torch.allclose(found, states[:, 1:3].mean(1), atol=1e-6)
    assert mean_state(model, ids, torch.ones_like(ids), written * 0).abs().max() == 0


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["readers=[]"], "`capsule` asks a reader"),
        (["rewards=[{kind: format, pattern: a}]"], "no reward asks a reader"),
        (["rewards.0.semantics=1.0"], "there is no encoder"),
        (["trainer.gradient_checkpointing=true"], "which checkpointing drops"),
        (["objective={kind: capsulator}"], "no log-probs to share"),
        (["readers.0.template=question only"], "readers.0.template"),
        (["readers.0.engine={kind: server, url: localhost}"], "url"),
    ],
)
def test_what_does_not_fit_together_is_named(recipe, overrides, words):
    with pytest.raises(RecipeErrors, match=words):
        recipe(*overrides)
