"""Run an `sft` recipe: `quince train RECIPE`, or `accelerate launch -m quince.recipes.sft.train RECIPE key=value`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..run.training import run_training, trainer_options

if TYPE_CHECKING:
    from ..config.loader import LoadedRecipe
    from ..config.sft import SftRecipe
    from .trainer import SftTrainer


def run(loaded: LoadedRecipe[SftRecipe], resume: bool = False) -> Path:
    """Train and return the run folder, see `run_training`."""
    return run_training(loaded, resume, build_trainer)


def build_trainer(loaded: LoadedRecipe[SftRecipe]) -> SftTrainer:
    """Put conversations, model and optimizer together."""
    import torch

    from ...data.cache import write_atomic
    from ..config.language.errors import is_rank_zero
    from ..parts.loading import load_sources
    from ..parts.models import adapter_config, load_policy, load_tokenizer
    from ..parts.optimizer import make_optimizer
    from ..run.held_out import KeepsBest
    from ..run.run_folder import MetricsFile
    from .examples import load_conversations, make_dataset, make_examples, summary, training_renderer
    from .trainer import SftTrainer

    recipe: SftRecipe = loaded.recipe
    folder = Path(recipe.output_dir)
    arguments = trainer_arguments(recipe)
    tokenizer = load_tokenizer(recipe.model)
    tokenizer.padding_side = "right"
    renderer, longest = training_renderer(tokenizer), arguments.max_length
    examples, counts = make_examples(load_conversations(recipe), renderer, longest, recipe.too_long)
    dataset = make_dataset(examples, arguments.packing, longest, recipe.seed)
    held_out = None
    if recipe.held_out is not None:
        unseen, _ = make_examples(load_sources(recipe.held_out.data), renderer, longest, recipe.too_long)
        held_out = make_dataset(unseen, arguments.packing, longest, recipe.seed)
    if is_rank_zero():
        kept = summary(counts, len(dataset), arguments.packing, arguments.max_length)
        write_atomic(folder / "data.json", json.dumps(kept, indent=1))
        print(counts)
    torch.set_flush_denormal(True)  # Adam's moments of rare tokens decay into denormals, which CPUs handle slowly
    model = load_policy(recipe.model)
    trainer = SftTrainer(
        model=model,
        args=arguments,
        train_dataset=dataset,
        eval_dataset=held_out,
        processing_class=tokenizer,
        peft_config=adapter_config(recipe.model),
        optimizers=(make_optimizer(recipe.optimizer, model, arguments), None),
        callbacks=[MetricsFile(folder)],
    )
    if recipe.held_out is not None and recipe.held_out.keep_best:
        trainer.add_callback(KeepsBest(trainer, folder, "eval_loss", higher=False))
    return trainer


def trainer_arguments(recipe: SftRecipe) -> Any:
    """The recipe's `trainer:` block as an `SFTConfig`, with what the recipe itself decides filled in."""
    from trl import SFTConfig

    from ..run.held_out import evaluation_options

    own = {"dataset_kwargs": {"skip_prepare_dataset": True}, **evaluation_options(recipe)}
    if recipe.first or not recipe.shuffle:
        own["train_sampling_strategy"] = "sequential"
    return SFTConfig(**trainer_options(recipe, **own))


if __name__ == "__main__":
    from ..run.console import train_module

    train_module(run)
