"""What a DPH-RL step costs beside TRL's GRPO with a reference model.

python scripts/bench/rlvr.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from quince.data.chat.renderer import render_prompt
from quince.data.sources import load_rows
from quince.recipes.config.pretrain import Architecture
from quince.recipes.methods.advantages import Group
from quince.recipes.methods.divergences import ForwardKL
from quince.recipes.parts.models import model_path
from quince.recipes.pretrain.train import new_model
from quince.recipes.rlvr.store import Origin, Rehearsal, RehearsalRow, RehearsalStore, write_store
from quince.recipes.rlvr.trainer import RlvrTrainer
from quince.scripts.bench.pages import Page, Results, bench, table
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

ROLLOUTS, GROUP, TOKENS = 64, 8, 48


class PhaseClock:
    """CPU seconds of a step without generation and rewards, and the tokens that passed through each model."""

    def __init__(self) -> None:
        self.excluded, self.steps, self.reference_tokens = 0.0, [], 0

    def attach(self, trainer: GRPOTrainer) -> GRPOTrainer:
        """Wrap the trainer's own methods; both trainers are measured by the same wrapper."""
        for name in ("_generate", "_calculate_rewards"):
            setattr(trainer, name, self._excluding(getattr(trainer, name)))
        step = trainer.training_step

        def timed(*args: Any, **kwargs: Any) -> Any:
            self.excluded, start = 0.0, time.process_time()
            result = step(*args, **kwargs)
            self.steps.append(time.process_time() - start - self.excluded)
            return result

        trainer.training_step = timed
        if trainer.ref_model is not None:
            trainer.ref_model.register_forward_pre_hook(self._count, with_kwargs=True)
        return trainer

    def _excluding(self, function: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            result = function(*args, **kwargs)
            self.excluded += time.process_time() - start
            return result

        return wrapped

    def _count(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        self.reference_tokens += int(kwargs["attention_mask"].sum())


def parity_reward(prompts: Any, completions: Any, completion_ids: list[list[int]], **columns: Any) -> list[float]:
    return [float(sum(ids) % 2) for ids in completion_ids]


def make_model(folder: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(model_path("tiny"), padding_side="left")
    torch.manual_seed(0)
    sizes = {"hidden_size": 192, "layers": 6, "heads": 6, "kv_heads": 2, "intermediate_size": 576}
    model = new_model(Architecture(**sizes), tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer


def store(folder: Path, tokenizer: Any, rows: int) -> RehearsalStore:
    """Answers as long as the rollouts, so that a rehearsed row costs what a rollout row costs."""
    rng = np.random.default_rng(0)
    made = []
    for row in load_rows("sql_idioms", split="train", size=rows):
        prompt = np.asarray(render_prompt(row, tokenizer), np.int32)
        ids = rng.integers(10, 400, TOKENS).astype(np.int32)
        made.append(RehearsalRow(prompt, ids, np.full(TOKENS, -1.0, np.float32)))
    write_store(folder, made, [str(i) for i in range(rows)], Origin("bench", "", "", "float32", {}))
    return RehearsalStore(folder)


def config(folder: Path, steps: int, **more: Any) -> GRPOConfig:
    sizes = {"per_device_train_batch_size": ROLLOUTS, "num_generations": GROUP, "max_completion_length": TOKENS}
    plain = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "save_strategy": "no"}
    quiet = {"report_to": "none", "disable_tqdm": True, "logging_steps": 1000}
    run = {"max_steps": steps, "learning_rate": 1e-6, "loss_type": "dapo"}
    length = {"min_new_tokens": TOKENS}  # ends no completion early: rows have the same length in both trainers
    return GRPOConfig(output_dir=str(folder), generation_kwargs=length, **sizes, **plain, **quiet, **run, **more)


def run(folder: Path, steps: int, rows: Any, share: float | None = None) -> PhaseClock:
    """TRL's own GRPO with beta > 0, or ours with forward KL on stored completions, so many of a step's rollouts."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "model", padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype="float32")
    given = {"model": model, "reward_funcs": parity_reward, "train_dataset": rows, "processing_class": tokenizer}
    if share is None:
        trainer = GRPOTrainer(args=config(folder / "a", steps, beta=0.04), **given)
    else:
        stored, size = RehearsalStore(folder / "store"), round(ROLLOUTS * share)
        rehearsal = Rehearsal(stored, ForwardKL(weight=0.1), tokenizer.pad_token_id, batch_size=size)
        arguments = config(folder / f"b{share}", steps, beta=0.0)
        trainer = RlvrTrainer(args=arguments, advantage=Group(), rehearsal=rehearsal, **given)
    clock = PhaseClock()
    clock.attach(trainer).train()
    return clock


def train_phase(folder: Path, pairs: int, steps: int) -> dict[str, Any]:
    rows = Dataset.from_list([{"prompt": row["prompt"]} for row in load_rows("sql_idioms", split="train", size=64)])
    found: dict[str, Any] = {"pairs": pairs, "steps_per_run": steps, "rollout_tokens_per_step": ROLLOUTS * TOKENS}
    shares = {"trl": None, "0.125": 0.125, "0.25": 0.25}
    clocks: dict[str, list[PhaseClock]] = {name: [] for name in shares}
    for _, (name, share) in product(range(pairs), shares.items()):
        clocks[name].append(run(folder, steps, rows, share))
    medians = {name: [statistics.median(clock.steps[1:]) for clock in runs] for name, runs in clocks.items()}
    found["trl_cpu_seconds"] = medians["trl"]
    found["trl_reference_tokens"] = clocks["trl"][0].reference_tokens
    for name in list(shares)[1:]:
        ratios = [ours / theirs for ours, theirs in zip(medians[name], medians["trl"], strict=True)]
        found[name] = {"cpu_seconds": medians[name], "ratios": ratios, "median_ratio": statistics.median(ratios)}
        found[name]["reference_tokens"] = sum(clock.reference_tokens for clock in clocks[name])
    return found


def measure(pairs: int = 5, steps: int = 3) -> Results:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store(folder / "store", make_model(folder / "model"), 64)
        return {"train_phase": train_phase(folder, pairs, steps)}


def render(found: Results) -> str:
    phase = found["train_phase"]
    few, more, trl = phase["0.125"], phase["0.25"], phase["trl_reference_tokens"]
    rows = [
        ["train phase, rehearsal 12.5 %, against TRL with beta > 0", f"{few['median_ratio']:.3f}×", "≤ 0.92×"],
        ["train phase, rehearsal 25 %", f"{more['median_ratio']:.3f}×", "≤ 1.00×"],
        [f"reference-model tokens, ours (TRL: {trl} a run)", few["reference_tokens"], "0"],
    ]
    ratios = [", ".join(f"{ratio:.3f}" for ratio in one["ratios"]) for one in (few, more)]
    return f"""The training phase of a DPH-RL step takes {few["median_ratio"]:.2f} times the CPU time of TRL's GRPO with
a reference model. It passes {few["reference_tokens"]} tokens through a reference model, where TRL
passes {trl} in a run.

{table(["what", "figure", "goal"], rows)}
{phase["pairs"]} interleaved pairs of {phase["steps_per_run"]} steps, {ROLLOUTS} rollouts of {TOKENS} tokens a step.
Ratios of the pairs at 12.5 %: {ratios[0]}; at 25 %: {ratios[1]}."""


PAGE = Page("rlvr", "Cost of a DPH-RL step", render, seeds=[0])

if __name__ == "__main__":
    bench(PAGE, measure)
