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
    from ..parts.models import adapter_config, load_policy, load_tokenizer
    from ..parts.optimizer import make_optimizer
    from ..run.run_folder import MetricsFile
    from .examples import load_conversations, make_dataset, make_examples, summary, training_renderer
    from .trainer import SftTrainer

    recipe: SftRecipe = loaded.recipe
    folder = Path(recipe.output_dir)
    arguments = trainer_arguments(recipe)
    tokenizer = load_tokenizer(recipe.model)
    tokenizer.padding_side = "right"
    rows = load_conversations(recipe)
    examples, counts = make_examples(rows, training_renderer(tokenizer), arguments.max_length, recipe.too_long)
    dataset = make_dataset(examples, arguments.packing, arguments.max_length, recipe.seed)
    if is_rank_zero():
        kept = summary(counts, len(dataset), arguments.packing, arguments.max_length)
        write_atomic(folder / "data.json", json.dumps(kept, indent=1))
        print(counts)
    torch.set_flush_denormal(True)  # Adam's moments of rare tokens decay into denormals, which CPUs handle slowly
    model = load_policy(recipe.model)
    return SftTrainer(
        model=model,
        args=arguments,
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=adapter_config(recipe.model),
        optimizers=(make_optimizer(recipe.optimizer, model, arguments), None),
        callbacks=[MetricsFile(folder)],
    )


def trainer_arguments(recipe: SftRecipe) -> Any:
    """The recipe's `trainer:` block as an `SFTConfig`, with what the recipe itself decides filled in."""
    from trl import SFTConfig

    order = {} if recipe.shuffle and not recipe.first else {"train_sampling_strategy": "sequential"}
    return SFTConfig(**trainer_options(recipe, dataset_kwargs={"skip_prepare_dataset": True}, **order))


if __name__ == "__main__":
    from ..run.console import train_module

    train_module(run)
