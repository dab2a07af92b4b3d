"""The trainer's side of the rehearsal term: forward passes of its own, and the reference measured before training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from .rehearsal import StoreError
from .rehearsal_loss import Rehearsal, Share

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments
    from trl import GRPOTrainer

    _Base = GRPOTrainer
else:
    _Base = object

FIRST_STEP_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.02}
"""Largest mean |log u| (nats) before the first step; only kernels and padding may differ from the reference pass."""


class MeasuresReference(TrainerCallback):
    """Has a trainer measure the reference once its model is prepared, and whole on all processes or sharded."""

    def __init__(self, trainer: Rehearses) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """The first step is still to come, or a checkpoint has just been loaded."""
        self.trainer.measure_reference(resumed=state.global_step > 0)


class Rehearses(_Base):
    """Mixin for a `GRPOTrainer` with a `rehearsal`: a store and its divergence, or None."""

    rehearsal: Rehearsal | None
    _checked_first_step = False

    def measure_reference(self, resumed: bool) -> None:
        """Measure log π_ref of the stored answers, or take up what the run measured when it began.

        Raises:
            StoreError: A resumed run lacks it.
        """
        file = Path(self.args.output_dir) / "reference.safetensors"
        if resumed and not file.exists():
            raise StoreError(f"{file} · missing · only the initial policy can make it · start without --resume")
        if not resumed and self.accelerator.is_main_process:
            file.unlink(missing_ok=True)  # of an earlier run in this folder
        self.accelerator.wait_for_everyone()
        self.rehearsal.measure_reference(
            file,
            self._reference_log_probs,
            self.args.per_device_train_batch_size,
            self.accelerator.process_index,
            self.accelerator.num_processes,
            self.accelerator.wait_for_everyone,
        )

    def _reference_log_probs(self, ids: Tensor, mask: Tensor, tokens: int) -> Tensor:
        was_training = self.model.training
        self.model.eval()
        device = self.accelerator.device
        with torch.no_grad():
            values = self._rehearsal_log_probs(self.model, ids.to(device), mask.to(device), tokens)
        self.model.train(was_training)
        return values

    def _rehearsal_shares(self, pieces: int) -> list[Share]:
        """The stored rows of this micro-batch, in pieces of at least one row."""
        micros, world = self.current_gradient_accumulation_steps, self.accelerator.num_processes
        pieces = max(1, min(pieces, self.rehearsal.settings.batch_size // (micros * world)))
        return [
            Share(
                step=self.state.global_step,
                micro=self._step % micros + piece * micros,
                micros=micros * pieces,
                rank=self.accelerator.process_index,
                world=world,
            )
            for piece in range(pieces)
        ]

    def _rehearsal_part(self, model: Any, share: Share) -> Tensor:
        with self.clock.phase("rehearsal"):
            return self.rehearsal.settings.weight * self._rehearsal_loss(model, share)

    def _rehearsal_loss(self, model: Any, share: Share) -> Tensor:
        """This process's part of the rehearsal loss, scaled so that averaging over processes gives the mean."""
        batch = self.rehearsal.batch(share).to(self.accelerator.device)
        log_probs = self._rehearsal_log_probs(model, batch.input_ids, batch.attention_mask, batch.mask.shape[1])
        loss, log_ratio = self.rehearsal.loss(batch, log_probs)
        drift = (log_ratio.abs() * batch.mask).sum() / batch.mask.sum()
        self._check_first_step(drift.item())
        self._log("divergence/rehearsal", loss.item() * share.micros * share.world)
        self._log("rehearsal/abs_log_ratio", drift.item())
        self._log("rehearsal/weight", self.rehearsal.settings.weight)
        self._log("tokens/rehearsed", float(batch.mask.sum()) * share.micros / self.current_gradient_accumulation_steps)
        return loss * share.world

    def _rehearsal_log_probs(self, model: Any, ids: Tensor, mask: Tensor, tokens: int) -> Tensor:
        if not self.rehearsal.whole_distribution:
            return super()._get_per_token_logps_and_entropies(model, ids, mask, tokens)[0]
        with self.accelerator.autocast():
            logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=tokens + 1).logits
        return torch.log_softmax(logits[:, :-1].float() / self.temperature, -1)

    def _check_first_step(self, drift: float) -> None:
        if self._checked_first_step or self.state.global_step > 0:
            return
        self._checked_first_step = True
        precision = torch.bfloat16 if self.args.bf16 else torch.float16 if self.args.fp16 else self.model.dtype
        if drift > FIRST_STEP_TOLERANCE[precision]:
            raise RuntimeError(
                f"rehearsal · mean |log u| before the first step is {drift:.2e} nats, allowed "
                f"{FIRST_STEP_TOLERANCE[precision]:.0e} · the policy is not the one whose log-probabilities are stored"
                " · delete reference.safetensors in the run folder, or run `quince split` again"
            )
