"""Run an `rlvr` recipe: `quince train RECIPE`, or `accelerate launch -m quince.recipes.rlvr.train RECIPE key=value`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.rows import Row, RowError
from ..run.training import run_training, trainer_options
from . import divergences
from .advantages import Advantage, dr_grpo, focal, group, leave_one_out, pass_at_k, pkpo, w_reinforce

if TYPE_CHECKING:
    from ...rewards.base import Reward
    from ..config.loader import LoadedRecipe
    from ..config.rlvr import RlvrRecipe
    from .rehearsal_loss import Rehearsal
    from .split import SplitResult
    from .trainer import RlvrTrainer, RolloutDivergence


def run(loaded: LoadedRecipe[RlvrRecipe], resume: bool = False) -> Path:
    """Train and return the run folder; a finished run of the same recipe is left as it is.

    Args:
        loaded: From `load_recipe`.
        resume: Continue from the newest whole checkpoint of the run folder.

    Raises:
        CheckpointError: `resume` without a whole checkpoint.
        StoreError: The rehearsal store belongs to another model.
    """
    return run_training(loaded, resume, build_trainer)


def build_trainer(loaded: LoadedRecipe[RlvrRecipe]) -> RlvrTrainer:
    """Put rows, rewards, policy, store and divergence together."""
    from ...eval.engines.transformers import stop_token_ids
    from ..parts.loading import build_rewards, with_readers
    from ..parts.models import adapter_config, load_policy, load_tokenizer
    from ..parts.optimizer import make_optimizer
    from ..run.run_folder import MetricsFile
    from .samples import RequireJudged, SamplesFile
    from .split import ensure_split, load_tried, needs_split

    recipe: RlvrRecipe = loaded.recipe
    folder = Path(recipe.output_dir)
    arguments = trainer_arguments(recipe)
    tokenizer = load_tokenizer(recipe.model)
    rows = load_tried(recipe, tokenizer)
    split = ensure_split(recipe, rows.everything, rows.good, rows.longest) if needs_split(recipe) else None
    trained = rows.train if split is None else split.training_rows(rows.train)
    check_enough(len(trained), arguments)
    policy = load_policy(recipe.model)
    rewards = with_readers(build_rewards(recipe.rewards), recipe, stop_token_ids(policy, tokenizer))
    trainer = trainer_class(recipe.objective)(
        model=policy,
        reward_funcs=rewards,
        args=arguments,
        train_dataset=dataset(trained, rewards),
        processing_class=tokenizer,
        peft_config=adapter_config(recipe.model),
        callbacks=[MetricsFile(folder)],
        optimizers=(make_optimizer(recipe.optimizer, policy, arguments), None),
        advantage=make_advantage(recipe.advantage),
        unlikeliness_strength=getattr(recipe.advantage, "strength", None),
        skip_zero_variance=recipe.advantage.skip_zero_variance,
        dynamic_sampling_rounds=recipe.advantage.dynamic_sampling_rounds,
        rehearsal=make_rehearsal(recipe, split, policy, tokenizer),
        rollout_divergence=make_rollout_divergence(recipe.divergence),
        max_grader_errors=recipe.max_grader_errors,
        longest_prompt=rows.longest,
    )
    trainer.shares_prompts = recipe.share_prompts
    trainer.add_callback(SamplesFile(folder, trainer))
    trainer.add_callback(RequireJudged(trainer))
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

    return GRPOConfig(
        **trainer_options(
            recipe,
            remove_unused_columns=False,
            reward_weights=[reward.weight for reward in recipe.rewards],
            beta=recipe.divergence.weight if needs_reference(recipe.divergence) else 0.0,
        )
    )


def dataset(rows: Sequence[Row], rewards: Sequence[Reward]) -> Any:
    """Rows as a `datasets.Dataset` of the prompt, its tools and the columns that rewards read.

    Columns that no reward reads are left out: sources differ in them, and Arrow would fill the gaps with nulls.
    """
    from datasets import Dataset

    read = (name for reward in rewards for name in (*reward.columns, *reward.optional))
    columns = {"id", "task", "prompt", "tools", *read}
    return Dataset.from_list([{name: row.get(name) for name in sorted(columns)} for row in rows])


def make_advantage(section: Any) -> Advantage:
    """The advantage function of the recipe's `advantage:` section."""
    makers: dict[str, Callable[[Any], Advantage]] = {
        "group": lambda _: group,
        "dr_grpo": lambda _: dr_grpo,
        "leave_one_out": lambda _: leave_one_out,
        "pass_at_k": lambda s: pass_at_k(s.k),
        "pkpo": lambda s: pkpo(s.k),
        "w_reinforce": lambda s: w_reinforce(s.positive_weight),
        "focal": lambda s: focal(s.gamma),
        "unlikeliness": lambda _: group,
    }
    return makers[section.kind](section)


def needs_reference(divergence: Any) -> bool:
    """True if the divergence acts on rollouts and so needs log-probs of a live reference model."""
    return divergence.kind == "jensen_shannon_definition" or getattr(divergence, "on", "") == "rollouts"


def make_rollout_divergence(divergence: Any) -> RolloutDivergence | None:
    """The divergence on rollouts, or None."""
    from .trainer import RolloutDivergence

    if not needs_reference(divergence):
        return None
    if divergence.kind == "jensen_shannon_definition":
        return RolloutDivergence(divergences.js_policy_half, divergence.weight)
    if divergence.kind == "reverse_kl":
        estimators = {"k1_reward": None, "k2_loss": divergences.k2, "k3_loss": divergences.k3}
        return RolloutDivergence(estimators[divergence.estimator], divergence.weight)
    generator = divergences.make_generator(divergence.kind, getattr(divergence, "alpha", 0.5))
    return RolloutDivergence(divergences.on_policy(generator), divergence.weight)


def make_rehearsal(recipe: RlvrRecipe, split: SplitResult | None, policy: Any, tokenizer: Any) -> Rehearsal | None:
    """The rehearsal term, its store checked against the policy that training starts from; or None."""
    from ..parts.fingerprint import model_fingerprint, tokenizer_fingerprint
    from .rehearsal import Origin, RehearsalStore
    from .rehearsal_loss import Rehearsal, RehearsalSettings

    divergence = recipe.divergence
    if divergence.kind == "none" or (needs_reference(divergence) and divergence.kind != "jensen_shannon_definition"):
        return None
    store = RehearsalStore(split.store)
    dtype = str(policy.dtype).removeprefix("torch.")
    store.require(
        Origin(recipe.model.id, model_fingerprint(policy), tokenizer_fingerprint(tokenizer), dtype, sampling={})
    )
    given = divergence.model_dump(exclude={"on", "top_k"}) | recipe.rehearsal.model_dump(exclude={"data"})
    settings = RehearsalSettings(**given, top_k=getattr(divergence, "top_k", None) or 20)
    return Rehearsal(store, settings, tokenizer.pad_token_id)


if __name__ == "__main__":
    from ..run.console import train_module

    train_module(run)
