"""Two processes on gloo do what one process does with the whole batch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from quince.recipes.rlvr.train import run

pytestmark = pytest.mark.slow

LAUNCHES = {
    "GRPO": ["launch={processes: 2}"],
    "DPH-JS": ["launch={processes: 2, accelerate_config: cpu}", "divergence={kind: jensen_shannon, weight: 0.5}"],
}


STEPS = ["trainer.max_steps=3", "trainer.save_strategy=steps", "trainer.save_steps=1"]
NAMES = ("step", "loss", "grad_norm", "reward", "completions/mean_length")
HALF = "trainer.per_device_train_batch_size=8"


def train(*arguments: object) -> None:
    """`quince train`, as a program of its own, since it becomes the launcher."""
    command = [sys.executable, "-m", "quince.recipes.cli", "train", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("launch", LAUNCHES.values(), ids=LAUNCHES)
def test_two_processes_match_one(launch, toy, logged, tmp_path):
    launched, *overrides = launch
    one = run(toy(*STEPS, *overrides, folder="one"))
    two = tmp_path / "apart" / "two"
    train(tmp_path / "toy.yaml", f"output_dir={two}", *STEPS, launched, HALF, *overrides)
    pairs = list(zip(logged(one), logged(two), strict=True))
    assert [line["step"] for line, _ in pairs] == [1, 2, 3]
    for alone, together in pairs:
        for name in NAMES[1:]:
            assert together[name] == pytest.approx(alone[name], abs=1e-5), (alone["step"], name)
    assert (two / "model" / "model.safetensors").is_file()


def test_two_processes_resume_where_they_stopped(toy, logged, tmp_path):
    launched, divergence = LAUNCHES["DPH-JS"]
    toy()
    folder, arguments = tmp_path / "two", [*STEPS, "data.0.size=4", launched, HALF, divergence]
    train(tmp_path / "toy.yaml", f"output_dir={folder}", *arguments)
    straight = logged(folder)
    shutil.rmtree(folder / "model")
    shutil.rmtree(folder / "checkpoint-3")
    train(tmp_path / "toy.yaml", f"output_dir={folder}", *arguments, "--resume")
    for before, after in zip(straight, logged(folder), strict=True):
        assert [after[name] for name in NAMES] == [before[name] for name in NAMES]
