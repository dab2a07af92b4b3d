"""Bytes of checkpoints and of the final model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..config.shapes import Shape
from ..config.trainer_arguments import Target, trainer_value
from ..parts.units import readable
from .training_memory import launch_kind, trainable, weight_bytes

if TYPE_CHECKING:
    from ..config.model import Launch, Model


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
