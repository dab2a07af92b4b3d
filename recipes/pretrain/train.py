"""Run a `pretrain` recipe: a small model from scratch on generated demonstrations.

The loss is on answers only: prompts of generated tasks are random names and numbers, which nothing can predict.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    GenerationConfig,
    Lfm2Config,
    Lfm2ForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    Trainer,
    TrainingArguments,
)

from ..parts.optimizer import muon_with_adamw
from ..run.run_folder import MetricsFile
from ..run.trainer_base import TrainerBase
from ..run.training import run_training, trainer_options
from ..sft.examples import IGNORED, Example, make_examples, training_renderer
from .tokenizer import train_tokenizer

if TYPE_CHECKING:
    from ..config.loader import LoadedRecipe
    from ..config.pretrain import Architecture, PretrainRecipe


def run(loaded: LoadedRecipe[PretrainRecipe], resume: bool = False) -> Path:
    """Train tokenizer and model; returns the run folder, see `run_training`."""
    return run_training(loaded, resume, build_trainer)


def build_trainer(loaded: LoadedRecipe[PretrainRecipe]) -> BucketedTrainer:
    """Tokenizer, examples and a new model."""
    recipe = loaded.recipe
    tokenizer = train_tokenizer(
        [row for source in recipe.mixture for row in source.load(size=recipe.tokenizer.rows_per_source)],
        recipe.tokenizer.vocab_size,
        recipe.architecture.max_positions,
        recipe.tokenizer.kind,
    )
    arguments = TrainingArguments(**trainer_options(recipe, bf16=False, remove_unused_columns=False))
    rows = [row for source in recipe.mixture for row in source.load()]
    examples, _ = make_examples(rows, training_renderer(tokenizer), recipe.architecture.max_positions, "refuse")
    torch.set_flush_denormal(True)  # Adam's moments of rare tokens decay into denormals, which CPUs handle slowly
    torch.manual_seed(recipe.seed)
    model = new_model(recipe.architecture, tokenizer)
    rows = arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
    return BucketedTrainer(
        model=model,
        args=arguments,
        optimizers=(muon_with_adamw(model, recipe.muon_learning_rate, arguments), None),
        train_dataset=bucketed(examples, rows, recipe.seed),
        processing_class=tokenizer,
        data_collator=lambda batch: collate(batch, tokenizer.pad_token_id),
        callbacks=[MetricsFile(Path(recipe.output_dir))],
    )


def new_model(architecture: Architecture, tokenizer: Any) -> PreTrainedModel:
    """A randomly initialised model in float32 with tied embeddings."""
    common = {
        "vocab_size": -(-len(tokenizer) // 64) * 64,
        "hidden_size": architecture.hidden_size,
        "num_hidden_layers": architecture.layers,
        "num_attention_heads": architecture.heads,
        "num_key_value_heads": architecture.kv_heads,
        "intermediate_size": architecture.intermediate_size,
        "max_position_embeddings": architecture.max_positions,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "dtype": "float32",
    }
    if architecture.kind == "lfm2":
        kinds = ["full_attention" if layer % 2 else "conv" for layer in range(architecture.layers)]
        config = Lfm2Config(**common, layer_types=kinds, block_auto_adjust_ff_dim=False)
        model: PreTrainedModel = Lfm2ForCausalLM(config)
    else:
        model = Qwen3ForCausalLM(Qwen3Config(**common, head_dim=architecture.head_dim))
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=True
    )
    return model


def bucketed(examples: Sequence[Example], batch_size: int, seed: int) -> list[Example]:
    """Order examples so that each batch holds similar lengths and the batches come in random order."""
    rng = random.Random(seed)
    order = list(examples)
    rng.shuffle(order)
    pool = 32 * batch_size
    full = []
    for start in range(0, len(order), pool):
        near = sorted(order[start : start + pool], key=lambda example: len(example["input_ids"]))
        full += [near[at : at + batch_size] for at in range(0, len(near) - batch_size + 1, batch_size)]
    rng.shuffle(full)
    return [example for batch in full for example in batch]


def collate(batch: Sequence[Example], pad_token_id: int) -> dict[str, torch.Tensor]:
    """Right-padded `[batch, tokens]`; labels only on answers."""
    ids = [torch.tensor(example["input_ids"]) for example in batch]
    labels = [torch.tensor(example["labels"]) for example in batch]
    return {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=pad_token_id),
        "attention_mask": pad_sequence([torch.ones_like(i) for i in ids], batch_first=True),
        "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
    }


class BucketedTrainer(TrainerBase, Trainer):
    """A `Trainer` that reads its examples in the order given and computes logits for answers only."""

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler:
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def compute_loss(
        self,
        model: PreTrainedModel,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Mean cross-entropy over the answer tokens of a step; the head runs where a row of the batch has one."""
        targets = inputs["labels"][:, 1:]
        answered = targets != IGNORED
        places = answered.any(0).nonzero().flatten()
        read = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        # Through the model itself, which may be wrapped for several processes.
        logits = model(**read, use_cache=False, logits_to_keep=places).logits[answered[:, places]]
        total = torch.nn.functional.cross_entropy(logits, targets[answered], reduction="sum")
        # The count is that of all processes, over which gradients are averaged.
        learned = answered.sum() if num_items_in_batch is None else num_items_in_batch / self.accelerator.num_processes
        loss = total / learned
        return (loss, logits) if return_outputs else loss
