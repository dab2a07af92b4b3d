"""Every field of the installed configurations under `trainer:`: honoured, refused with a reason, or without effect.

`docs/trainer_fields.md` is made from these tables, and a test fails for a field of the libraries that they lack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Target = Literal["rlvr", "sft", "dpo", "pretrain", "coverage"]
Status = Literal["honoured", "refused", "no effect"]


@dataclass(frozen=True)
class Rule:
    """What becomes of a field, and why or under which condition."""

    status: Status
    reason: str = ""


def _rules(honoured: str, refused: Mapping[str, str], idle: Mapping[str, str]) -> dict[str, Rule]:
    return {
        **{name: Rule("honoured") for name in honoured.split()},
        **{name: Rule("refused", reason) for names, reason in refused.items() for name in names.split()},
        **{name: Rule("no effect", reason) for names, reason in idle.items() for name in names.split()},
    }


_EVALUATION = (
    "eval_strategy eval_steps eval_delay eval_on_start per_device_eval_batch_size load_best_model_at_end "
    "metric_for_best_model greater_is_better"
)
_SHARED = _rules(
    """
    per_device_train_batch_size num_train_epochs max_steps learning_rate lr_scheduler_type lr_scheduler_kwargs
    warmup_steps optim optim_args optim_target_modules weight_decay adam_beta1 adam_beta2 adam_epsilon
    gradient_accumulation_steps max_grad_norm bf16 fp16 tf32 gradient_checkpointing gradient_checkpointing_kwargs
    torch_empty_cache_steps logging_strategy logging_steps logging_first_step log_on_each_node logging_nan_inf_filter
    include_num_input_tokens_seen log_level log_level_replica disable_tqdm report_to run_name project trackio_space_id
    trackio_bucket_id trackio_static_space_id save_strategy save_steps save_total_limit full_determinism use_cpu
    accelerator_config dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers
    dataloader_prefetch_factor dataloader_multiprocessing_context dataloader_in_order ddp_find_unused_parameters
    ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph ddp_backend ddp_timeout debug skip_memory_metrics
    neftune_noise_alpha data_seed dataloader_drop_last
    """,
    {
        "output_dir": "write `output_dir` at the top level",
        "seed": "write `seed` at the top level",
        "resume_from_checkpoint": "call `quince train ... --resume`",
        "enable_jit_checkpoint": "a run always saves on SIGTERM",
        "save_only_model": "checkpoints are whole, so that a run can be resumed",
        "save_on_each_node": "all processes write into one folder",
        "ignore_data_skip": "a resumed run goes on with the row at which it stopped",
        "fsdp fsdp_config deepspeed parallelism_config": "write `launch: {accelerate_config: ...}`",
        "local_rank": "the launcher says which process this is",
        "do_train do_eval do_predict": "the verb says what is run",
        "push_to_hub hub_model_id hub_token hub_private_repo hub_strategy hub_always_push hub_revision": (
            "the run ends with a local model folder and its card; upload that"
        ),
        "torch_compile torch_compile_backend torch_compile_mode": (
            "batches differ in length, and every new length would be compiled"
        ),
        "label_smoothing_factor": "the loss is on the tokens themselves",
        "label_names": "the trainer makes its own labels",
        "auto_find_batch_size": "checkpoints and plans hold for the batch size that the recipe names",
        "remove_unused_columns": "rows are prepared before the trainer sees them",
        "average_tokens_across_devices": "a step always counts the tokens of all processes",
        _EVALUATION: "write `held_out: {every: ..., data: [...]}`",
    },
    {
        "use_cache": "training reads each sequence once",
        "restore_callback_states_from_checkpoint": "the callbacks of a run keep their state in its folder",
        "length_column_name": "rows are not grouped by a column",
        "bf16_full_eval fp16_full_eval eval_do_concat_batches eval_use_gather_object eval_accumulation_steps "
        "include_for_metrics batch_eval_metrics prediction_loss_only": (
            "an evaluation while training keeps figures and no predictions, in the precision of training"
        ),
    },
)
_TRL = _rules(
    "router_aux_loss_coef pad_to_multiple_of",
    {
        "model_init_kwargs": "write `model: {dtype: ..., attn_implementation: ...}`",
        "trust_remote_code": "no code is taken from the Hub",
    },
    {},
)
_LIGER = {
    name: Rule("honoured", "with `pip install liger-kernel`") for name in ("use_liger_kernel", "liger_kernel_config")
}
_NO_LIGER = _rules("", {"use_liger_kernel liger_kernel_config": "the loss needs the log-probs of single tokens"}, {})
_OWN_ORDER = {"train_sampling_strategy": "the sampler is our own", "dataloader_drop_last": "all batches are whole"}

FIELDS: dict[Target, dict[str, Rule]] = {
    "pretrain": {
        **_SHARED,
        **_NO_LIGER,
        **_rules(
            "",
            {
                _EVALUATION: "no rows are held out; call `quince eval` afterwards",
                "optim optim_args optim_target_modules": "Muon trains the layers and AdamW the rest",
                "neftune_noise_alpha": "noise is for tuning a trained model",
            },
            {"data_seed": "`seed` orders the rows", **_OWN_ORDER},
        ),
    },
    "coverage": {
        **_SHARED,
        **_NO_LIGER,
        **_rules(
            "",
            {
                "remove_unused_columns": "the data set is tensors, there are no columns",
                _EVALUATION: "write `evaluate_every` at the top level",
                "num_train_epochs": "write `max_steps`: sizes are compared at equal steps",
                "neftune_noise_alpha": "noise would change what is measured",
            },
            {"data_seed": "`seed` orders the rows", **_OWN_ORDER},
        ),
    },
    "sft": {
        **_SHARED,
        **_TRL,
        **_LIGER,
        **_rules(
            "max_length packing loss_type activation_offloading pad_token train_sampling_strategy",
            {
                "packing_strategy": "best fit decreasing is the only one that cuts no conversation",
                "padding_free": "write `packing: true`",
                "shuffle_dataset": "write `shuffle` at the top level",
                "truncation_mode": "write `too_long` at the top level",
                "assistant_only_loss completion_only_loss": "the loss is always on what the assistant writes",
                "chat_template_path": "write `model: {chat_template: ...}`",
                "dataset_text_field": "rows are conversations",
                "dataset_kwargs": "rows are prepared before TRL sees them",
                "eos_token": "the chat template writes it",
                "eval_packing": "held-out rows are packed as those of training are",
            },
            {"dataset_num_proc": "rows are prepared before TRL sees them"},
        ),
    },
    "dpo": {
        **_SHARED,
        **_TRL,
        **_LIGER,
        **_rules(
            """
            max_length disable_dropout padding_free precompute_ref_log_probs precompute_ref_batch_size loss_type
            loss_weights ld_alpha f_divergence_type f_alpha_divergence_coef label_smoothing beta use_weighting
            discopop_tau activation_offloading sync_ref_model ref_model_mixup_alpha ref_model_sync_steps pad_token
            train_sampling_strategy
            """,
            {
                "label_smoothing_factor": "write `trainer: {label_smoothing: ...}`",
                "truncation_mode": "pairs of more than `max_length` tokens are left out",
            },
            {
                "dataset_num_proc": "rows are prepared before TRL sees them",
                "average_tokens_across_devices": "the loss is over pairs",
            },
        ),
    },
    "rlvr": {
        **_SHARED,
        **_TRL,
        **_NO_LIGER,
        **_rules(
            """
            disable_dropout cast_lm_head_to_fp32 num_generations max_completion_length ds3_gather_for_generation
            shuffle_dataset generation_batch_size steps_per_generation temperature top_p top_k min_p generation_kwargs
            chat_template_kwargs repetition_penalty cache_implementation use_vllm vllm_mode vllm_model_impl
            vllm_enable_sleep_mode vllm_structured_outputs_regex vllm_server_base_url vllm_server_host vllm_server_port
            vllm_server_timeout vllm_group_port vllm_gpu_memory_utilization vllm_max_model_length
            vllm_tensor_parallel_size num_iterations epsilon delta epsilon_high sapo_temperature_neg
            sapo_temperature_pos vespo_k_pos vespo_lambda_pos vespo_k_neg vespo_lambda_neg importance_sampling_level
            loss_type mask_truncated_completions top_entropy_quantile entropy_coef use_adaptive_entropy
            entropy_coef_min entropy_coef_max entropy_coef_delta entropy_target vllm_importance_sampling_correction
            vllm_importance_sampling_mode vllm_importance_sampling_clip_max vllm_importance_sampling_clip_min
            off_policy_mask_threshold log_completions num_completions_to_print log_unique_prompts
            use_transformers_continuous_batching transformers_continuous_batching_config
            """,
            {
                "beta": "write `divergence: {kind: reverse_kl, on: rollouts, weight: ...}`",
                "scale_rewards": "write `advantage: {kind: group}` (divided) or `{kind: dr_grpo}` (not divided)",
                "reward_weights": "write `weight` of each item of `rewards`",
                "multi_objective_aggregation": "rewards are added with their weights, then `advantage` normalises them",
                "use_bias_correction_kl": (
                    "a divergence on rollouts takes its gradient on-policy, it has no such correction"
                ),
                "remove_unused_columns": "rewards need the columns, so they are always kept",
                "auto_find_batch_size": "a smaller batch would no longer hold whole groups",
                "train_sampling_strategy": "prompts are drawn in groups; write `shuffle_dataset`",
                "neftune_noise_alpha": "with noise the policy would not be the one that sampled and that is stored",
                "sync_ref_model ref_model_mixup_alpha ref_model_sync_steps": "the reference is the initial policy",
                "max_tool_calling_iterations": "a completion is one turn; no tools are run",
                "log_completions_hub_repo": "completions are written to `samples.jsonl` of the run folder",
                "use_transformers_paged": "write `use_transformers_continuous_batching`",
                "vllm_importance_sampling_cap": "write `vllm_importance_sampling_clip_max`",
                "num_generations_eval": "write `held_out: {samples: ...}`",
            },
            {
                "data_seed": "`seed` orders the prompts",
                "dataloader_drop_last": "all batches are whole",
                "average_tokens_across_devices": "a rollout batch counts its own tokens",
                "log_multimodal": "there are no images",
            },
        ),
    },
}


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
_SAVING: dict[str, tuple[str, ...]] = {
    "save_strategy": ("no", "steps", "epoch")
}  # the best one would need rows that are held out
CHOICES: dict[Target, dict[str, tuple[str, ...]]] = {
    "pretrain": _SAVING,
    "coverage": _SAVING,
    "dpo": _SAVING,
    "rlvr": {
        **_SAVING,
        "loss_type": ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"),
        "importance_sampling_level": ("token", "sequence"),
        "vllm_mode": ("colocate", "server"),
        "vllm_importance_sampling_mode": ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
    },
    "sft": {**_SAVING, "loss_type": ("nll", "dft")},
}

# Defaults that checks and plans need where the library is not installed; a test holds them to it.
_COMMON = {
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "num_train_epochs": 3.0,
    "max_steps": -1,
    "save_strategy": "steps",
}

DEFAULTS: dict[Target, dict[str, Any]] = {
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


def fields_page() -> str:
    """The table as `docs/trainer_fields.md`."""
    targets: tuple[Target, ...] = ("rlvr", "sft", "dpo", "pretrain", "coverage")
    names = sorted({name for target in targets for name in FIELDS[target]})
    lines = [
        "# Fields of `trainer:`",
        "",
        "What becomes of each field of TRL's `GRPOConfig`, `SFTConfig`, `DPOConfig` and transformers'",
        "`TrainingArguments`. *Honoured* fields do what the library says. *Refused* ones are a problem at",
        "`quince validate`, with the reason. Fields with *no effect* are accepted and change nothing. A dash: the",
        "configuration has no such field. Made from `recipes/config/trainer_fields.py` by",
        "`python -m quince.recipes.config.trainer_fields`.",
        "",
        f"| field | {' | '.join(targets)} | reason |",
        f"|---|{'---|' * len(targets)}---|",
    ]
    for name in names:
        rules = [FIELDS[target].get(name) for target in targets]
        reasons = dict.fromkeys(rule.reason for rule in rules if rule is not None and rule.reason)
        states = " | ".join("–" if rule is None else rule.status for rule in rules)
        lines.append(f"| `{name}` | {states} | {'; '.join(reasons)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    from pathlib import Path

    (Path(__file__).resolve().parents[2] / "docs" / "trainer_fields.md").write_text(fields_page(), encoding="utf-8")
