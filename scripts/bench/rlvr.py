"""What a DPH-RL step costs beside TRL's GRPO with a reference model; writes docs/results/rlvr.{json,md}.

    python scripts/bench/rlvr.py

Two trainers with the same random model and prompts take turns (A B A B ...) in one process on one thread. The train
phase is a step without generation and rewards: reference log-probs, policy forward and backward, rehearsal forward and
backward, optimizer. CPU seconds are compared pair by pair; the median ratio is quoted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch
from quince.recipes.rlvr import advantages, rollouts
from quince.recipes.rlvr.rehearsal import Origin, RehearsalRow, RehearsalStore, write_store
from quince.recipes.rlvr.rehearsal_loss import Rehearsal, RehearsalSettings
from quince.recipes.rlvr.trainer import RlvrTrainer
from trl import GRPOConfig, GRPOTrainer

ROLLOUTS, GROUP, TOKENS = 64, 8, 48
REFERENCE_RECORD_BYTES = (16_000 + 4_096) * 8 * 3 + 4_096 * (8 + 2 * 4)
"""One stored answer of the paper's code: padded int64 ids, mask and positions, response copy, two float arrays."""


class PhaseClock:
    """CPU seconds of a step without generation and rewards, and the tokens that passed through each model."""

    def __init__(self) -> None:
        self.excluded, self.steps, self.reference_tokens = 0.0, [], 0

    def attach(self, trainer: GRPOTrainer) -> GRPOTrainer:
        """Wrap the trainer's own methods; both trainers are measured by the same wrapper."""
        trainer._generate = self._excluding(trainer._generate)
        trainer._calculate_rewards = self._excluding(trainer._calculate_rewards)
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
    """A reward that varies within every group, so that no group is skipped."""
    return [float(sum(ids) % 2) for ids in completion_ids]


def make_model(folder: Path) -> Any:
    """A random Qwen3 of 3 million parameters with the shipped tokenizer."""
    from quince.recipes.config.pretrain import Architecture
    from quince.recipes.parts.models import model_path
    from quince.recipes.pretrain.train import new_model
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_path("tiny"), padding_side="left")
    torch.manual_seed(0)
    sizes = {"hidden_size": 192, "layers": 6, "heads": 6, "kv_heads": 2, "intermediate_size": 576}
    model = new_model(Architecture(**sizes), tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer


def dataset(count: int) -> Any:
    """Prompts of the generated SQL task."""
    from datasets import Dataset
    from quince.data.sources import load_rows

    return Dataset.from_list([{"prompt": row["prompt"]} for row in load_rows("sql_idioms", split="train", size=count)])


def store(folder: Path, tokenizer: Any, rows: int) -> RehearsalStore:
    """Answers as long as the rollouts, so that a rehearsed row costs what a rollout row costs."""
    import numpy as np
    from quince.data.chat.renderer import render_prompt
    from quince.data.sources import load_rows

    rng = np.random.default_rng(0)
    made = [
        RehearsalRow(
            np.asarray(render_prompt(row, tokenizer), np.int32),
            rng.integers(10, 400, TOKENS).astype(np.int32),
            np.full(TOKENS, -1.0, np.float32),
        )
        for row in load_rows("sql_idioms", split="train", size=rows)
    ]
    write_store(folder, made, [str(i) for i in range(rows)], Origin("bench", "", "", "float32", {}))
    return RehearsalStore(folder)


def config(folder: Path, steps: int, **more: Any) -> GRPOConfig:
    """The same arguments for both trainers."""
    return GRPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=ROLLOUTS,
        num_generations=GROUP,
        max_completion_length=TOKENS,
        max_steps=steps,
        learning_rate=1e-6,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        logging_steps=1000,
        disable_tqdm=True,
        loss_type="dapo",
        # Ends no answer early: every row has the same length in both trainers.
        generation_kwargs={"min_new_tokens": TOKENS},
        **more,
    )


def baseline(folder: Path, steps: int, rows: Any) -> PhaseClock:
    """TRL's own GRPO with beta > 0."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    clock = PhaseClock()
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder / "model", dtype="float32"),
        reward_funcs=parity_reward,
        args=config(folder / "a", steps, beta=0.04),
        train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(folder / "model", padding_side="left"),
    )
    clock.attach(trainer).train()
    return clock


def rehearsing(folder: Path, steps: int, rows: Any, share: float) -> PhaseClock:
    """Ours with forward KL on stored answers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "model", padding_side="left")
    settings = RehearsalSettings("forward_kl", 0.1, batch_size=round(ROLLOUTS * share))
    clock = PhaseClock()
    trainer = RlvrTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder / "model", dtype="float32"),
        reward_funcs=parity_reward,
        args=config(folder / f"b{share}", steps, beta=0.0),
        train_dataset=rows,
        processing_class=tokenizer,
        advantage=advantages.group,
        rehearsal=Rehearsal(RehearsalStore(folder / "store"), settings, tokenizer.pad_token_id),
    )
    clock.attach(trainer).train()
    return clock


def train_phase(folder: Path, pairs: int, steps: int) -> dict[str, Any]:
    """Paired ratios of the train phase at two rehearsal shares."""
    rows = dataset(64)
    found: dict[str, Any] = {"pairs": pairs, "steps_per_run": steps, "rollout_tokens_per_step": ROLLOUTS * TOKENS}
    clocks: dict[str, list[PhaseClock]] = {"trl": [], "0.125": [], "0.25": []}
    for _ in range(pairs):
        clocks["trl"].append(baseline(folder, steps, rows))
        for share in (0.125, 0.25):
            clocks[str(share)].append(rehearsing(folder, steps, rows, share))
    medians = {name: [statistics.median(clock.steps[1:]) for clock in runs] for name, runs in clocks.items()}
    found["trl_cpu_seconds"] = medians["trl"]
    found["trl_reference_tokens"] = clocks["trl"][0].reference_tokens
    for share in ("0.125", "0.25"):
        ratios = [ours / theirs for ours, theirs in zip(medians[share], medians["trl"], strict=True)]
        found[share] = {
            "cpu_seconds": medians[share],
            "ratios": ratios,
            "median_ratio": statistics.median(ratios),
            "reference_tokens": sum(clock.reference_tokens for clock in clocks[share]),
        }
    return found


def zero_variance(folder: Path) -> dict[str, Any]:
    """Training tokens and gradient with and without the rows of zero-variance groups."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype="float64")
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(10, 400, (32, TOKENS), generator=generator)
    advantage = torch.randn(4, GROUP, generator=generator, dtype=torch.float64)
    advantage[::2] = 0
    batch = {
        "prompt_ids": torch.randint(10, 400, (32, 30), generator=generator),
        "prompt_mask": torch.ones(32, 30, dtype=torch.long),
        "completion_ids": ids,
        "completion_mask": torch.ones_like(ids),
        "advantages": advantage.reshape(-1),
        "num_items_in_batch": torch.tensor(ids.numel()),
    }
    kept, scale = rollouts.informative(batch, "grpo")
    gradients, tokens = [], []
    for part, factor in ((batch, 1.0), (kept, scale)):
        whole = torch.cat([part["prompt_ids"], part["completion_ids"]], 1)
        logits = model(whole).logits[:, -TOKENS - 1 : -1].log_softmax(-1)
        log_probs = logits.gather(-1, part["completion_ids"].unsqueeze(-1)).squeeze(-1)
        loss = -(log_probs * part["advantages"].unsqueeze(1)).mean() * factor
        gradients.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(model.parameters()))]))
        tokens.append(whole.numel())
    difference = (gradients[0] - gradients[1]).abs().max() / gradients[0].abs().max()
    return {
        "zero_variance_share": 0.5,
        "tokens": tokens,
        "token_ratio": tokens[1] / tokens[0],
        "gradient_difference": difference.item(),
    }


def bytes_per_sample(folder: Path, tokenizer: Any) -> dict[str, Any]:
    """Disk size of a stored answer of the reference's shape: 1,500 prompt and 800 answer tokens."""
    import numpy as np

    row = RehearsalRow(np.ones(1500, np.int32), np.ones(800, np.int32), np.zeros(800, np.float32))
    write_store(folder / "size", [row] * 100, [str(i) for i in range(100)], Origin("bench", "", "", "float32", {}))
    ours = sum(file.stat().st_size for file in (folder / "size").iterdir()) / 100
    return {"bytes": ours, "reference_bytes": REFERENCE_RECORD_BYTES, "ratio": ours / REFERENCE_RECORD_BYTES}


def page(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    phase, size, dull = result["train_phase"], result["store"], result["zero_variance"]
    lines = [
        "# Cost of a DPH-RL step",
        "",
        f"{result['date']}, {result['processor']}, one thread, torch {result['torch']}, TRL {result['trl']}; "
        f"`python scripts/bench/rlvr.py`: {phase['pairs']} interleaved pairs of {phase['steps_per_run']} steps, "
        f"{ROLLOUTS} rollouts of {TOKENS} tokens a step.",
        "",
        "| what | figure | goal |",
        "|---|---|---|",
        "| train phase, rehearsal 12.5 %, against TRL with beta > 0 "
        f"| {phase['0.125']['median_ratio']:.3f}× | ≤ 0.92× |",
        f"| train phase, rehearsal 25 % | {phase['0.25']['median_ratio']:.3f}× | ≤ 1.00× |",
        f"| reference-model tokens, ours (TRL: {phase['trl_reference_tokens']} a run) "
        f"| {phase['0.125']['reference_tokens']} | 0 |",
        f"| bytes of a stored answer of 1,500 + 800 tokens | {size['bytes']:,.0f} ({size['ratio']:.4f} of the padded "
        f"int64 record) | ≤ 0.05 |",
        f"| training tokens with half the groups at zero variance | {dull['token_ratio']:.2f}× | 0.50× |",
        f"| largest relative change of the gradient from leaving them out | {dull['gradient_difference']:.1e} | 0 |",
        "",
        f"Ratios of the pairs at 12.5 %: {', '.join(f'{r:.3f}' for r in phase['0.125']['ratios'])}; "
        f"at 25 %: {', '.join(f'{r:.3f}' for r in phase['0.25']['ratios'])}.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    import trl
    from quince.recipes.run.run_folder import processor

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tokenizer = make_model(folder / "model")
        store(folder / "store", tokenizer, 64)
        result = {
            "date": str(date.today()),
            "processor": processor(),
            "torch": torch.__version__,
            "trl": trl.__version__,
            "store": bytes_per_sample(folder, tokenizer),
            "zero_variance": zero_variance(folder / "."),
            "train_phase": train_phase(folder, arguments.pairs, arguments.steps),
        }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "rlvr.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "rlvr.md").write_text(page(result), encoding="utf-8")
    print(page(result))


if __name__ == "__main__":
    main()
