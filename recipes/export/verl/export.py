"""Write a recipe as a folder that verl runs: tables, settings, and the line that starts it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ....data.cache import write_atomic
from ...config.language.errors import RecipeError
from ...config.rlvr import RlvrRecipe
from ...config.trainer_arguments import trainer_value
from ...methods.divergences import RehearsalTerm
from .overrides import AGENTS, PROMPTS, STORED, agents, environment, settings
from .settings import RECIPE, batches

if TYPE_CHECKING:
    from ...config.loaded import LoadedRecipe, Recipe

HYDRA = "quince.yaml"
LAUNCH = """#!/usr/bin/env bash
# Starts verl on this recipe. Arguments go to verl: bash run.sh trainer.nnodes=2
set -euo pipefail
{exports}
exec python3 -m verl.trainer.main_ppo --config-path="{folder}" --config-name=quince "$@"
"""


def export_verl(loaded: LoadedRecipe[Recipe], folder: Path) -> Path:
    """Write the folder; makes the split of the recipe first if it is missing.

    Args:
        loaded: An `rlvr` recipe.
        folder: Made if missing.

    Raises:
        RecipeError: Naming each part of the recipe that verl, or this export, cannot do.
    """
    recipe, folder = exportable(loaded), folder.resolve()
    sizes = batches(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    stored = write_tables(recipe, folder, sizes.group)
    write_atomic(folder / RECIPE, loaded.to_yaml())
    write_atomic(folder / HYDRA, _yaml(settings(recipe, sizes, folder, stored)))
    write_atomic(folder / AGENTS, _yaml(agents()))
    exports = "\n".join(f'export {name}="{value}"' for name, value in environment(folder).items())
    write_atomic(folder / "run.sh", LAUNCH.format(exports=exports, folder=folder))
    return folder


def exportable(loaded: LoadedRecipe[Recipe]) -> RlvrRecipe:
    """The recipe; refused where it would silently be something else in verl.

    Raises:
        RecipeError: With every reason.
    """
    name, recipe = loaded.name, loaded.recipe
    if not isinstance(recipe, RlvrRecipe):
        raise RecipeError(f"{name} · kind: {recipe.kind} · verl is for `rlvr` recipes")
    term, trainer = recipe.divergence, recipe.trainer
    loss, steps = trainer_value(trainer, "loss_type"), trainer_value(trainer, "max_steps")
    reasons = {
        "divergence · acts on rollouts · verl has its own (actor.use_kl_loss); drop it here and set it there": (
            term.needs_reference
        ),
        "divergence.estimator · only `sampled`, as verl's loss sees no logits": getattr(term, "estimator", "sampled")
        != "sampled",
        f"advantage · {recipe.advantage.kind} reads log-probabilities, which verl's estimators do not see": (
            recipe.advantage.reads_log_probs
        ),
        f"advantage · {recipe.advantage.kind} reads which completions are correct, which verl's estimators can tell "
        "from the score only of one reward": recipe.advantage.reads_correctness and len(recipe.rewards) > 1,
        "advantage.dynamic_sampling_rounds · verl has algorithm.filter_groups": bool(
            recipe.advantage.dynamic_sampling_rounds
        ),
        f"trainer.loss_type · {loss} · it averages over a micro-batch, which verl cuts in its own way · dapo": (
            loss == "bnpo"
        ),
        "trainer · entropy_coef, use_adaptive_entropy, top_entropy_quantile · verl has actor.entropy_coeff": (
            bool(trainer_value(trainer, "entropy_coef") or trainer_value(trainer, "use_adaptive_entropy"))
            or trainer_value(trainer, "top_entropy_quantile") != 1
        ),
        "trainer.max_steps · verl needs a number of steps": steps < 1,
        "objective · only policy_gradient": recipe.objective.kind != "policy_gradient",
        "readers · rewards that ask a model are not exported": bool(recipe.readers),
        "model.adapter · qlora is not exported": recipe.model.adapter.kind == "qlora",
        "model.chat_template · save it with the tokenizer instead": recipe.model.chat_template is not None,
    }
    if found := [f"  {reason}" for reason, holds in reasons.items() if holds]:
        raise RecipeError("\n".join([f"{name} · not for verl:", *found]))
    return recipe


def write_tables(recipe: RlvrRecipe, folder: Path, group: int) -> bool:
    """Write prompts, and stored answers where the recipe rehearses; whether it does."""
    from ...parts.loading import build_rewards, columns_read
    from ...parts.models import load_tokenizer
    from ...rlvr.split import ensure_split, load_tried, needs_split
    from ...rlvr.store import RehearsalStore
    from .parquet_rows import write_prompts, write_store

    rows = load_tried(recipe, load_tokenizer(recipe.model))
    if any(row.get("tools") for row in rows.good):
        raise RecipeError("data · rows with tools of their own · verl has one list of tools for a run")
    columns = sorted(columns_read(build_rewards(recipe.rewards), rows.everything) - {"id", "task", "prompt"})
    split = ensure_split(recipe, rows.everything, rows.good, rows.longest) if needs_split(recipe) else None
    write_prompts(folder / PROMPTS, rows.train if split is None else split.training_rows(rows.train), columns, group)
    if split is None or not isinstance(recipe.divergence, RehearsalTerm):
        return False
    store = RehearsalStore(split.store)
    write_store(folder / STORED, store, {row["id"]: row for row in rows.good}, columns)
    return True


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
