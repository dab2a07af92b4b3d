"""What Quince itself says about trainer fields: ranges, choices, and fields that live elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, without the ends that are open."""

    low: float
    high: float = float("inf")
    open_low: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a number is inside; what is not a number is not for a range to judge."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return True
        return (self.low < value if self.open_low else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        """For example `greater than 0, at most 1`."""
        low = f"greater than {self.low:g}" if self.open_low else f"at least {self.low:g}"
        return low if self.high == float("inf") else f"{low}, at most {self.high:g}"


_POSITIVE = Range(0, open_low=True)

RANGES: dict[str, Range] = {
    "learning_rate": Range(0),
    "weight_decay": Range(0),
    "max_grad_norm": Range(0),
    "warmup_steps": Range(0),
    "num_train_epochs": _POSITIVE,
    "per_device_train_batch_size": Range(1),
    "gradient_accumulation_steps": Range(1),
    "steps_per_generation": Range(1),
    "generation_batch_size": Range(2),
    "num_generations": Range(2),
    "num_iterations": Range(1),
    "max_completion_length": Range(1),
    "max_length": Range(1),
    "temperature": _POSITIVE,
    "top_p": Range(0, 1, open_low=True),
    "epsilon": Range(0),
    "epsilon_high": Range(0),
    "top_entropy_quantile": Range(0, 1),
    "vllm_gpu_memory_utilization": Range(0, 1, open_low=True),
    "vllm_tensor_parallel_size": Range(1),
}

# TRL leaves these as free strings and fails on a wrong one only during training.
CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "rlvr": {
        "loss_type": ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"),
        "importance_sampling_level": ("token", "sequence"),
        "vllm_mode": ("colocate", "server"),
        "vllm_importance_sampling_mode": ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
    },
    "sft": {"loss_type": ("nll", "dft")},
}

_SHARED = {
    "output_dir": "write `output_dir` at the top level",
    "seed": "write `seed` at the top level",
    "resume_from_checkpoint": "call `quince train ... --resume`",
    "enable_jit_checkpoint": "a run always saves on SIGTERM",
    "remove_unused_columns": "rewards need the columns, so they are always kept",
}

_TUNING = _SHARED | {
    "remove_unused_columns": "rows are prepared before TRL sees them",
    "model_init_kwargs": "write `model: {dtype: ..., attn_implementation: ...}`",
    "trust_remote_code": "no code is taken from the Hub",
}

RESERVED: dict[str, dict[str, str]] = {
    "pretrain": _SHARED,
    "coverage": _SHARED
    | {
        "remove_unused_columns": "the data set is tensors, there are no columns",
        "eval_strategy": "write `evaluate_every` at the top level",
        "num_train_epochs": "write `max_steps`: sizes are compared at equal steps",
    },
    "sft": _TUNING
    | {
        "packing_strategy": "best fit decreasing is the only one that cuts no conversation",
        "padding_free": "write `packing: true`",
        "shuffle_dataset": "write `shuffle` at the top level",
        "truncation_mode": "write `too_long` at the top level",
        "assistant_only_loss": "the loss is always on what the assistant writes",
        "completion_only_loss": "the loss is always on what the assistant writes",
        "chat_template_path": "write `model: {chat_template: ...}`",
        "dataset_text_field": "rows are conversations",
        "dataset_kwargs": "rows are prepared before TRL sees them",
        "eos_token": "the chat template writes it",
    },
    "dpo": _TUNING,
    "rlvr": _SHARED
    | {
        "beta": "write `divergence: {kind: reverse_kl, on: rollouts, weight: ...}`",
        "scale_rewards": "write `advantage: {kind: group}` (divided) or `{kind: dr_grpo}` (not divided)",
        "reward_weights": "write `weight` of each item of `rewards`",
        "multi_objective_aggregation": "rewards are added with their weights, then `advantage` normalises them",
        "use_bias_correction_kl": "a divergence on rollouts takes its gradient on-policy, it has no such correction",
        "model_init_kwargs": "write `model: {dtype: ..., attn_implementation: ...}`",
        "auto_find_batch_size": "a smaller batch would no longer hold whole groups",
    },
}

# Defaults that checks and plans need where the library is not installed; a test holds them to it.
_COMMON = {
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "num_train_epochs": 3.0,
    "max_steps": -1,
    "save_strategy": "steps",
}

DEFAULTS: dict[str, dict[str, Any]] = {
    "pretrain": _COMMON,
    "coverage": _COMMON,
    "sft": _COMMON | {"max_length": 1024, "packing": False, "gradient_checkpointing": True},
    "dpo": _COMMON | {"max_length": 1024, "gradient_checkpointing": True},
    "rlvr": _COMMON
    | {
        "num_generations": 8,
        "max_completion_length": 512,
        "gradient_checkpointing": True,
        "use_vllm": False,
        "vllm_mode": "colocate",
        "vllm_tensor_parallel_size": 1,
        "vllm_gpu_memory_utilization": 0.3,
    },
}
