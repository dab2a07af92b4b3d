"""A run that is interrupted and resumed ends where the uninterrupted one does, to the last bit; damage is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from quince.recipes.checkpoints import sorted_checkpoints
from quince.recipes.rlvr.train import run
from safetensors.numpy import load_file

pytestmark = pytest.mark.slow

STEPS = 4
SAVE = ["trainer.save_strategy=steps", "trainer.save_steps=1", f"trainer.max_steps={STEPS}"]
CASES = {
    "plain": [],
    "rehearsal": ["divergence={kind: jensen_shannon, weight: 0.5}"],
    "live reference": ["divergence={kind: reverse_kl, on: rollouts, weight: 0.1, estimator: k2_loss}"],
    "two iterations": ["trainer.num_iterations=2"],
    "rollouts for two steps": [
        "trainer.steps_per_generation=4",
        "trainer.gradient_accumulation_steps=2",
        "trainer.per_device_train_batch_size=8",
    ],
    "third epoch": ["data.0.size=4"],
    "dynamic sampling": [
        "advantage.dynamic_sampling_rounds=1",
        "trainer.num_generations=4",
        "rewards.0.pattern=(?s)[^eaio]*",
    ],
    "adapter": ["model.adapter={kind: lora, rank: 2}"],
}


def interrupted(finished: Path, step: int, folder: Path) -> None:
    """The run folder as a kill leaves it shortly after the checkpoint of `step`."""
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / "model")
    for checkpoint in sorted_checkpoints(folder)[step:]:
        shutil.rmtree(checkpoint)


@pytest.mark.parametrize("overrides", CASES.values(), ids=CASES)
def test_resuming_from_any_step_changes_nothing(overrides, toy, logged, tmp_path):
    straight = run(toy(*SAVE, *overrides, folder="straight"))
    weights = load_weights(straight)
    for step in range(1, STEPS):
        interrupted(straight, step, tmp_path / f"from-{step}")
        resumed = run(toy(*SAVE, *overrides, folder=f"from-{step}"), resume=True)
        assert figures(logged(resumed)) == figures(logged(straight)), f"resumed after step {step}"
        after = load_weights(resumed)
        assert after.keys() == weights.keys()
        assert all((after[name] == weights[name]).all() for name in weights), f"resumed after step {step}"


def figures(lines: list[dict]) -> list[tuple]:
    keys = ("step", "loss", "grad_norm", "reward", "num_tokens", "dynamic_sampling/rounds")
    return [tuple(line.get(key) for key in keys) for line in lines]


def load_weights(folder: Path) -> dict:
    (file,) = (folder / "model").glob("*.safetensors")
    return load_file(file)
