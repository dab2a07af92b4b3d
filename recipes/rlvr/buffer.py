"""The rollout buffer in checkpoints, so that a resume between two generations continues exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..run.trainer_base import TrainerBase


class KeepsRollouts(TrainerBase):
    """Mixin for a `GRPOTrainer`: whole checkpoints that hold the rollouts which later steps still train on."""

    def save_extra_state(self, folder: Path) -> None:
        """Keep the rollout buffer where more steps will read it."""
        if self.args.steps_per_generation * self.num_iterations > self.args.gradient_accumulation_steps:
            save_buffer(self._buffered_inputs, folder / self._buffer_name())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        buffer = Path(checkpoint) / self._buffer_name()
        self._step = self.state.global_step * self.args.gradient_accumulation_steps
        if buffer.exists():
            self._buffered_inputs = load_buffer(buffer, self.accelerator.device)

    def _buffer_name(self) -> str:
        return f"rollouts-{self.accelerator.process_index}.safetensors"


def save_buffer(buffer: list[dict[str, Any]], file: Path) -> None:
    """Write the micro-batches of a rollout buffer to one safetensors file; what they share is written for each."""
    tensors = {
        f"{index}.{name}": value.clone(memory_format=torch.contiguous_format)
        for index, batch in enumerate(buffer)
        for name, value in batch.items()
        if isinstance(value, Tensor)
    }
    save_file(tensors, file, metadata={"batches": json.dumps(len(buffer))})


def load_buffer(file: Path, device: torch.device) -> list[dict[str, Any]]:
    """Read what `save_buffer` wrote."""
    with safe_open(file, framework="pt", device=str(device)) as stored:
        batches: list[dict[str, Any]] = [{} for _ in range(json.loads(stored.metadata()["batches"]))]
        for key in stored.keys():  # noqa: SIM118 - not a mapping
            index, name = key.split(".", 1)
            batches[int(index)][name] = stored.get_tensor(key)
    return batches
