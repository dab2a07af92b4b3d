"""Run a `dpo` recipe: `quince train RECIPE`, or `accelerate launch -m quince.recipes.dpo.train RECIPE key=value`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl import DPOConfig, DPOTrainer

from ..run.held_out import KeepsBest, evaluation_options
from ..run.trainer_base import TrainerBase
from ..run.training import run_training, trainer_options

if TYPE_CHECKING:
    from ..config.dpo import DpoRecipe
    from ..config.loader import LoadedRecipe


class DpoTrainer(TrainerBase, DPOTrainer):
    """`DPOTrainer` on the pairs of `recipes.dpo.pairs`, in which control tokens of content are text."""

    def _prepare_dataset(self, dataset: Any, *arguments: Any, **options: Any) -> Any:
        return dataset


def run(loaded: LoadedRecipe[DpoRecipe], resume: bool = False) -> Path:
    """Train and return the run folder, see `run_training`."""
    return run_training(loaded, resume, build_trainer)


def build_trainer(loaded: LoadedRecipe[DpoRecipe]) -> DpoTrainer:
    """Put pairs, model and reference together."""
    from datasets import Dataset

    from ..config.language.errors import is_rank_zero
    from ..parts.models import adapter_config, load_policy, load_tokenizer
    from ..run.run_folder import MetricsFile
    from ..sft.examples import training_renderer
    from .pairs import load_pairs, make_pairs

    recipe: DpoRecipe = loaded.recipe
    arguments = trainer_arguments(recipe)
    tokenizer = load_tokenizer(recipe.model)
    renderer = training_renderer(tokenizer)
    pairs, counts = make_pairs(load_pairs(recipe.data), renderer, arguments.max_length)
    held_out = None
    if recipe.held_out is not None:
        held_out = Dataset.from_list(make_pairs(load_pairs(recipe.held_out.data), renderer, arguments.max_length)[0])
    if is_rank_zero():
        print(counts)
    # With an adapter TRL switches it off for the reference; a list of stored log-probs needs no model either.
    frozen = recipe.model.adapter.kind == "none" and not arguments.precompute_ref_log_probs
    trainer = DpoTrainer(
        model=load_policy(recipe.model),
        ref_model=load_policy(recipe.model) if frozen else None,
        args=arguments,
        train_dataset=Dataset.from_list(pairs),
        eval_dataset=held_out,
        processing_class=tokenizer,
        peft_config=adapter_config(recipe.model),
        callbacks=[MetricsFile(Path(recipe.output_dir))],
    )
    if recipe.held_out is not None and recipe.held_out.keep_best:
        trainer.add_callback(KeepsBest(trainer, Path(recipe.output_dir), "eval_loss", higher=False))
    return trainer


def trainer_arguments(recipe: DpoRecipe) -> DPOConfig:
    """The recipe's `trainer:` block as a `DPOConfig`, with what the recipe itself decides filled in."""
    return DPOConfig(**trainer_options(recipe, **evaluation_options(recipe)))


if __name__ == "__main__":
    from ..run.console import train_module

    train_module(run)
