"""What a process of verl needs to know of the recipe: its batches, the order of their rows, and its objective.

Read from the exported folder that the environment names.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...config import load_recipe
from ...config.language.errors import RecipeError
from ...config.rlvr import RlvrRecipe
from ...config.trainer_arguments import trainer_value
from ...rlvr.store import RehearsalOrder

if TYPE_CHECKING:
    from .step import Step

FOLDER_VARIABLE = "QUINCE_VERL"
RECIPE = "recipe.yaml"
PROMPTS_SEED = 7919
"""Added to the seed for the order of the prompts, which is another than that of the stored completions."""


@dataclass(frozen=True)
class Batches:
    """Sizes of a rollout batch, and how it is trained on."""

    prompts: int
    group: int  # completions of each prompt
    stored: int  # stored completions
    updates: int  # optimizer steps on it
    micro: int  # rows of a micro-batch on one GPU
    steps: int  # rollout batches of the run

    @property
    def mini(self) -> int:
        """What verl calls `ppo_mini_batch_size`; it multiplies that by the group size."""
        return (self.prompts * self.group + self.stored) // (self.updates * self.group)


def batches(recipe: RlvrRecipe) -> Batches:
    """Translate a recipe's batch.

    Raises:
        RecipeError: The stored completions of an optimizer step are no whole number of groups, verl's unit.
    """
    trainer = recipe.trainer
    micro, accumulation, group = (
        trainer_value(trainer, name)
        for name in ("per_device_train_batch_size", "gradient_accumulation_steps", "num_generations")
    )
    updates = (trainer.get("steps_per_generation") or accumulation) // accumulation
    rows = micro * accumulation * updates * recipe.launch.processes
    stored = recipe.rehearsal.batch_size * updates if recipe.divergence.rehearses else 0
    if (rows + stored) % (updates * group):
        found = f"{recipe.rehearsal.batch_size} stored answers a step with groups of {group}"
        raise RecipeError(f"rehearsal.batch_size · {found} · verl cuts steps into whole groups · a multiple of {group}")
    return Batches(rows // group, group, stored, updates, micro, trainer_value(trainer, "max_steps") // updates)


@dataclass(frozen=True)
class MixedOrder:
    """Place in the run -> row of the table in which the prompts come first and the stored completions after them.

    It follows from the place alone, so that verl's loader can stop and resume anywhere. A step is a rollout batch.
    """

    prompts: int
    stored: int
    prompts_per_step: int
    stored_per_step: int
    steps: int
    seed: int

    @property
    def per_step(self) -> int:
        """Rows of a rollout batch: verl's `data.train_batch_size`."""
        return self.prompts_per_step + self.stored_per_step

    def __len__(self) -> int:
        return self.per_step * self.steps

    def __getitem__(self, place: int) -> int:
        step, within = divmod(place, self.per_step)
        if within < self.prompts_per_step:
            order = RehearsalOrder(self.prompts, self.seed + PROMPTS_SEED)
            return int(order.take(step * self.prompts_per_step + within, 1)[0])
        order = RehearsalOrder(self.stored, self.seed)
        return self.prompts + int(order.take(step * self.stored_per_step + within - self.prompts_per_step, 1)[0])


@lru_cache
def recipe_of(folder: Path) -> RlvrRecipe:
    """The exported recipe."""
    recipe = load_recipe(str(folder / RECIPE)).recipe
    if not isinstance(recipe, RlvrRecipe):
        raise RecipeError(f"{folder / RECIPE} · kind: {recipe.kind} · verl is for `rlvr` recipes")
    return recipe


def exported_folder() -> Path:
    """The folder that `QUINCE_VERL` names.

    Raises:
        RecipeError: The variable is not set.
    """
    if FOLDER_VARIABLE not in os.environ:
        found = "not set in this process"
        raise RecipeError(f"{FOLDER_VARIABLE} · {found} · start verl by the exported run.sh")
    return Path(os.environ[FOLDER_VARIABLE])


@lru_cache
def step_of(folder: Path) -> Step:
    """What the hooks need of the exported recipe."""
    from ...methods.divergences import RehearsalTerm
    from ...parts.loading import build_rewards
    from ...rlvr.objective import PolicySettings
    from .step import Step

    recipe = recipe_of(folder)
    weighted = zip(build_rewards(recipe.rewards), (section.weight for section in recipe.rewards), strict=True)
    highest = sum(weight * reward.range[1] for reward, weight in weighted)
    return Step(
        PolicySettings.read(partial(trainer_value, recipe.trainer)),
        recipe.advantage,
        recipe.divergence if isinstance(recipe.divergence, RehearsalTerm) else None,
        correct_from=highest - 1e-6,
    )
