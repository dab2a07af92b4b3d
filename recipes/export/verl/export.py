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
from ...parts.models import model_path
from .settings import FOLDER_VARIABLE, RECIPE, Batches, batches

if TYPE_CHECKING:
    from ...config.loaded import LoadedRecipe, Recipe

PACKAGE = "quince.recipes.export.verl"
HYDRA, PROMPTS, STORED, AGENTS = "quince.yaml", "prompts.parquet", "stored.parquet", "agents.yaml"
LAUNCH = """#!/usr/bin/env bash
# Starts verl on this recipe. Arguments go to verl: bash run.sh trainer.nnodes=2
set -euo pipefail
{exports}
exec python3 -m verl.trainer.main_ppo --config-path="{folder}" --config-name=quince "$@"
"""


def export_verl(loaded: LoadedRecipe[Recipe], folder: Path) -> Path:
    """Write the folder of an `rlvr` recipe; makes its split first if it is missing.

    Raises:
        RecipeError: Naming each part of the recipe that verl, or this export, cannot do.
    """
    from .parquet_rows import STORED_AGENT

    recipe, folder = exportable(loaded), folder.resolve()
    sizes = batches(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    stored = write_tables(recipe, folder, sizes.group)
    write_atomic(folder / RECIPE, loaded.to_yaml())
    write_atomic(folder / HYDRA, _yaml(settings(recipe, sizes, folder, stored)))
    write_atomic(folder / AGENTS, _yaml([{"name": STORED_AGENT, "_target_": f"{PACKAGE}.plugin.StoredAnswer"}]))
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
    advantage, several = recipe.advantage, len(recipe.rewards) > 1
    coefficient, adaptive, quantile = (
        trainer_value(trainer, name) for name in ("entropy_coef", "use_adaptive_entropy", "top_entropy_quantile")
    )
    logits = getattr(term, "estimator", "sampled") != "sampled"
    reasons = {
        "divergence · acts on rollouts · verl has its own (actor.use_kl_loss); drop it here and set it there": (
            term.needs_reference
        ),
        "divergence.estimator · only `sampled`, as verl's loss sees no logits": logits,
        f"advantage · {advantage.kind} reads log-probabilities, which verl's estimators do not see": (
            advantage.reads_log_probs
        ),
        f"advantage · {advantage.kind} reads which completions are correct, which verl's estimators can tell "
        "from the score only of one reward": advantage.reads_correctness and several,
        "advantage.dynamic_sampling_rounds · verl has algorithm.filter_groups": advantage.dynamic_sampling_rounds,
        f"trainer.loss_type · {loss} · it averages over a micro-batch, which verl cuts in its own way · dapo": (
            loss == "bnpo"
        ),
        "trainer · entropy_coef, use_adaptive_entropy, top_entropy_quantile · verl has actor.entropy_coeff": (
            coefficient or adaptive or quantile != 1
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
    """Write prompts, and stored completions where the recipe rehearses; whether it does."""
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


def settings(recipe: RlvrRecipe, sizes: Batches, folder: Path, stored: bool) -> dict[str, Any]:
    """The settings of verl as a Hydra file: everything that differs from its defaults.

    Args:
        recipe: The recipe.
        sizes: Its batch.
        folder: Where the export lies when verl runs, absolute.
        stored: Whether there are stored completions.
    """
    return {
        "hydra": {"searchpath": ["pkg://verl.trainer.config"]},
        "defaults": ["ppo_trainer", "_self_"],
        "data": _data(recipe, sizes, folder, stored),
        "algorithm": {
            "adv_estimator": "quince",
            "use_kl_in_reward": False,
            # What sampled is what the ratio is taken against; this is also how stored log-probs reach the loss.
            "rollout_correction": {"bypass_mode": True},
        },
        "actor_rollout_ref": {
            "model": _model(recipe),
            "actor": _actor(recipe, sizes),
            "rollout": _rollout(recipe, sizes, folder),
        },
        "reward": {"custom_reward_function": {"path": f"pkg://{PACKAGE}.scores", "name": "compute_score"}},
        "trainer": _trainer(recipe, sizes, stored),
        "ray_kwargs": {"ray_init": {"runtime_env": {"env_vars": environment(folder)}}},
    }


def environment(folder: Path) -> dict[str, str]:
    """Variables that every process of verl needs."""
    return {FOLDER_VARIABLE: str(folder), "VERL_USE_EXTERNAL_MODULES": f"{PACKAGE}.plugin"}


def _data(recipe: RlvrRecipe, sizes: Batches, folder: Path, stored: bool) -> dict[str, Any]:
    files = [str(folder / name) for name in ((PROMPTS, STORED) if stored else (PROMPTS,))]
    limit, answer = (trainer_value(recipe.trainer, n) for n in ("vllm_max_model_length", "max_completion_length"))
    return {
        "train_files": files,
        "val_files": str(folder / PROMPTS),
        "train_batch_size": sizes.prompts + sizes.stored,
        "max_prompt_length": limit - answer if limit else 4096,
        "max_response_length": answer,
        "shuffle": not stored,
        "custom_cls": {"path": f"pkg://{PACKAGE}.plugin", "name": "MixedDataset"} if stored else {},
        "apply_chat_template_kwargs": recipe.trainer.get("chat_template_kwargs") or {},
    }


def _model(recipe: RlvrRecipe) -> dict[str, Any]:
    adapter, path = recipe.model.adapter, str(model_path(recipe.model.id))
    if adapter.kind == "none":
        return {"path": path}
    shape = {"lora_rank": adapter.rank, "lora_alpha": adapter.alpha, "target_modules": adapter.target_modules}
    return {"path": path, **shape}


def _actor(recipe: RlvrRecipe, sizes: Batches) -> dict[str, Any]:
    names = ("learning_rate", "weight_decay", "warmup_steps", "max_grad_norm")
    rate, decay, warmup, norm = (trainer_value(recipe.trainer, name) for name in names)
    return {
        "policy_loss": {"loss_mode": "quince"},
        "loss_agg_mode": "token-mean",
        "ppo_mini_batch_size": sizes.mini,
        "ppo_micro_batch_size_per_gpu": sizes.micro,
        "use_kl_loss": False,
        "entropy_coeff": 0,
        "optim": {"lr": rate, "weight_decay": decay, "lr_warmup_steps": int(warmup or 0)},
        "grad_clip": norm,
    }


def _rollout(recipe: RlvrRecipe, sizes: Batches, folder: Path) -> dict[str, Any]:
    trainer = recipe.trainer
    return {
        "name": "vllm",
        "n": sizes.group,
        "temperature": trainer_value(trainer, "temperature"),
        "top_p": trainer_value(trainer, "top_p"),
        "calculate_log_probs": True,
        "log_prob_micro_batch_size_per_gpu": sizes.micro,
        "tensor_model_parallel_size": trainer_value(trainer, "vllm_tensor_parallel_size"),
        "gpu_memory_utilization": trainer_value(trainer, "vllm_gpu_memory_utilization"),
        "agent": {"agent_loop_config_path": str(folder / AGENTS)},
    }


def _trainer(recipe: RlvrRecipe, sizes: Batches, stored: bool) -> dict[str, Any]:
    return {
        "use_v1": True,
        # The mixed order is one epoch as long as the run; otherwise the number of steps ends it.
        "total_epochs": 1 if stored else sizes.steps,
        "total_training_steps": sizes.steps,
        "save_freq": max(1, trainer_value(recipe.trainer, "save_steps") // sizes.updates),
        "test_freq": -1,
        "val_before_train": False,
        "nnodes": 1,
        "n_gpus_per_node": recipe.launch.processes,
        "project_name": "quince",
        "experiment_name": Path(recipe.output_dir).name,
        "default_local_dir": recipe.output_dir,
        "logger": ["console"],
    }


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
