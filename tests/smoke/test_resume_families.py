"""What is trained from scratch, and Nano-Capsulator's objective, resume from any step to the last bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from quince.recipes.config import load_recipe
from quince.recipes.run.checkpoints import sorted_checkpoints
from safetensors.numpy import load_file

pytestmark = pytest.mark.slow

STEPS = 4
SAVE = [f"trainer.max_steps={STEPS}", "trainer.save_strategy=steps", "trainer.save_steps=1", "trainer.logging_steps=1"]
PRETRAIN = """
kind: pretrain
architecture:
  {hidden_size: 16, layers: 2, heads: 2, kv_heads: 1, head_dim: 8, intermediate_size: 32, max_positions: 256}
tokenizer: {vocab_size: 384, rows_per_source: 40}
mixture: [{kind: strategies, size: 40}, {kind: countdown, size: 20}]
trainer: {per_device_train_batch_size: 8, learning_rate: 1e-2, disable_tqdm: true}
"""
PROBE = [
    "data={values: 8, rows: [120]}",
    "architecture={layers: 2, width: 16, heads: 2}",
    "evaluate_every=2",
    "trainer.per_device_train_batch_size=32",
    "trainer.disable_tqdm=true",
]
CAPSULES = """
kind: rlvr
model: {id: MODEL, dtype: float32}
readers: [{name: a, model: {id: MODEL, dtype: float32}, max_tokens: 4}]
data: [{kind: passages, size: 16}]
long_prompts: cut_left
rewards: [{kind: capsule, gate: cut, utility: agreement}]
objective: {kind: capsulator}
trainer:
  per_device_train_batch_size: 4
  gradient_accumulation_steps: 2
  steps_per_generation: 4
  num_iterations: 2
  num_generations: 4
  max_completion_length: 8
  loss_type: dapo
  learning_rate: 1e-2
  gradient_checkpointing: false
  disable_tqdm: true
"""


@pytest.fixture
def load(toy_model, tmp_path):
    def load(family: str, folder: str):
        own = [f"output_dir={tmp_path / folder}", *SAVE]
        if family.startswith("coverage"):
            return load_recipe(family, [*own, *PROBE])
        file = tmp_path / "own.yaml"
        text = {"pretrain": PRETRAIN, "capsules": CAPSULES}[family]
        file.write_text(text.replace("MODEL", str(toy_model)))
        return load_recipe(str(file), own)

    return load


def run(loaded, resume: bool = False) -> Path:
    from quince.recipes.coverage.train import run as coverage
    from quince.recipes.pretrain.train import run as pretrain
    from quince.recipes.rlvr.train import run as rlvr

    return {"coverage": coverage, "pretrain": pretrain, "rlvr": rlvr}[loaded.recipe.kind](loaded, resume)


def weights(folder: Path) -> dict:
    return load_file(folder / "model" / "model.safetensors")


@pytest.mark.parametrize("family", ["pretrain", "coverage/tiny", "coverage/tiny_perpendicular", "capsules"])
def test_resuming_from_any_step_changes_nothing(family, load, logged, tmp_path):
    straight = run(load(family, "straight"))
    for step in range(1, STEPS + 1):
        folder = tmp_path / f"from-{step}"
        shutil.copytree(straight, folder)
        shutil.rmtree(folder / "model")
        for checkpoint in sorted_checkpoints(folder)[step:]:
            shutil.rmtree(checkpoint)
        resumed = run(load(family, folder.name), resume=True)
        lines = [
            [[line.get(name) for name in ("step", "loss", "grad_norm", "reward")] for line in logged(one)]
            for one in (straight, resumed)
        ]
        assert lines[0] == lines[1], f"resumed after step {step}"
        before, after = weights(straight), weights(resumed)
        assert before.keys() == after.keys()
        assert all((before[name] == after[name]).all() for name in before), f"resumed after step {step}"
