"""verl's settings for a recipe, as a Hydra file on top of verl's own defaults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.trainer_arguments import trainer_value
from ...parts.models import model_path
from .settings import FOLDER_VARIABLE, Batches

if TYPE_CHECKING:
    from ...config.rlvr import RlvrRecipe

PACKAGE = "quince.recipes.export.verl"
PROMPTS, STORED, AGENTS = "prompts.parquet", "stored.parquet", "agents.yaml"


def settings(recipe: RlvrRecipe, sizes: Batches, folder: Path, stored: bool) -> dict[str, Any]:
    """Everything that differs from verl's defaults.

    Args:
        recipe: The recipe.
        sizes: Its batch.
        folder: Where the export lies when verl runs, absolute.
        stored: Whether there are stored answers.
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


def agents() -> list[dict[str, str]]:
    """The file that names our agent loop."""
    from .parquet_rows import STORED_AGENT

    return [{"name": STORED_AGENT, "_target_": f"{PACKAGE}.plugin.StoredAnswer"}]


def prompt_limit(recipe: RlvrRecipe) -> int:
    """Most tokens of a prompt: what the engine's limit leaves, else 4096."""
    limit = trainer_value(recipe.trainer, "vllm_max_model_length")
    return limit - trainer_value(recipe.trainer, "max_completion_length") if limit else 4096


def _data(recipe: RlvrRecipe, sizes: Batches, folder: Path, stored: bool) -> dict[str, Any]:
    files = [str(folder / name) for name in ((PROMPTS, STORED) if stored else (PROMPTS,))]
    return {
        "train_files": files,
        "val_files": str(folder / PROMPTS),
        "train_batch_size": sizes.prompts + sizes.stored,
        "max_prompt_length": prompt_limit(recipe),
        "max_response_length": trainer_value(recipe.trainer, "max_completion_length"),
        "shuffle": not stored,
        "custom_cls": {"path": f"pkg://{PACKAGE}.plugin", "name": "MixedDataset"} if stored else {},
        "apply_chat_template_kwargs": recipe.trainer.get("chat_template_kwargs") or {},
    }


def _model(recipe: RlvrRecipe) -> dict[str, Any]:
    adapter, path = recipe.model.adapter, str(model_path(recipe.model.id))
    if adapter.kind == "none":
        return {"path": path}
    return {
        "path": path,
        "lora_rank": adapter.rank,
        "lora_alpha": adapter.alpha,
        "target_modules": adapter.target_modules,
    }


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
