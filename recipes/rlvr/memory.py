"""A micro-batch that does not fit into memory is done again in pieces, with the same gradient.

Advantages are of whole groups and are there before the first piece: no group gets smaller and no completion is left
out. (Lowering the batch size, as the Trainer's own search does, would break the groups.)
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import DistributedType
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor

if TYPE_CHECKING:
    from trl import GRPOTrainer as _Base
else:
    _Base = object

logger = logging.getLogger(__name__)


class MemoryFullError(RuntimeError):
    """A single completion does not fit into memory, or the loss cannot be computed in pieces."""


class FitsMemory(_Base):
    """Mixin for a `GRPOTrainer` whose `compute_loss` cuts its loss into `pieces`; asked only where memory ran out.

    Out of memory, the gradient of the whole optimizer step is dropped and its micro-batches are done again in twice as
    many pieces, which later steps keep to. Only for one process: others would wait for the one that starts again.
    """

    pieces = 1
    oom_splits = 0
    micro_batches: list[dict[str, Any]]  # of the optimizer step at hand
    replaying = False
    _step: int

    def recover(self, model: Any, failure: str) -> Tensor:
        """Do the optimizer step at hand again, in as many pieces as it takes; returns the last micro-batch's loss."""
        again: str | None = failure
        step = self._step
        while again is not None:
            self._cut_finer(again)
            loss, again = self._again(model)
            self._step = step + 1
        return loss

    def _again(self, model: Any) -> tuple[Tensor, str | None]:
        """Do the micro-batches of this optimizer step again; returns the last one's loss, or why it failed."""
        self.model.zero_grad()
        self.replaying, loss = True, torch.zeros(())
        try:
            for place, batch in enumerate(self.micro_batches):
                self._step += place - self._step % self.current_gradient_accumulation_steps
                with self.clock.phase("backward"):
                    with self.compute_loss_context_manager():
                        loss = self.compute_loss(model, batch)
                    self.accelerator.backward(loss)
        except RuntimeError as error:
            if not is_memory_full(error):
                raise
            return loss.detach(), str(error)
        finally:
            self.replaying = False
        return loss.detach(), None

    def _cut_finer(self, failure: str) -> None:
        rows = self.args.per_device_train_batch_size
        where = f"trainer.per_device_train_batch_size: {rows}"
        advice = "lower trainer.max_completion_length, or train an adapter or with trainer.gradient_checkpointing"
        if self.pieces >= rows:
            found = "not even one completion at a time fits into memory"
            raise MemoryFullError(f"{where} · {found} · {advice} ({failure})")
        if not self._can_be_cut():
            raise MemoryFullError(f"{where} · does not fit into memory · lower it ({failure})")
        clear_device_cache(garbage_collection=True)
        self.pieces = min(2 * self.pieces, rows)
        self.oom_splits += 1
        logger.warning("%s does not fit into memory; from here on in %d pieces, same gradient", where, self.pieces)

    def _can_be_cut(self) -> bool:
        """Whether the loss is a sum over rows; what is measured on a micro-batch as a whole is not."""
        one_process = self.accelerator.distributed_type == DistributedType.NO
        of_batch = self._entropy_bonus_enabled or self.aux_loss_enabled or self.top_entropy_quantile < 1
        return one_process and not of_batch


def is_memory_full(error: BaseException) -> bool:
    """Whether an accelerator or the host has no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or should_reduce_batch_size(error)
