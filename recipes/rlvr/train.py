"""Run an `rlvr` recipe: `quince train RECIPE`, or `accelerate launch -m quince.recipes.rlvr.train RECIPE key=value`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.rows import Row, RowError
from ..config.rlvr import verifiers
from ..methods.divergences import RehearsalTerm
from ..run.training import run_training, trainer_options

if TYPE_CHECKING:
    from ...rewards.base import Reward
    from ..config.loader import LoadedRecipe
    from ..config.rlvr import RlvrRecipe
    from .split import SplitResult
    from .store import Rehearsal
    from .trainer import RlvrTrainer


def run(loaded: LoadedRecipe[RlvrRecipe], resume: bool = False) -> Path:
    """Train and return the run folder; see `run_training`.

    Raises:
        StoreError: The rehearsal store belongs to another model.
    """
    return run_training(loaded, resume, build_trainer)


def build_trainer(loaded: LoadedRecipe[RlvrRecipe]) -> RlvrTrainer:
    """Put rows, rewards, policy, store and divergence together."""
    from ...eval.engines.transformers import stop_token_ids
    from ..parts.loading import build_rewards, load_sources, with_readers
    from ..parts.models import adapter_config, load_policy, load_tokenizer
    from ..parts.optimizer import make_optimizer
    from ..run.held_out import KeepsBest
    from ..run.run_folder import MetricsFile
    from .samples import RequireJudged, SamplesFile
    from .split import ensure_split, load_tried, needs_split

    recipe, folder = loaded.recipe, Path(loaded.recipe.output_dir)
    arguments = trainer_arguments(recipe)
    tokenizer = load_tokenizer(recipe.model)
    rows = load_tried(recipe, tokenizer)
    split = ensure_split(recipe, rows.everything, rows.good, rows.longest) if needs_split(recipe) else None
    trained = rows.train if split is None else split.training_rows(rows.train)
    check_enough(len(trained), arguments)
    policy = load_policy(recipe.model)
    rewards = with_readers(build_rewards(recipe.rewards), recipe, sorted(stop_token_ids(policy, tokenizer)))
    trainer = trainer_class(recipe.objective)(
        model=policy,
        reward_funcs=rewards,
        args=arguments,
        train_dataset=dataset(trained, rewards),
        eval_dataset=dataset(load_sources(recipe.held_out.data), rewards) if recipe.held_out else None,
        processing_class=tokenizer,
        peft_config=adapter_config(recipe.model),
        callbacks=[MetricsFile(folder)],
        optimizers=(make_optimizer(recipe.optimizer, policy, arguments), None),
        advantage=recipe.advantage,
        verifiers=verifiers(recipe),
        rehearsal=make_rehearsal(recipe, split, policy, tokenizer),
        divergence=recipe.divergence,
        max_grader_errors=recipe.max_grader_errors,
        share_prompts=recipe.share_prompts,
        held_out_ks=recipe.held_out.ks if recipe.held_out else (),
        longest_prompt=rows.longest,
    )
    trainer.add_callback(SamplesFile(folder, trainer))
    trainer.add_callback(RequireJudged(trainer))
    if recipe.held_out is not None and recipe.held_out.keep_best:
        figure = f"eval_pass@{recipe.held_out.ks[0]}" if verifiers(recipe) else "eval_reward"
        trainer.add_callback(KeepsBest(trainer, folder, figure, higher=True))
    return trainer


def trainer_class(objective: Any) -> Callable[..., RlvrTrainer]:
    """What makes the trainer of the recipe's `objective:` section."""
    from .trainer import RlvrTrainer

    if objective.kind == "policy_gradient":
        return RlvrTrainer
    from .capsulator import CapsulatorTrainer

    return partial(CapsulatorTrainer, instruction=objective.instruction)


def check_enough(prompts: int, args: Any) -> None:
    """Refuse fewer prompts than one rollout batch takes: the Trainer would end at once, as if it had trained.

    Raises:
        RowError: With both numbers.
    """
    needed = args.generation_batch_size // args.num_generations
    if prompts < needed:
        raise RowError(
            f"data · {prompts} prompts to train on · one rollout batch takes {needed} · give more data, "
            "leave more to explore (`split`), or lower trainer.per_device_train_batch_size or steps_per_generation"
        )


def trainer_arguments(recipe: RlvrRecipe) -> Any:
    """The recipe's `trainer:` block as a `GRPOConfig`, with what the recipe itself decides filled in."""
    from trl import GRPOConfig

    from ..run.held_out import evaluation_options

    divergence = recipe.divergence
    return GRPOConfig(
        **trainer_options(
            recipe,
            remove_unused_columns=False,
            **evaluation_options(recipe),
            reward_weights=[reward.weight for reward in recipe.rewards],
            beta=getattr(divergence, "weight", 0.0) if divergence.needs_reference else 0.0,  # so that TRL has one
        )
    )


def dataset(rows: Sequence[Row], rewards: Sequence[Reward]) -> Any:
    """Rows as a `datasets.Dataset` of the prompt, its tools and the columns that rewards read.

    Columns that no reward reads are left out: sources differ in them, and Arrow would fill the gaps with nulls.
    """
    from datasets import Dataset

    from ..parts.loading import columns_read

    columns = {"id", "task", "prompt", "tools", *columns_read(rewards, rows)}
    return Dataset.from_list([{name: row.get(name) for name in sorted(columns)} for row in rows])


def make_rehearsal(recipe: RlvrRecipe, split: SplitResult | None, policy: Any, tokenizer: Any) -> Rehearsal | None:
    """The rehearsal term, its store checked against the policy that training starts from; or None."""
    from accelerate.utils import broadcast_object_list

    from ..parts.fingerprint import model_fingerprint, tokenizer_fingerprint
    from ..parts.models import whole_weights
    from .store import Origin, Rehearsal, RehearsalStore

    if split is None or not isinstance(recipe.divergence, RehearsalTerm):
        return None
    store = RehearsalStore(split.store)
    dtype = str(policy.dtype).removeprefix("torch.")
    with whole_weights(policy):
        (weights,) = broadcast_object_list([model_fingerprint(policy)])
    store.require(Origin(recipe.model.id, weights, tokenizer_fingerprint(tokenizer), dtype, sampling={}))
    section = recipe.rehearsal
    return Rehearsal(store, recipe.divergence, tokenizer.pad_token_id, section.batch_size, section.seed)


if __name__ == "__main__":
    from ..run.console import train_module

    train_module(run)
