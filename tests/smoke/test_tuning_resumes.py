"""SFT and DPO runs resume to the last bit, and two processes do what one does with the whole batch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from quince.recipes.config import load_recipe
from quince.recipes.dpo.train import run as run_dpo
from quince.recipes.run.checkpoints import sorted_checkpoints
from quince.recipes.sft.train import run as run_sft
from safetensors.numpy import load_file

pytestmark = pytest.mark.slow

SFT = """
kind: sft
model: {id: MODEL, dtype: float32}
data: [{kind: strategies, size: 40}, {kind: everyday, size: 20}]
trainer:
  packing: true
  max_length: 128
  per_device_train_batch_size: 4
"""
DPO = """
kind: dpo
model: {id: MODEL, dtype: float32}
data: [{kind: jsonl, path: PAIRS}]
trainer:
  max_length: 128
  per_device_train_batch_size: 4
"""
TRAINER = """  max_steps: 3
  learning_rate: 1e-2
  logging_steps: 1
  save_strategy: steps
  save_steps: 1
  gradient_checkpointing: false
  disable_tqdm: true
"""
CASES = {
    "packed": (SFT, []),
    "padded": (SFT, ["trainer.packing=false"]),
    "curriculum": (SFT, ["shuffle=false"]),
    "second epoch": (SFT, ["data.0.size=8", "data.1.size=4"]),
    "muon": (SFT, ["optimizer={kind: muon}"]),
    "adapter": (SFT, ["model.adapter={kind: lora, rank: 2}"]),
    "preferences": (DPO, []),
    "preferences of an adapter": (DPO, ["model.adapter={kind: lora, rank: 2}"]),
}
NAMES = ("step", "loss", "grad_norm")


@pytest.fixture
def load(toy_model, tmp_path):
    def load(text: str, *overrides: str, folder: str):
        file, pairs = tmp_path / "own.yaml", tmp_path / "pairs.jsonl"
        pairs.write_text("\n".join(json.dumps(pair(number)) for number in range(24)))
        file.write_text(text.replace("MODEL", str(toy_model)).replace("PAIRS", str(pairs)) + TRAINER)
        return load_recipe(str(file), [f"output_dir={tmp_path / folder}", *overrides])

    return load


def pair(number: int) -> dict:
    answers = {name: [{"role": "assistant", "content": f"{name} {number}"}] for name in ("chosen", "rejected")}
    return {"id": str(number), "task": "t", "prompt": [{"role": "user", "content": f"{number}?"}], **answers}


def run(loaded, resume: bool = False) -> Path:
    return (run_dpo if loaded.recipe.kind == "dpo" else run_sft)(loaded, resume=resume)


def weights(folder: Path) -> dict:
    (file,) = (folder / "model").glob("*.safetensors")
    return load_file(file)


@pytest.mark.parametrize(("text", "overrides"), CASES.values(), ids=CASES)
def test_resuming_changes_nothing(text, overrides, load, logged, tmp_path):
    straight = run(load(text, *overrides, folder="straight"))
    shutil.copytree(straight, tmp_path / "resumed")
    shutil.rmtree(tmp_path / "resumed" / "model")
    for checkpoint in sorted_checkpoints(tmp_path / "resumed")[1:]:
        shutil.rmtree(checkpoint)
    resumed = run(load(text, *overrides, folder="resumed"), resume=True)
    lines = [[[line[name] for name in NAMES] for line in logged(folder)] for folder in (straight, resumed)]
    assert lines[0] == lines[1]
    before, after = weights(straight), weights(resumed)
    assert before.keys() == after.keys() and all((before[name] == after[name]).all() for name in before)


@pytest.mark.parametrize("overrides", [[], ["trainer.packing=false"]], ids=["packed", "padded"])
def test_two_processes_match_one(overrides, load, logged, tmp_path):
    order = ["trainer.train_sampling_strategy=sequential"]  # else each process shuffles for its own share
    one = run(load(SFT, *overrides, *order, folder="one"))
    two = tmp_path / "two"
    more = [f"output_dir={two}", "launch={processes: 2}", "trainer.per_device_train_batch_size=2", *overrides, *order]
    command = [sys.executable, "-m", "quince.recipes.cli", "train", str(tmp_path / "own.yaml"), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    for alone, together in zip(logged(one), logged(two), strict=True):
        for name in NAMES:
            assert together[name] == pytest.approx(alone[name], abs=1e-4), (alone["step"], name)


def test_the_summary_and_the_model_are_kept(load):
    folder = run(load(SFT, folder="run"))
    data = json.loads((folder / "data.json").read_text())
    assert data["conversations"] + data["dropped"] == 60 and 0.9 < data["fill"] <= 1
    assert (folder / "model" / "README.md").is_file() and (folder / "model" / "chat_template.jinja").is_file()
