"""Packed SFT against TRL's padded batches: real tokens per CPU second, share of real tokens, and equal losses.

Writes `docs/results/sft_packing.json` and `.md`: `python scripts/bench/sft_packing.py`.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from quince.data.chat.renderer import read_template
from quince.data.sources import load_demonstrations
from quince.recipes.config.model import Model
from quince.recipes.parts.models import load_policy, load_tokenizer
from quince.recipes.run.run_folder import processor
from quince.recipes.sft.examples import Example, make_dataset, make_examples, training_renderer
from quince.recipes.sft.trainer import PackCollator, SftTrainer
from trl import SFTConfig, SFTTrainer

RESULTS = Path(__file__).parents[2] / "docs" / "results"
SOURCES = {"function_calls": 1200, "sql_idioms": 300, "strategies": 300}
ROUNDS = 5
STEP_TOKENS = 4096
LENGTHS = (512, 1024, 2048)


def examples() -> tuple[Any, list[Example]]:
    """Conversations of very different lengths, shuffled."""
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
    arguments = SFTConfig(
        output_dir=folder,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        dataset_kwargs={"skip_prepare_dataset": True},
        **options,
    )
    model = load_policy(Model(id="tiny", dtype="float32"))
    return kind(model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer)


def variants(tokenizer: Any, made: Sequence[Example], folder: str) -> dict[str, tuple[SFTTrainer, Any]]:
    """Trainer and dataset by name."""
    padded = make_dataset(made, False, None, 0)
    found = {"TRL, padded batch of 8": SFTTrainer, "padded batch of 8, loss on labels only": SftTrainer}
    trainers = {
        name: (make_trainer(kind, tokenizer, padded, folder, max_length=None, per_device_train_batch_size=8), padded)
        for name, kind in found.items()
    }
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
    size, made, total = trainer.args.per_device_train_batch_size, [], 0
    for start in range(0, len(dataset) - size, size):
        rows = [dataset[index] for index in range(start, start + size)]
        real = sum(len(row["input_ids"]) for row in rows)
        made.append((trainer.data_collator(rows), real))
        total += real
        if total >= tokens:
            break
    return made


def one_step(trainer: SFTTrainer, batch: dict[str, Any]) -> float:
    """Loss and gradients of a batch, as a training step computes them."""
    trainer.model.train()
    count = (batch["labels"][:, 1:] != -100).sum()
    loss = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=count)
    loss.backward()
    trainer.model.zero_grad()
    return float(loss.detach())


def measure(trainers: dict[str, tuple[SFTTrainer, Any]], tokens: int) -> dict[str, dict[str, float]]:
    """Real tokens per CPU second (the median of interleaved rounds) and the share of real tokens."""
    prepared = {name: batches(*pair, tokens) for name, pair in trainers.items()}
    rates: dict[str, list[float]] = {name: [] for name in trainers}
    for number in range(ROUNDS + 1):
        for name, (trainer, _) in trainers.items():
            start = time.process_time()
            for batch, _ in prepared[name]:
                one_step(trainer, batch)
            spent = time.process_time() - start
            if number:
                rates[name].append(sum(real for _, real in prepared[name]) / spent)
    slots = {name: sum(batch["input_ids"].numel() for batch, _ in made) for name, made in prepared.items()}
    return {
        name: {
            "tokens_per_cpu_second": statistics.median(rates[name]),
            "real_share": sum(real for _, real in prepared[name]) / slots[name],
        }
        for name in trainers
    }


def loss_difference(tokenizer: Any, made: Sequence[Example], folder: str) -> float:
    """Largest difference of one epoch's mean loss between packed and padded, in nats per token."""
    losses = []
    for packing, options in ((False, {"max_length": None}), (True, {"max_length": 1024, "packing": True})):
        dataset = make_dataset(made, packing, 1024, 0)
        trainer = make_trainer(SftTrainer, tokenizer, dataset, folder, per_device_train_batch_size=4, **options)
        losses.append(mean_loss(trainer, dataset))
    return abs(losses[0] - losses[1])


def mean_loss(trainer: SFTTrainer, dataset: Any) -> float:
    """Nats per learned token over a whole dataset."""
    total = count = 0.0
    trainer.model.eval()
    for start in range(0, len(dataset), 4):
        batch = trainer.data_collator([dataset[i] for i in range(start, min(start + 4, len(dataset)))])
        with torch.no_grad():
            total += float(trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=torch.tensor(1)))
        count += int((batch["labels"][:, 1:] != -100).sum())
    return total / count


BASELINE = "TRL, padded batch of 8"
TEXT = """# Packed SFT on a CPU

Forward and backward passes of the tiny model over {conversations:,} conversations of {shortest} to {longest} tokens
(median {median}; function calls, SQL, strategies), shuffled. Only real tokens count; {written:.0%} of them are learned.
Rates are medians of {rounds} interleaved rounds of CPU time; steps hold about {step:,} tokens where they are packed.

{table}

Mean loss over 200 of the conversations, packed against padded: {difference:.1e} nats per token apart.

- Padding is more than half of TRL's batch, and without a GPU TRL computes logits and entropy at every position; the
  second row shows what it is worth to compute logits only where there is a label.
- transformers keeps packed conversations apart by a mask of the whole pack, so that attention costs the square of the
  pack's length: with that, short packs are best (512), as long as they fill up. TRL joins all packs of a batch into one
  row, whose mask is larger still.
- Attention by conversation (`recipes/sft/trainer.py`) computes each one alone: the rate does not depend on the length
  of a pack, so `max_length` can be chosen for the longest conversation. SFT uses it on CPUs where all layers are plain
  causal attention; on GPUs FlashAttention takes the boundaries, and other kernels the mask of each pack.

{processor}, {threads} thread(s), torch {torch}. Made by `scripts/bench/sft_packing.py`.
"""


def page(record: dict[str, Any]) -> str:
    """The results page."""
    base = record["variants"][BASELINE]["tokens_per_cpu_second"]
    rows = ["| batch | real tokens | tokens per CPU second | against TRL padded |", "|---|---|---|---|"]
    for name, found in record["variants"].items():
        rate = found["tokens_per_cpu_second"]
        rows.append(f"| {name} | {found['real_share']:.1%} | {rate:,.0f} | **{rate / base:.2f}x** |")
    return TEXT.format(
        table="\n".join(rows),
        difference=record["loss_difference"],
        rounds=ROUNDS,
        step=STEP_TOKENS,
        **record["tokens"],
        **{name: record[name] for name in ("conversations", "written", "processor", "threads", "torch")},
    )


def main() -> None:
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    tokenizer, made = examples()
    lengths = sorted(len(example["input_ids"]) for example in made)
    with tempfile.TemporaryDirectory() as folder:
        record = {
            "processor": processor(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "conversations": len(made),
            "written": sum(label >= 0 for row in made for label in row["labels"]) / sum(lengths),
            "tokens": {"shortest": lengths[0], "median": lengths[len(lengths) // 2], "longest": lengths[-1]},
            "variants": measure(variants(tokenizer, made, folder), tokens=4 * STEP_TOKENS),
            "loss_difference": loss_difference(tokenizer, made[:200], folder),
        }
    (RESULTS / "sft_packing.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "sft_packing.md").write_text(page(record), encoding="utf-8")
    print(page(record))


if __name__ == "__main__":
    main()
