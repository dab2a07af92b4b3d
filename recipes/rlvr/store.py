"""The rehearsal store: correct completions of the initial policy, with the log-probabilities it gave them.

Unpadded token ids and log-probabilities lie end to end in one memory-mapped safetensors file, about 4 bytes a prompt
token and 8 bytes a completion token; `store.json` beside it says what made them. (The paper's code keeps padded int64
records in a pickle: about 65 times the size, https://huggingface.co/papers/2509.07430.)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...data.cache import write_atomic
from ..methods.divergences import RehearsalTerm
from . import objective

FORMAT = "quince-rehearsal-1"

LogProbs = Callable[[Tensor, Tensor, int], Tensor]
"""Maps (input_ids, attention_mask, completion_tokens) to log-probs, `[batch, completion_tokens]`.

Returns `[batch, completion_tokens, vocabulary]` where the whole distribution is asked for.
"""

FIRST_STEP_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.02}
"""Largest mean |log u| (nats) before the first step; only kernels and padding may differ from the reference pass."""


class StoreError(ValueError):
    """A rehearsal store is missing, damaged, or was made by something else than this run starts from."""


@dataclass(frozen=True)
class RehearsalRow:
    """One stored completion.

    Attributes:
        prompt_ids: Tokens of the rendered prompt, `[prompt_tokens]`.
        completion_ids: Its tokens with the stop token, `[completion_tokens]`.
        log_probs: log π_ref of the completion's tokens in nats, `[completion_tokens]`.
    """

    prompt_ids: np.ndarray
    completion_ids: np.ndarray
    log_probs: np.ndarray


@dataclass(frozen=True)
class Origin:
    """What made a store; a run that starts from anything else must not use it.

    Attributes:
        model: Name or path of the initial policy.
        model_fingerprint: From `fingerprint.model_fingerprint`.
        tokenizer_fingerprint: From `fingerprint.tokenizer_fingerprint`.
        dtype: Of the weights that sampled.
        sampling: Temperature, top-p, tokens and seed of the draw.
    """

    model: str
    model_fingerprint: str
    tokenizer_fingerprint: str
    dtype: str
    sampling: dict[str, Any]


class RehearsalStore:
    """Read access to a store folder; rows are sliced from the memory-mapped file one by one."""

    def __init__(self, folder: Path) -> None:
        try:
            self.metadata = json.loads((folder / "store.json").read_text(encoding="utf-8"))
            self._file = safe_open(folder / "store.safetensors", framework="numpy")
        except (OSError, ValueError, SafetensorError) as error:
            raise StoreError(f"{folder} · no readable rehearsal store ({error}) · run `quince split` again") from error
        if self.metadata.get("format") != FORMAT:
            found = self.metadata.get("format")
            raise StoreError(f"{folder} · format {found!r} · this version reads {FORMAT!r} · run `quince split` again")
        self.folder = folder
        self.origin = Origin(**self.metadata["origin"])
        self._prompt_ends = self._file.get_tensor("prompt_ends")
        self._completion_ends = self._file.get_tensor("completion_ends")

    def __len__(self) -> int:
        return len(self._completion_ends)

    def __getitem__(self, index: int) -> RehearsalRow:
        prompt = slice(int(self._prompt_ends[index - 1]) if index else 0, int(self._prompt_ends[index]))
        start, end = self.span(index)
        return RehearsalRow(
            self._file.get_slice("prompt_ids")[prompt],
            self._file.get_slice("completion_ids")[start:end],
            self._file.get_slice("log_probs")[start:end],
        )

    def span(self, index: int) -> tuple[int, int]:
        """Where the completion of row `index` lies in the flat arrays, `(start, end)`."""
        return int(self._completion_ends[index - 1]) if index else 0, int(self._completion_ends[index])

    def completion_tokens(self, index: int) -> int:
        """Length of the completion of row `index` in tokens."""
        start, end = self.span(index)
        return end - start

    def require(self, origin: Origin) -> None:
        """Refuse to rehearse completions of another model.

        Raises:
            StoreError: naming each field of the origin that differs.
        """
        wanted, found = asdict(origin), asdict(self.origin)
        keys = ("model_fingerprint", "tokenizer_fingerprint", "dtype")
        differing = [f"{key}: {found[key]} (store) ≠ {wanted[key]} (run)" for key in keys if found[key] != wanted[key]]
        if differing:
            raise StoreError(
                f"{self.folder} · made by another initial policy · {'; '.join(differing)} · "
                "run `quince split` on this recipe, or point model.id at the model that made the store"
            )


def write_store(folder: Path, rows: Sequence[RehearsalRow], ids: Sequence[str], origin: Origin) -> None:
    """Write a store; the metadata file comes last, so an interrupted write leaves no readable store.

    Args:
        folder: Made if missing.
        rows: The completions, in a fixed order.
        ids: Row id of the prompt of each completion.
        origin: What made them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "prompt_ids": flat([row.prompt_ids for row in rows], np.int32),
        "prompt_ends": ends([row.prompt_ids for row in rows]),
        "completion_ids": flat([row.completion_ids for row in rows], np.int32),
        "completion_ends": ends([row.completion_ids for row in rows]),
        "log_probs": flat([row.log_probs for row in rows], np.float32),
    }
    staged = folder / "store.safetensors.partial"
    save_file(tensors, staged)
    staged.replace(folder / "store.safetensors")
    metadata = {"format": FORMAT, "origin": asdict(origin), "rows": len(rows), "ids": list(ids)}
    write_atomic(folder / "store.json", json.dumps(metadata, indent=1, ensure_ascii=False))


def flat(arrays: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    """Join arrays end to end."""
    return np.concatenate([np.asarray(array, dtype) for array in arrays]) if arrays else np.zeros(0, dtype)


def ends(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Exclusive end of each array in their join."""
    return np.cumsum([len(array) for array in arrays], dtype=np.int64)


@dataclass(frozen=True)
class RehearsalOrder:
    """The endless sequence of store rows: a fresh seeded permutation each epoch.

    The place in it follows from the number of rows already used, so there is no cursor to save: a resumed run
    continues exactly, and any number of processes reads the same global sequence.

    Attributes:
        rows: Rows in the store.
        seed: Of the permutations.
    """

    rows: int
    seed: int

    def take(self, start: int, count: int) -> np.ndarray:
        """Return `count` row indices from position `start` on, `[count]`."""
        epochs = range(start // self.rows, (start + count - 1) // self.rows + 1)
        order = np.concatenate([np.random.default_rng((self.seed, epoch)).permutation(self.rows) for epoch in epochs])
        offset = start - epochs[0] * self.rows
        return order[offset : offset + count]


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
        return RehearsalBatch(
            self.input_ids.to(device),
            self.attention_mask.to(device),
            self.mask.to(device),
            self.reference.to(device),
            None if self.reference_ids is None else self.reference_ids.to(device),
            self.items,
        )


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

    def parts(self, place: MicroBatch, pieces: int) -> list[MicroBatch]:
        """A micro-batch in pieces of at least one row."""
        pieces = max(1, min(pieces, self.batch_size // (place.micros * place.world)))
        return [
            replace(place, micro=place.micro + piece * place.micros, micros=place.micros * pieces)
            for piece in range(pieces)
        ]

    def require_start(self, drift: float, precision: torch.dtype) -> None:
        """Refuse to train a policy that is not the one whose log-probabilities are stored.

        Args:
            drift: Mean |log u| before the first step, in nats.
            precision: Of the forward pass.

        Raises:
            StoreError: With the drift and what may have caused it.
        """
        if drift > FIRST_STEP_TOLERANCE[precision]:
            raise StoreError(
                f"rehearsal · mean |log u| before the first step is {drift:.2e} nats, allowed "
                f"{FIRST_STEP_TOLERANCE[precision]:.0e} · the policy is not the one whose log-probabilities are stored"
                " · switch off dropout and neftune_noise_alpha, delete reference.safetensors in the run folder, or run "
                "`quince split` again"
            )

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


def pad(arrays: list[np.ndarray], value: float, left: bool = False) -> Tensor:
    """Stack arrays `[tokens, ...]` of different lengths into `[rows, tokens, ...]`; integers become int64."""
    tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    tensors = [t if t.is_floating_point() else t.long() for t in tensors]
    return pad_sequence(tensors, batch_first=True, padding_value=value, padding_side="left" if left else "right")
