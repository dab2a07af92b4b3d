"""Packed SFT against TRL's padded batches: real tokens per CPU second, share of real tokens, and equal losses.

python scripts/bench/sft_packing.py
"""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from quince.data.chat.renderer import read_template
from quince.data.sources import load_demonstrations
from quince.recipes.config.model import Model
from quince.recipes.parts.models import load_policy, load_tokenizer
from quince.recipes.sft.examples import Example, make_dataset, make_examples, training_renderer
from quince.recipes.sft.trainer import PackCollator, SftTrainer
from quince.scripts.bench.pages import Page, Results, bench, in_turns, table
from trl import SFTConfig, SFTTrainer

BASELINE = "TRL, padded batch of 8"
SOURCES = {"function_calls": 1200, "sql_idioms": 300, "strategies": 300}
ROUNDS = 5
STEP_TOKENS = 4096
LENGTHS = (512, 1024, 2048)


def examples() -> tuple[Any, list[Example]]:
    tokenizer = load_tokenizer(Model(id="tiny"))
    tokenizer.padding_side = "right"
    tokenizer.chat_template = read_template("hermes_signatures")
    rows = []
    for kind, size in SOURCES.items():
        split = "train" if kind == "function_calls" else "pretrain"
        rows += load_demonstrations(kind, split=split, size=size, seed=1)
    random.Random(0).shuffle(rows)
    made, _ = make_examples(rows, training_renderer(tokenizer), min(LENGTHS), "drop")
    return tokenizer, made


def make_trainer(kind: type[SFTTrainer], tokenizer: Any, dataset: Any, folder: str, **options: Any) -> SFTTrainer:
    plain = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": "none"}
    arguments = SFTConfig(output_dir=folder, dataset_kwargs={"skip_prepare_dataset": True}, **plain, **options)
    model = load_policy(Model(id="tiny", dtype="float32"))
    return kind(model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer)


def variants(tokenizer: Any, made: Sequence[Example], folder: str) -> dict[str, tuple[SFTTrainer, Any]]:
    padded = make_dataset(made, False, None, 0)
    trainers, options = {}, {"max_length": None, "per_device_train_batch_size": 8}
    for name, kind in {BASELINE: SFTTrainer, "padded batch of 8, loss on labels only": SftTrainer}.items():
        trainers[name] = (make_trainer(kind, tokenizer, padded, folder, **options), padded)
    for length in LENGTHS:
        packed = make_dataset(made, True, length, 0)
        options = {"max_length": length, "packing": True, "per_device_train_batch_size": STEP_TOKENS // length}
        for name in ("one mask for each pack", "attention by conversation"):
            trainer = make_trainer(SftTrainer, tokenizer, packed, folder, **options)
            if name.startswith("one mask"):
                trainer.model.set_attn_implementation("sdpa")
                trainer.data_collator = PackCollator(tokenizer.pad_token_id)
            trainers[f"packs of {length}, {name}"] = (trainer, packed)
        if length == 1024:
            trainers["TRL, packs of 1024"] = (make_trainer(SFTTrainer, tokenizer, packed, folder, **options), packed)
    return trainers


def batches(trainer: SFTTrainer, dataset: Any, tokens: int) -> list[tuple[dict[str, Any], int]]:
    """Collated batches from the start of a dataset, with their real tokens, until there are enough."""
    size, made = trainer.args.per_device_train_batch_size, []
    for start in range(0, len(dataset) - size, size):
        rows = [dataset[index] for index in range(start, start + size)]
        made.append((trainer.data_collator(rows), sum(len(row["input_ids"]) for row in rows)))
        if sum(real for _, real in made) >= tokens:
            break
    return made


def one_step(trainer: SFTTrainer, batch: dict[str, Any]) -> float:
    trainer.model.train()
    count = (batch["labels"][:, 1:] != -100).sum()
    loss = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=count)
    loss.backward()
    trainer.model.zero_grad()
    return float(loss.detach())


def rates(trainers: dict[str, tuple[SFTTrainer, Any]], tokens: int) -> dict[str, dict[str, float]]:
    """Real tokens per CPU second (the median of interleaved rounds) and the share of real tokens."""
    prepared = {name: batches(*pair, tokens) for name, pair in trainers.items()}

    def steps(name: str) -> None:
        for batch, _ in prepared[name]:
            one_step(trainers[name][0], batch)

    seconds = in_turns(ROUNDS, **{name: partial(steps, name) for name in trainers})
    found = {}
    for name, made in prepared.items():
        real, slots = sum(real for _, real in made), sum(batch["input_ids"].numel() for batch, _ in made)
        rate = statistics.median(real / spent for spent in seconds[name])
        found[name] = {"tokens_per_cpu_second": rate, "real_share": real / slots}
    return found


def measure() -> Results:
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer, made = examples()
    lengths = sorted(len(example["input_ids"]) for example in made)
    with tempfile.TemporaryDirectory() as folder:
        return {
            "conversations": len(made),
            "written": sum(label >= 0 for row in made for label in row["labels"]) / sum(lengths),
            "tokens": {"shortest": lengths[0], "median": lengths[len(lengths) // 2], "longest": lengths[-1]},
            "variants": rates(variants(tokenizer, made, folder), tokens=4 * STEP_TOKENS),
        }


def render(found: Results) -> str:
    rates, tokens = {name: one["tokens_per_cpu_second"] for name, one in found["variants"].items()}, found["tokens"]
    base, best = rates[BASELINE], max(rates, key=lambda name: rates[name])
    real = {name: f"{one['real_share']:.1%}" for name, one in found["variants"].items()}
    rows = [[name, real[name], f"{rate:,.0f}", f"{rate / base:.2f}x"] for name, rate in rates.items()]
    return f"""Packing trains on {rates[best] / base:.1f} times the real tokens per CPU second of TRL's padded batches
({best}).
Of the tokens in a padded batch of TRL {found["variants"][BASELINE]["real_share"]:.0%} are real.

{table(["batch", "real tokens", "tokens per CPU second", "against TRL padded"], rows)}
Forward and backward passes of the tiny model over {found["conversations"]:,} conversations of {tokens["shortest"]} to
{tokens["longest"]} tokens (median {tokens["median"]}; function calls, SQL, strategies), shuffled. Only real tokens
count;
{found["written"]:.0%} of them are learned. Rates are medians of {ROUNDS} interleaved rounds of CPU time, one thread;
steps hold about {STEP_TOKENS:,} tokens where they are packed."""


PAGE = Page("sft_packing", "Packed SFT on a CPU", render, seeds=[0, 1])

if __name__ == "__main__":
    bench(PAGE, measure)
