"""A run that is interrupted and resumed ends where the uninterrupted one does, to the last bit; damage is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from quince.data.rows import RowError
from quince.recipes.rlvr.store import StoreError
from quince.recipes.rlvr.train import run
from quince.recipes.run.checkpoints import STAGING, CheckpointError, newest_whole_checkpoint, sorted_checkpoints
from safetensors.numpy import load_file, save_file

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


@pytest.fixture
def finished(toy) -> Path:
    return run(toy(*SAVE, "trainer.max_steps=3"))


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "rng_state.pth"])
@pytest.mark.parametrize("damage", ["missing", "cut short"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(finished, name, damage, caplog):
    file = finished / "checkpoint-3" / name
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-100])
    assert newest_whole_checkpoint(finished).name == "checkpoint-2"
    assert "checkpoint-3 is skipped" in caplog.text
    assert damage != "cut short" or f"{name} (cut short)" in caplog.text


def test_without_a_whole_checkpoint_nothing_is_resumed(toy, finished):
    for checkpoint in sorted_checkpoints(finished):
        (checkpoint / "optimizer.pt").unlink()
    with pytest.raises(CheckpointError, match=r"no whole checkpoint .* without --resume"):
        run(toy(*SAVE), resume=True)


def test_a_kill_while_saving_leaves_nothing_to_load(toy, finished, logged):
    half = finished / STAGING / "checkpoint-4"
    shutil.copytree(finished / "checkpoint-3", half)
    (half / "optimizer.pt").unlink()
    assert newest_whole_checkpoint(finished).name == "checkpoint-3"
    run(toy(*SAVE), resume=True)
    assert [line["step"] for line in logged(finished)] == [1, 2, 3, 4]
    assert [path.name for path in sorted_checkpoints(finished)][-1] == "checkpoint-4"
    assert not (finished / STAGING).exists()


def test_a_new_run_in_the_same_folder_forgets_the_earlier_one(toy, finished, logged):
    divergence = "divergence={kind: forward_kl, weight: 0.1}"
    run(toy(*SAVE, "trainer.max_steps=2", "trainer.save_total_limit=1", divergence))
    assert [path.name for path in sorted_checkpoints(finished)] == ["checkpoint-2"]
    assert [line["step"] for line in logged(finished)] == [1, 2]
    run(toy(*SAVE, "trainer.max_steps=1", "data.0.size=4", divergence))
    samples = [json.loads(line) for line in (finished / "samples.jsonl").read_text().splitlines()]
    assert {sample["step"] for sample in samples} == {1}


def test_stored_answers_without_their_reference_are_not_measured_again(toy):
    divergence = "divergence={kind: forward_kl, weight: 0.1}"
    folder = run(toy(*SAVE, "trainer.max_steps=1", divergence))
    (folder / "reference.safetensors").unlink()
    with pytest.raises(StoreError, match="only the initial policy"):
        run(toy(*SAVE, divergence), resume=True)


def test_the_reference_of_an_earlier_run_is_not_used(toy, logged):
    divergence = "divergence={kind: forward_kl, weight: 0.1}"
    folder = run(toy(divergence, "trainer.max_steps=2"))
    before = figures(logged(folder))
    shutil.rmtree(folder / "model")
    stored = load_file(folder / "reference.safetensors")
    save_file(stored | {"log_probs": stored["log_probs"] - 1e-5}, folder / "reference.safetensors")
    assert figures(logged(run(toy(divergence, "trainer.max_steps=2")))) == before
    assert (load_file(folder / "reference.safetensors")["log_probs"] == stored["log_probs"]).all()


@pytest.mark.parametrize("adapter", ["{kind: none}", "{kind: lora, rank: 2}"])
def test_a_finished_run_is_left_as_it_is(toy, adapter, capsys):
    folder = run(toy("trainer.max_steps=1", f"model.adapter={adapter}"))
    before = (folder / "metrics.jsonl").stat().st_mtime_ns
    run(toy("trainer.max_steps=1", f"model.adapter={adapter}"))
    assert "is finished" in capsys.readouterr().out
    assert (folder / "metrics.jsonl").stat().st_mtime_ns == before


def test_the_logged_advantages_are_those_that_train(toy):
    folder = run(toy("trainer.max_steps=1", "advantage={kind: w_reinforce, positive_weight: 0.3}"))
    samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert samples
    for sample in samples:
        assert sample["advantage"] == pytest.approx(0.3 if sample["rewards"]["format"] == 1 else -1)


def test_too_few_prompts_for_a_rollout_batch_are_refused(toy):
    with pytest.raises(RowError, match="1 prompts to train on · one rollout batch takes 2"):
        run(toy("data.0.size=1"))
