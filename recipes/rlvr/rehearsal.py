"""The rehearsal term while training: stored completions in forward passes of their own, and their reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..methods.divergences import RehearsalTerm
from . import objective
from .store import RehearsalOrder, RehearsalRow, RehearsalStore, StoreError

if TYPE_CHECKING:
    from trl import GRPOTrainer

    _Base = GRPOTrainer
else:
    _Base = object

LogProbs = Callable[[Tensor, Tensor, int], Tensor]
"""Maps (input_ids, attention_mask, completion_tokens) to log-probs, `[batch, completion_tokens]`.

Returns `[batch, completion_tokens, vocabulary]` where the whole distribution is asked for.
"""

FIRST_STEP_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.02}
"""Largest mean |log u| (nats) before the first step; only kernels and padding may differ from the reference pass."""


@dataclass(frozen=True)
class MicroBatch:
    """Which of a step's stored rows this process handles now.

    Attributes:
        step: Optimizer steps done.
        micro: Index of the micro-batch within the step.
        micros: Micro-batches of a step.
        rank: Of this process.
        world: Number of processes.
    """

    step: int
    micro: int
    micros: int
    rank: int
    world: int


@dataclass(frozen=True)
class RehearsalBatch:
    """Padded rows of one micro-batch; prompts on the left, completions on the right.

    Attributes:
        input_ids: `[batch, prompt_tokens + completion_tokens]`.
        attention_mask: Same shape.
        mask: `[batch, completion_tokens]`, 1 on completion tokens.
        reference: log π_ref, `[batch, completion_tokens]` (nats), or of k tokens `[batch, completion_tokens, k]`.
        reference_ids: Which k tokens, or None.
        items: Tokens (or rows) of the whole step, all processes: the normaliser.
    """

    input_ids: Tensor
    attention_mask: Tensor
    mask: Tensor
    reference: Tensor
    reference_ids: Tensor | None
    items: int

    def to(self, device: torch.device) -> RehearsalBatch:
        """Move the tensors."""
        ids = None if self.reference_ids is None else self.reference_ids.to(device)
        moved = (self.input_ids, self.attention_mask, self.mask, self.reference)
        return RehearsalBatch(*(tensor.to(device) for tensor in moved), ids, self.items)


class Rehearsal:
    """A store, the divergence on it, and the reference log-probs as the *training* forward pass computes them.

    Args:
        store: At least one row.
        term: The divergence with its options.
        pad_token_id: Of the tokenizer.
        batch_size: Rows of an optimizer step, all processes together.
        seed: Of the order.
    """

    def __init__(
        self, store: RehearsalStore, term: RehearsalTerm, pad_token_id: int, batch_size: int = 16, seed: int = 0
    ) -> None:
        if len(store) == 0:
            raise StoreError(f"{store.folder} · 0 rows · lower split.threshold or give more data")
        self.store, self.term, self.pad_token_id, self.batch_size = store, term, pad_token_id, batch_size
        self.order = RehearsalOrder(len(store), seed)
        self._generator = term.generator()
        self._reference: Any = None

    def measure_reference(self, file: Path, log_probs: LogProbs, batch_size: int) -> None:
        """Compute log π_ref with the training forward pass, or read what an interrupted run computed.

        Doing it here and not in the sampling engine makes u = 1 at the first step, whatever the engine's kernels or
        precision. Must run before the first optimizer step of a run; a resumed run reads the file.

        Args:
            file: Where the run keeps them.
            log_probs: The training forward pass, without gradient.
            batch_size: Rows a forward pass.
        """
        if not file.exists():
            flat: list[np.ndarray] = []
            ids: list[np.ndarray] = []
            for start in range(0, len(self.store), batch_size):
                batch = self._padded(list(range(start, min(start + batch_size, len(self.store)))), items=1)
                values, tokens = self._reference_of(batch, log_probs)
                for row_values, row_tokens, row_mask in zip(values, tokens, batch.mask.bool(), strict=True):
                    flat.append(row_values[row_mask].float().cpu().numpy())
                    ids.append(row_tokens[row_mask].to(torch.int32).cpu().numpy())
            staged = file.with_suffix(".partial")
            save_file({"log_probs": np.concatenate(flat), "token_ids": np.concatenate(ids)}, staged)
            staged.replace(file)
        self._reference = safe_open(file, framework="numpy")

    def batch(self, part: MicroBatch) -> RehearsalBatch:
        """Rows of one process's micro-batch; the same rows for any cut of the step into micro-batches."""
        rows = [int(index) for index in self.order.take(part.step * self.batch_size, self.batch_size)]
        by_token = self.term.aggregate == "token_mean"
        items = sum(self.store.completion_tokens(index) for index in rows) if by_token else len(rows)
        return self._padded(rows[part.micro * part.world + part.rank :: part.micros * part.world], items)

    def loss(self, batch: RehearsalBatch, log_probs: Tensor) -> tuple[Tensor, Tensor]:
        """This micro-batch's part of the rehearsal term (before its weight), and log u of its stored tokens.

        Args:
            batch: From `batch`.
            log_probs: log π_θ with gradient, `[batch, completion_tokens]` or with the vocabulary as last dimension.

        Returns:
            Scalar whose sum over micro-batches and processes is the mean, and `[batch, completion_tokens]`.
        """
        only_lost = self.term.tokens == "lost"
        if batch.reference_ids is None:
            log_ratio = log_probs - batch.reference
            values = objective.sampled_divergence(self._generator, log_ratio, only_lost)
        else:
            log_p = log_probs.gather(-1, batch.reference_ids)
            stored = batch.input_ids[:, -batch.mask.shape[1] :].unsqueeze(-1)
            log_ratio = ((log_p - batch.reference) * (batch.reference_ids == stored).float()).sum(-1)
            values = objective.categorical_divergence(self._generator, log_p, batch.reference)
            values = objective.unless_kept(values, log_ratio, only_lost)
        mask = batch.mask.to(values.dtype)
        return objective.rehearsal(values, mask, self.term.aggregate, batch.items), log_ratio.detach()

    @property
    def whole_distribution(self) -> bool:
        """True if the estimator needs log-probs of the whole vocabulary."""
        return self.term.estimator != "sampled"

    def _reference_of(self, batch: RehearsalBatch, log_probs: LogProbs) -> tuple[Tensor, Tensor]:
        values = log_probs(batch.input_ids, batch.attention_mask, batch.mask.shape[1])
        if not self.whole_distribution:
            return values, batch.input_ids[:, -batch.mask.shape[1] :]
        top = values.topk(min(self.term.top_k or values.shape[-1], values.shape[-1]), dim=-1)
        return top.values, top.indices

    def _padded(self, indices: list[int], items: int) -> RehearsalBatch:
        rows = [self.store[index] for index in indices]
        prompts = pad([row.prompt_ids for row in rows], self.pad_token_id, left=True)
        prompt_mask = pad([np.ones_like(row.prompt_ids) for row in rows], 0, left=True)
        completions = pad([row.completion_ids for row in rows], self.pad_token_id)
        mask = pad([np.ones_like(row.completion_ids) for row in rows], 0)
        reference, reference_ids = self._stored_reference(indices, rows)
        ids, attended = torch.cat([prompts, completions], 1), torch.cat([prompt_mask, mask], 1)
        return RehearsalBatch(ids, attended, mask, reference, reference_ids, items)

    def _stored_reference(self, indices: list[int], rows: list[RehearsalRow]) -> tuple[Tensor, Tensor | None]:
        if self._reference is None:
            return pad([row.log_probs for row in rows], 0.0), None
        values, ids = self._reference.get_slice("log_probs"), self._reference.get_slice("token_ids")
        spans = [self.store.span(index) for index in indices]
        reference = pad([values[a:b] for a, b in spans], 0.0)
        return reference, pad([ids[a:b] for a, b in spans], 0) if self.whole_distribution else None


class Rehearses(_Base):
    """Mixin for a `GRPOTrainer` with a `rehearsal`: a store and its divergence, or None."""

    rehearsal: Rehearsal | None
    _checked_first_step = False

    def measure_reference(self, resumed: bool) -> None:
        """Compute log π_ref of the store before training, on the main process; a resumed run reads the file.

        Raises:
            StoreError: A resumed run has lost the file.
        """
        if self.rehearsal is None:
            return
        file = Path(self.args.output_dir) / "reference.safetensors"
        with self.accelerator.main_process_first():
            if resumed and not file.exists():
                raise StoreError(f"{file} · missing · only the initial policy can make it · start without --resume")
            if not resumed and self.accelerator.is_main_process:
                file.unlink(missing_ok=True)  # of an earlier run in this folder
            self.rehearsal.measure_reference(file, self._reference_log_probs, self.args.per_device_train_batch_size)

    def rehearsal_parts(self, pieces: int) -> list[MicroBatch]:
        """The stored rows of this micro-batch, in pieces of at least one row."""
        if self.rehearsal is None or not self.model.training:
            return []
        micros, world = self.current_gradient_accumulation_steps, self.accelerator.num_processes
        pieces = max(1, min(pieces, self.rehearsal.batch_size // (micros * world)))
        return [
            MicroBatch(
                step=self.state.global_step,
                micro=self._step % micros + piece * micros,
                micros=micros * pieces,
                rank=self.accelerator.process_index,
                world=world,
            )
            for piece in range(pieces)
        ]

    def rehearsal_loss(self, model: Any, part: MicroBatch) -> Tensor:
        """This process's part of the rehearsal term, scaled so that averaging over processes gives the mean."""
        assert self.rehearsal is not None
        batch = self.rehearsal.batch(part).to(self.accelerator.device)
        log_probs = self._rehearsal_log_probs(model, batch.input_ids, batch.attention_mask, batch.mask.shape[1])
        loss, log_ratio = self.rehearsal.loss(batch, log_probs)
        drift = ((log_ratio.abs() * batch.mask).sum() / batch.mask.sum()).item()
        self._check_first_step(drift)
        self.log_metric("divergence/rehearsal", loss.item() * part.micros * part.world)
        self.log_metric("rehearsal/abs_log_ratio", drift)
        self.log_metric("rehearsal/weight", self.rehearsal.term.weight)
        pieces = part.micros / self.current_gradient_accumulation_steps
        self.log_metric("tokens/rehearsed", float(batch.mask.sum()) * pieces)
        return loss * part.world

    def _reference_log_probs(self, ids: Tensor, mask: Tensor, tokens: int) -> Tensor:
        was_training = self.model.training
        self.model.eval()
        device = self.accelerator.device
        with torch.no_grad():
            values = self._rehearsal_log_probs(self.model.to(device), ids.to(device), mask.to(device), tokens)
        self.model.train(was_training)
        return values

    def _rehearsal_log_probs(self, model: Any, ids: Tensor, mask: Tensor, tokens: int) -> Tensor:
        if self.rehearsal is None or not self.rehearsal.whole_distribution:
            return self.completion_log_probs(model, ids, mask, tokens)
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
                " · switch off dropout and neftune_noise_alpha, delete reference.safetensors in the run folder, or run "
                "`quince split` again"
            )


def pad(arrays: list[np.ndarray], value: float, left: bool = False) -> Tensor:
    """Stack arrays `[tokens, ...]` of different lengths into `[rows, tokens, ...]`; integers become int64."""
    tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    tensors = [t if t.is_floating_point() else t.long() for t in tensors]
    return pad_sequence(tensors, batch_first=True, padding_value=value, padding_side="left" if left else "right")
