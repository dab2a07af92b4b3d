"""A run that is killed, that has no room to save, or whose numbers run off leaves a checkpoint that is whole."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from quince.recipes.run.checkpoints import (
    STAGING,
    DiskFullError,
    checkpoint_bytes,
    newest_whole_checkpoint,
    sorted_checkpoints,
)
from quince.recipes.run.stopping import Stopped
from quince.recipes.run.trainer_base import NotFiniteError
from quince.recipes.run.training import train
from quince.scripts.bench import survival
from quince.scripts.bench.survival import MICRO_BATCHES, toy_trainer
from safetensors.torch import load_file
from transformers import TrainerCallback

pytestmark = pytest.mark.slow


def test_kills_and_stops_lose_one_step_at_most(tmp_path):
    command = [sys.executable, survival.__file__, "--kills", "3", "--stops", "2", "--out", str(tmp_path)]
    subprocess.run(command, check=True, timeout=300, capture_output=True)
    found = json.loads((tmp_path / "survival.json").read_text())
    assert found["resumed"] == 3 and found["most_steps_lost"] <= 1
    assert [(stop["exit_code"], stop["lost_steps"]) for stop in found["stops"]] == [(75, 0)] * 2
    assert found["equal_to_undisturbed"]
    assert "**3 of 3**" in (tmp_path / "survival.md").read_text()


class StopsInStep(TrainerCallback):
    """Sends SIGTERM after the second micro-batch of a step."""

    def __init__(self, step):
        self.step, self.micro = step, 0

    def on_substep_end(self, args, state, control, **kwargs):
        self.micro += state.global_step == self.step - 1
        if self.micro == 2:
            signal.raise_signal(signal.SIGTERM)


def test_a_stop_within_a_step_leaves_it_undone(tmp_path):
    straight, folder = tmp_path / "straight", tmp_path / "stopped"
    train(toy_trainer(straight, max_steps=3), "straight", None)
    stopped = toy_trainer(folder, max_steps=3, save_steps=3)
    stopped.callback_handler.callbacks.insert(0, StopsInStep(3))
    with pytest.raises(Stopped):
        train(stopped, "stopped", None)
    assert [path.name for path in sorted_checkpoints(folder)] == ["checkpoint-2"]
    train(toy_trainer(folder, max_steps=3), "resumed", str(folder / "checkpoint-2"))
    one, two = (load_file(path / "checkpoint-3" / "model.safetensors") for path in (folder, straight))
    assert all(torch.equal(one[name], two[name]) for name in two)


# --- a disk that is full ----------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    """`disk(size)`: a folder that holds so many bytes; said again, its size from then on."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def sized(size: int) -> Path:
        mounted = ["mount", "-o", f"remount,size={size}", str(folder)]
        fresh = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        done = subprocess.run(mounted if folder.is_mount() else fresh, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no small disk here: {done.stderr.strip()}")
        return folder

    yield sized
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a failed training may hold files open


def test_a_full_disk_leaves_the_checkpoint_before(disk, tmp_path):
    needed = checkpoint_bytes(toy_trainer(tmp_path))
    folder = disk(int(1.8 * needed))  # for one checkpoint and a part of the next
    with pytest.raises(
        DiskFullError, match=rf"no room for checkpoint-2 · it needs {needed:,} bytes .*checkpoint-1 is intact"
    ):
        train(toy_trainer(folder, max_steps=3), "full", None)
    assert newest_whole_checkpoint(folder).name == "checkpoint-1" and not (folder / STAGING).exists()

    disk(10 * needed)
    train(toy_trainer(folder, max_steps=3), "more room", str(folder / "checkpoint-1"))
    train(toy_trainer(tmp_path / "straight", max_steps=3), "straight", None)
    one, two = (load_file(path / "checkpoint-3" / "model.safetensors") for path in (folder, tmp_path / "straight"))
    assert all(torch.equal(one[name], two[name]) for name in two)


def test_too_small_a_disk_is_refused_before_training(disk, tmp_path):
    needed = checkpoint_bytes(toy_trainer(tmp_path))
    folder = disk(needed)
    trainer = toy_trainer(folder)
    with pytest.raises(DiskFullError, match=rf"a checkpoint needs {int(1.2 * needed):,} bytes · [\d,]+ are free"):
        train(trainer, "small", None)
    assert trainer.state.global_step == 0


# --- numbers that are not finite --------------------------------------------------------------------------------------


def spoiled(trainer, monkeypatch, micro_batch: int, change):
    """Let `change` have the loss of one micro-batch."""
    compute, calls = trainer.compute_loss, []

    def computed(*args, **kwargs):
        calls.append(1)
        loss = compute(*args, **kwargs)
        return change(loss) if len(calls) == micro_batch else loss

    monkeypatch.setattr(trainer, "compute_loss", computed)
    return trainer


class Overflows(torch.autograd.Function):
    """The same value, with a gradient that is infinite."""

    @staticmethod
    def forward(context, value):
        return value.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient * math.inf


@pytest.mark.parametrize(
    ("change", "named"),
    [(lambda loss: loss * math.nan, "loss and gradient are"), (Overflows.apply, "gradient is")],
    ids=["loss", "gradient"],
)
def test_nothing_that_is_not_finite_reaches_the_optimizer(change, named, tmp_path, monkeypatch):
    third = 2 * MICRO_BATCHES + 2  # in the middle of the third step
    trainer = spoiled(toy_trainer(tmp_path, max_steps=5), monkeypatch, third, change)
    with pytest.raises(NotFiniteError, match=rf"step 3 · {named.split()[0]}"):
        train(trainer, "spoiled", None)
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())
    assert newest_whole_checkpoint(tmp_path).name == "checkpoint-2"
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    assert len(losses) == 2 and all(losses), "no 0 in place of what is no number"


def test_weights_that_overflow_are_not_saved(tmp_path):
    trainer = toy_trainer(tmp_path, max_steps=5, optim="sgd", learning_rate=1e38, max_grad_norm=0.0)
    with pytest.raises(NotFiniteError, match="not finite · nothing of it was saved"):
        train(trainer, "too fast", None)
    for checkpoint in sorted_checkpoints(tmp_path):
        assert all(weight.isfinite().all() for weight in load_file(checkpoint / "model.safetensors").values())
