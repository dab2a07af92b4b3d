"""From the sections of a recipe: what decides the memory of a training step, and what a run leaves on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from ..config.dpo import DpoRecipe
from ..config.language.library import accelerate_config
from ..config.pretrain import PretrainRecipe
from ..config.rlvr import RlvrRecipe
from ..config.shapes import Shape
from ..config.trainer_arguments import Target, trainer_value
from ..parts.units import readable
from .memory import MIXED, Head, LaunchKind, Pass, Training

if TYPE_CHECKING:
    from ..config.model import Launch, Model
    from ..config.sft import SftRecipe

ASSUMED_PROMPT_TOKENS = 512
"""Prompt length where nothing in the recipe bounds it."""


def weight_bytes(model: Model) -> float:
    """Bytes of a weight in memory; `auto` is taken for bfloat16, in which models are published."""
    return 0.5 if model.adapter.kind == "qlora" else {"float32": 4.0}.get(model.dtype, 2.0)


def trainable(model: Model, shape: Shape) -> int:
    """Weights that get gradients."""
    adapter = model.adapter
    return shape.parameters if adapter.kind == "none" else shape.lora_parameters(adapter.rank)


def launch_kind(launch: Launch) -> LaunchKind:
    """How a recipe's processes hold the model, from its Accelerate file."""
    config = launch.accelerate_config and accelerate_config(launch.accelerate_config)
    if not config:
        return "ddp" if launch.processes > 1 else "single"
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    kind = settings.get("distributed_type")
    if kind == "DEEPSPEED":
        stage = (settings.get("deepspeed_config") or {}).get("zero_stage")
        return "zero3" if stage == 3 else "zero2"
    return "fsdp2" if kind == "FSDP" else "ddp"


def precision(model: Model, trainer: dict[str, Any]) -> str:
    """Of the forward pass; on a GPU recipes train in bfloat16 unless they say otherwise."""
    if weight_bytes(model) < 4:
        return "bfloat16"
    return MIXED if trainer.get("bf16", True) else "float32"


def prompt_tokens(trainer: dict[str, Any]) -> int:
    """Longest prompt of an RLVR recipe."""
    limit = trainer_value(trainer, "vllm_max_model_length")
    return limit - trainer_value(trainer, "max_completion_length") if limit else ASSUMED_PROMPT_TOKENS


def rlvr_training(recipe: RlvrRecipe, shape: Shape) -> Training:
    """Policy and rehearsal passes wait for one backward pass."""
    trainer, completion = recipe.trainer, trainer_value(recipe.trainer, "max_completion_length")
    rows = trainer_value(trainer, "per_device_train_batch_size")
    accumulation = trainer_value(trainer, "gradient_accumulation_steps")
    counts = [rows]
    if recipe.divergence.rehearses:
        counts.append(-(-recipe.rehearsal.batch_size // (accumulation * recipe.launch.processes)))
    whole = getattr(recipe.divergence, "estimator", "sampled") in ("top_k", "full")
    passes = tuple(_pass(recipe.model, trainer, shape, count, prompt_tokens(trainer) + completion) for count in counts)
    head = Head(counts[-1] * completion, "logits") if whole else Head(max(counts) * completion)
    reference = recipe.divergence.needs_reference
    return _training(recipe, "rlvr", shape, passes, head, reference)


def tuning_training(recipe: SftRecipe | DpoRecipe, shape: Shape, length: int) -> Training:
    """One pass; a preference pair is two rows."""
    pairs = isinstance(recipe, DpoRecipe)
    rows = trainer_value(recipe.trainer, "per_device_train_batch_size", recipe.kind) * (2 if pairs else 1)
    packed = bool(recipe.trainer.get("packing"))
    passes = (_pass(recipe.model, recipe.trainer, shape, rows, length, masked=not packed),)
    return _training(recipe, recipe.kind, shape, passes, Head(rows * length), pairs)


def pretrain_training(recipe: PretrainRecipe, shape: Shape, length: int) -> Training:
    """In float32; logits of every answered position, at most of all."""
    rows = trainer_value(recipe.trainer, "per_device_train_batch_size", "pretrain")
    mixed = recipe.trainer.get("bf16", False)
    passes = (Pass(shape, rows, length, MIXED if mixed else "float32"),)
    return Training(
        shape,
        weight_bytes=4,
        trainable=shape.parameters,
        passes=passes,
        head=Head(rows * length, "logits"),
        checkpointing=False,
        accumulates=trainer_value(recipe.trainer, "gradient_accumulation_steps", "pretrain") > 1,
        moment_bytes=1.0,  # Muon's, for the matrices
    )


def saved_bytes(model: Model, shape: Shape, launch: Launch) -> tuple[float, float]:
    """Of a checkpoint (trained weights and two moments) and of the final model.

    Adapters are float32. So is what FSDP2 trains and DeepSpeed keeps as masters, whatever was loaded; the final model
    is saved as it was loaded.
    """
    weights = trainable(model, shape)
    if model.adapter.kind != "none":
        merged = 2.0 * shape.parameters if model.adapter.merge else 4.0 * weights
        return 12.0 * weights, merged
    loaded, kind = weight_bytes(model), launch_kind(launch)
    each = {"fsdp2": 12.0, "zero2": 14.0, "zero3": 14.0}.get(kind, 3 * loaded)
    return each * weights, loaded * weights


def disk_text(trainer: dict[str, Any], target: Target, checkpoint: float, final: float) -> str:
    """What a run leaves on disk."""
    if trainer_value(trainer, "save_strategy", target) == "no":
        return f"{readable(final)} for the final model"
    limit = trainer_value(trainer, "save_total_limit", target)
    kept = f"{limit} checkpoints" if limit else "every checkpoint"
    writing = checkpoint if limit else 0  # a new one is written before the oldest goes
    size = readable(checkpoint * (limit or 1) + writing + final)
    return f"{size} for {kept} of {readable(checkpoint)}, the one being written, and the final model"


def _pass(model: Model, trainer: dict[str, Any], shape: Shape, rows: int, tokens: int, masked: bool = True) -> Pass:
    adapter = model.adapter
    rank = 0 if adapter.kind == "none" else adapter.rank
    return Pass(shape, rows, tokens, precision(model, trainer), adapter.kind != "none", rank, masked)


def _training(
    recipe: RlvrRecipe | SftRecipe | DpoRecipe,
    target: Target,
    shape: Shape,
    passes: tuple[Pass, ...],
    head: Head,
    reference: bool,
) -> Training:
    trainer = recipe.trainer
    muon = not isinstance(recipe, DpoRecipe) and recipe.optimizer.kind == "muon"
    moments = 1.0 if muon else 0.5 if "8bit" in trainer.get("optim", "") else 2.0
    step = Training(
        shape=shape,
        weight_bytes=weight_bytes(recipe.model),
        trainable=trainable(recipe.model, shape),
        passes=passes,
        head=head,
        checkpointing=bool(trainer_value(trainer, "gradient_checkpointing", target)),
        reference=reference,
        accumulates=trainer_value(trainer, "gradient_accumulation_steps", target) > 1,
        moment_bytes=moments,
    )
    return step.under(launch_kind(recipe.launch), recipe.launch.processes)
