"""Kill a training at random moments of saving, resume it, kill it again: what is left each time, and at the end.

    python scripts/bench/survival.py                      # 50 SIGKILLs and 20 SIGTERMs

A toy model saves after every step, in a process forked from this one; each resumes from what the one before left.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from quince.eval.measure.statistics import proportion
from quince.recipes.run.checkpoints import STAGING, newest_whole_checkpoint, sorted_checkpoints
from quince.recipes.run.trainer_base import TrainerBase
from quince.recipes.run.training import train
from quince.scripts.bench.pages import Page, Results, bench, table
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

SEED = 0
MICRO_BATCHES = 4


class Toy(TrainerBase, Trainer):
    """A Trainer as the recipes use it."""


def toy_trainer(folder: Path, **options: Any) -> Toy:
    """A small GPT-2 with dropout, so that random states matter, on random rows; a checkpoint after every step."""
    torch.manual_seed(SEED)
    sizes = {"vocab_size": 64, "n_positions": 16, "n_embd": 32, "n_layer": 2, "n_head": 2}
    rows = [{"input_ids": row, "labels": row} for row in torch.randint(64, (64, 16))]
    batch = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": MICRO_BATCHES, "max_steps": 100_000}
    saving = {"save_steps": 1, "save_total_limit": 2, "logging_steps": 1, "logging_nan_inf_filter": False}
    plain = {"lr_scheduler_type": "constant", "report_to": "none", "use_cpu": True, "disable_tqdm": True}
    settings: dict[str, Any] = batch | saving | plain
    arguments = TrainingArguments(output_dir=str(folder), seed=SEED, **settings | options)
    return Toy(model=GPT2LMHeadModel(GPT2Config(**sizes)), args=arguments, train_dataset=rows)


class Reports(TrainerCallback):
    """Writes what happens into a pipe, a line each."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say from which step on."""
        os.write(self.pipe, f"began {state.global_step}\n".encode())

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say which step is done; its checkpoint comes next."""
        os.write(self.pipe, f"step {state.global_step}\n".encode())


class EndsAt(TrainerCallback):
    """Ends training at a step that `max_steps` does not know of."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: D102
        control.should_training_stop = state.global_step >= self.step


class Child:
    """A process that trains in a folder, from where the last one stopped."""

    def __init__(self, folder: Path) -> None:
        read, write = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            os._exit(_train(folder, write))
        os.close(write)
        self.lines = os.fdopen(read)

    def until(self, word: str, times: int = 1) -> list[str]:
        """Read lines until one has begun with a word so many times."""
        found: list[str] = []
        while sum(line.startswith(word) for line in found) < times:
            found.append(self.lines.readline())
            if not found[-1]:
                raise RuntimeError(f"the training ended by itself, after {found[:-1]}")
        return found

    def end(self, number: signal.Signals) -> tuple[int, list[str]]:
        """Send a signal and wait; returns the exit code and the lines that were still to be read."""
        os.kill(self.process, number)
        _, status = os.waitpid(self.process, 0)
        return os.waitstatus_to_exitcode(status), self.lines.readlines()


def _train(folder: Path, pipe: int) -> int:
    try:
        checkpoint = str(newest_whole_checkpoint(folder)) if sorted_checkpoints(folder) else None
        trainer = toy_trainer(folder)
        trainer.add_callback(Reports(pipe))
        train(trainer, "toy", checkpoint)
    except SystemExit as end:
        return int(end.code)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return 1
    return 0


def steps_in(lines: list[str]) -> list[int]:
    return [int(line.split()[1]) for line in lines if line.startswith("step")]


def newest_step(folder: Path) -> int:
    return int(newest_whole_checkpoint(folder).name.removeprefix("checkpoint-"))


def kill_once(folder: Path, draws: random.Random, spread: float) -> dict[str, Any]:
    """Let a child resume and do a few steps, kill it at a random moment after a save has begun, and look."""
    child = Child(folder)
    began = int(child.until("began")[-1].split()[1])
    done = steps_in(child.until("step", times=draws.randint(1, 3)))
    time.sleep(draws.uniform(0, spread))
    _, rest = child.end(signal.SIGKILL)
    last = [*done, *steps_in(rest)][-1]
    found = {"resumed_at": began, "killed_at": last, "newest": newest_step(folder)}
    return found | {"while_saving": (folder / STAGING).exists()}


def stop_once(folder: Path, draws: random.Random, spread: float) -> dict[str, Any]:
    """Send SIGTERM at a random moment; returns the exit code, and what was done and left."""
    child = Child(folder)
    child.until("step")
    time.sleep(draws.uniform(0, spread))
    started = time.monotonic()
    code, rest = child.end(signal.SIGTERM)
    newest = newest_step(folder)
    lost = max(steps_in(rest), default=newest) - newest
    return {"exit_code": code, "seconds": time.monotonic() - started, "lost_steps": lost, "newest": newest}


def calibrate(folder: Path) -> float:
    child = Child(folder)
    child.until("began")
    times = []
    for _ in range(6):
        child.until("step")
        times.append(time.monotonic())
    child.end(signal.SIGKILL)
    return statistics.median(after - before for before, after in itertools.pairwise(times))


def same_as_straight(folder: Path, other: Path) -> bool:
    straight = toy_trainer(other, save_strategy="no")
    straight.add_callback(EndsAt(newest_step(folder)))
    train(straight, "straight", None)
    straight.save_model(str(other / "model"))
    one, two = (load_file(at / "model.safetensors") for at in (newest_whole_checkpoint(folder), other / "model"))
    return all(torch.equal(one[name], two[name]) for name in two)


def measure(kills: int = 50, stops: int = 20) -> Results:
    torch.set_num_threads(1)
    draws = random.Random(SEED)
    with tempfile.TemporaryDirectory() as place:
        folder, other = Path(place, "run"), Path(place, "straight")
        for path in (folder, other):
            path.mkdir()
        step = calibrate(folder)
        killed = [kill_once(folder, draws, spread=step) for _ in range(kills)]
        stopped = [stop_once(folder, draws, spread=step) for _ in range(stops)]
        same = same_as_straight(folder, other)
    whole = sum(after["resumed_at"] == one["newest"] for one, after in itertools.pairwise(killed))
    return {
        "step_seconds": step,
        "kills": killed,
        "stops": stopped,
        "resumed": whole + bool(stopped),  # the kill before the stops is resumed by the first of them
        "most_steps_lost": max(one["killed_at"] - one["newest"] for one in killed),
        "while_saving": sum(one["while_saving"] for one in killed),
        "equal_to_undisturbed": same,
    }


def render(found: Results) -> str:
    stops, kills = found["stops"], found["kills"]
    seconds = [one["seconds"] for one in stops]
    clean = sum(one["exit_code"] == 75 and one["lost_steps"] == 0 for one in stops)
    low = proportion(found["resumed"], len(kills)).low
    same = "equal to the last bit" if found["equal_to_undisturbed"] else "DIFFERENT"
    last, most = stops[-1]["newest"], found["most_steps_lost"]
    resumed = f"**{found['resumed']} of {len(kills)}** ({low:.1%} to 100 %, 95 % interval)"
    rows = {
        "SIGKILLs, of them while a checkpoint was being written": f"{len(kills)}, {found['while_saving']}",
        "resumed from a whole checkpoint": resumed,
        "most steps lost (checkpoints are one step apart)": most,
        "SIGTERMs that left a whole checkpoint and exit code 75": f"{clean} of {len(stops)}",
        "seconds from SIGTERM to the end, median and longest": f"{statistics.median(seconds):.2f}, {max(seconds):.2f}",
        "most steps lost to a SIGTERM": max(one["lost_steps"] for one in stops),
        f"weights after {last} steps and {len(kills) + len(stops)} interruptions, against a run left alone": same,
    }
    return f"""Of {len(kills)} trainings killed by SIGKILL {found["resumed"]} resume from a whole checkpoint, with at
most
{most} step{"s" * (most != 1)} lost.
After all interruptions the weights are {same.lower()} beside those of a run left alone.

{table(["measured", "figure"], list(rows.items()))}"""


PAGE = Page("survival", "A training that is killed", render, seeds=[SEED])

if __name__ == "__main__":
    bench(PAGE, measure)
