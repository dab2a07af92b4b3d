"""Two processes on gloo do what one process does with the whole batch, and so do micro-batches and checkpointing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("launch", LAUNCHES)
def test_two_processes_match_one_and_resume_where_they_stopped(launch, toy, logged, tmp_path):
    launched, *overrides = LAUNCHES[launch]
    overrides.append("data.0.size=4")  # more than one epoch
    one = run(toy(*STEPS, *overrides, folder="one"))
    two = tmp_path / "apart" / "two"
    arguments = [tmp_path / "toy.yaml", f"output_dir={two}", *STEPS, launched, HALF, *overrides]
    train(*arguments)
    straight = logged(two)
    pairs = list(zip(logged(one), straight, strict=True))
    assert [line["step"] for line, _ in pairs] == [1, 2, 3]
    for alone, together in pairs:
        for name in NAMES[1:]:
            assert together[name] == pytest.approx(alone[name], abs=1e-5), (alone["step"], name)
    assert (two / "model" / "model.safetensors").is_file()

    if launch == "DPH-JS":
        shutil.rmtree(two / "model")
        shutil.rmtree(two / "checkpoint-3")
        train(*arguments, "--resume")
        for before, after in zip(straight, logged(two), strict=True):
            assert [after[name] for name in NAMES] == [before[name] for name in NAMES]


WAYS = ("2 processes", "2 accumulated", "checkpointing")


def test_a_step_can_be_cut(tmp_path):
    """What scripts/bench/parity.py holds for 20 steps and four processes too; 22 of all families in these ways."""
    script = Path(__file__).parents[2] / "scripts" / "bench" / "parity.py"
    command = [sys.executable, script, "--steps", "2", "--ways", *WAYS, "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "parity.json").read_text())["found"]
    assert len(found) == 22
    for entry in found:
        assert entry["steps"] == 2, (entry["family"], done.stderr[-3000:])
        assert entry["differences"]["loss"] <= 1e-5 and entry["differences"]["grad_norm"] <= 1e-4, entry
        assert not entry["other_answers"], entry
