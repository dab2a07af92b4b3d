"""The rehearsal term: a divergence from the initial policy on its own stored answers.

The loss is L = L_exp + η·L_rehearsal with a normaliser of its own: L_rehearsal is the mean over all rehearsal tokens
(or sequences) of one optimizer step, whatever the number of processes and micro-batches. In the paper's code rehearsal
rows are one ninth of a joint batch, so its η acts like about η/8 here: to reproduce a published η, divide it by 8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from . import divergences
from .rehearsal import RehearsalOrder, RehearsalRow, RehearsalStore, StoreError

LogProbs = Callable[[Tensor, Tensor, int], Tensor]
"""Maps (input_ids, attention_mask, completion_tokens) to log-probs, `[batch, completion_tokens]`.

Returns `[batch, completion_tokens, vocabulary]` where the whole distribution is asked for.
"""


@dataclass(frozen=True)
class RehearsalSettings:
    """What the recipe says about the term.

    Attributes:
        kind: Divergence, see `divergences.make_generator`; or `jensen_shannon_definition`.
        weight: η.
        alpha: Only for `alpha`.
        tokens: `lost` acts only where the policy's probability fell.
        estimator: `sampled` (the stored token), `top_k` (the reference's k likeliest tokens and the rest as one
            outcome) or `full` (the whole vocabulary).
        top_k: Only for `top_k`.
        aggregate: See `divergences.aggregate`.
        batch_size: Rows per optimizer step, all processes together.
        seed: Of the order.
    """

    kind: str
    weight: float
    alpha: float = 0.5
    tokens: str = "all"
    estimator: str = "sampled"
    top_k: int = 20
    aggregate: str = "token_mean"
    batch_size: int = 16
    seed: int = 0

    def generator(self) -> divergences.Generator:
        """The divergence as value and coefficient of the log-ratio."""
        if self.kind == "jensen_shannon_definition":
            return divergences.js_reference_half
        return divergences.make_generator(self.kind, self.alpha)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Share:
    """Which part of a step's rows this process handles now.

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
        items: Tokens (or sequences) of the whole step, all processes: the normaliser.
    """

    input_ids: Tensor
    attention_mask: Tensor
    mask: Tensor
    reference: Tensor
    reference_ids: Tensor | None
    items: int

    def to(self, device: torch.device) -> RehearsalBatch:
        """Move the tensors."""
        names = ("input_ids", "attention_mask", "mask", "reference", "reference_ids")
        moved = {name: getattr(self, name) for name in names}
        return replace(self, **{name: None if t is None else t.to(device) for name, t in moved.items()})


class Rehearsal:
    """A store, the divergence on it, and the reference log-probs as the *training* forward pass computes them."""

    def __init__(self, store: RehearsalStore, settings: RehearsalSettings, pad_token_id: int) -> None:
        if len(store) == 0:
            raise StoreError(f"{store.folder} · 0 rows · lower split.threshold or give more data")
        self.store, self.settings, self.pad_token_id = store, settings, pad_token_id
        self.order = RehearsalOrder(len(store), settings.seed)
        self._generator = settings.generator()
        self._reference = None

    def measure_reference(
        self,
        file: Path,
        log_probs: LogProbs,
        batch_size: int,
        rank: int = 0,
        world: int = 1,
        wait: Callable[[], None] = lambda: None,
    ) -> None:
        """Compute log π_ref with the training forward pass, or read what an interrupted run computed.

        Doing it here and not in the sampling engine makes u = 1 at the first step, whatever the engine's kernels or
        precision. Must run before the first optimizer step of a run; a resumed run reads the file. Each process
        measures a part of the rows, in as many forward passes as every other: sharded weights ask for that.

        Args:
            file: Where the run keeps them, on a file system that all processes share.
            log_probs: The training forward pass, without gradient.
            batch_size: Rows a forward pass.
            rank: Of this process.
            world: Number of processes.
            wait: For all processes.
        """
        if not file.exists():
            each = batch_size * -(-len(self.store) // (batch_size * world))
            first = range(rank * each, (rank + 1) * each, batch_size)
            measured = [self._measured(start, batch_size, log_probs) for start in first]
            parts = [file.with_suffix(f".{number}.partial") for number in range(world)]
            _save_joined(measured, parts[rank])
            wait()
            if rank == 0:
                staged = file.with_suffix(".partial")
                _save_joined([load_file(part) for part in parts], staged)
                staged.replace(file)
                for part in parts:
                    part.unlink()
            wait()
        self._reference = safe_open(file, framework="numpy")

    def batch(self, share: Share) -> RehearsalBatch:
        """Rows of one process's micro-batch; the same rows for any cut of the step into micro-batches."""
        rows = self.order.take(share.step * self.settings.batch_size, self.settings.batch_size)
        if self.settings.aggregate == "token_mean":
            items = sum(self.store.completion_tokens(int(index)) for index in rows)
        else:
            items = len(rows)
        mine = rows[share.micro * share.world + share.rank :: share.micros * share.world]
        return self._padded([int(index) for index in mine], items)

    def loss(self, batch: RehearsalBatch, log_probs: Tensor) -> tuple[Tensor, Tensor]:
        """This micro-batch's part of L_rehearsal (before η), and the log-ratios of its stored tokens.

        Args:
            batch: From `batch`.
            log_probs: log π_θ with gradient, `[batch, completion_tokens]` or with the vocabulary as last dimension.

        Returns:
            Scalar whose sum over micro-batches and processes is the mean, and `[batch, completion_tokens]`.
        """
        if batch.reference_ids is None:
            log_ratio = log_probs - batch.reference
            values = divergences.differentiable(self._generator, log_ratio)
        else:
            log_p = log_probs.gather(-1, batch.reference_ids)
            values = divergences.categorical_divergence(self._generator, log_p, batch.reference)
            stored = batch.input_ids[:, -batch.mask.shape[1] :].unsqueeze(-1)
            of_stored = (batch.reference_ids == stored).float()
            log_ratio = ((log_p - batch.reference) * of_stored).sum(-1)
        mask = batch.mask.to(values.dtype)
        if self.settings.tokens == "lost":
            values = values * (log_ratio.detach() < 0)
        return divergences.aggregate(values, mask, self.settings.aggregate) / batch.items, log_ratio.detach()

    @property
    def whole_distribution(self) -> bool:
        """True if the estimator needs log-probs of the whole vocabulary."""
        return self.settings.estimator != "sampled"

    def _measured(self, start: int, count: int, log_probs: LogProbs) -> dict[str, np.ndarray]:
        """Of up to `count` rows: log π_ref `[tokens, ...]`, and the tokens they are of; of none past the last row."""
        rows = range(start, min(start + count, len(self.store)))
        batch = self._padded(list(rows) or [0], items=1)
        values, tokens = self._reference_of(batch, log_probs)
        mask = batch.mask.bool() & bool(rows)
        return {
            "log_probs": values.cpu()[mask].float().numpy(),
            "token_ids": tokens.cpu()[mask].to(torch.int32).numpy(),
        }

    def _reference_of(self, batch: RehearsalBatch, log_probs: LogProbs) -> tuple[Tensor, Tensor]:
        values = log_probs(batch.input_ids, batch.attention_mask, batch.mask.shape[1])
        if not self.whole_distribution:
            return values, batch.input_ids[:, -batch.mask.shape[1] :]
        k = values.shape[-1] if self.settings.estimator == "full" else min(self.settings.top_k, values.shape[-1])
        top = values.topk(k, dim=-1)
        return top.values, top.indices

    def _padded(self, indices: list[int], items: int) -> RehearsalBatch:
        rows = [self.store[index] for index in indices]
        prompts = pad([row.prompt_ids for row in rows], self.pad_token_id, left=True)
        prompt_mask = pad([np.ones_like(row.prompt_ids) for row in rows], 0, left=True)
        completions = pad([row.completion_ids for row in rows], self.pad_token_id)
        mask = pad([np.ones_like(row.completion_ids) for row in rows], 0)
        reference, reference_ids = self._stored_reference(indices, rows)
        return RehearsalBatch(
            torch.cat([prompts, completions], 1),
            torch.cat([prompt_mask, mask], 1),
            mask,
            reference,
            reference_ids if self.whole_distribution and self._reference is not None else None,
            items,
        )

    def _stored_reference(self, indices: list[int], rows: list[RehearsalRow]) -> tuple[Tensor, Tensor]:
        if self._reference is None:
            return pad([row.log_probs for row in rows], 0.0), pad([row.completion_ids for row in rows], 0)
        values, ids = self._reference.get_slice("log_probs"), self._reference.get_slice("token_ids")
        spans = [self.store.span(index) for index in indices]
        return pad([values[a:b] for a, b in spans], 0.0), pad([ids[a:b] for a, b in spans], 0).long()


def _save_joined(parts: list[dict[str, np.ndarray]], file: Path) -> None:
    save_file({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, file)


def pad(arrays: list[np.ndarray], value: float, left: bool = False) -> Tensor:
    """Stack arrays `[tokens, ...]` of different lengths into `[rows, tokens, ...]`; integers become int64."""
    tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    tensors = [t if t.is_floating_point() else t.long() for t in tensors]
    return pad_sequence(tensors, batch_first=True, padding_value=value, padding_side="left" if left else "right")
