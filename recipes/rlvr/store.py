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
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import TrainerCallback

from ...data.cache import write_atomic
from ..methods.divergences import RehearsalTerm
from . import objective

FORMAT = "quince-rehearsal-1"


class StoreError(ValueError):
    """A rehearsal store is missing, damaged, or was made by something else than this run starts from."""


@dataclass(frozen=True)
class RehearsalRow:
    """One stored completion."""

    prompt_ids: np.ndarray  # of the rendered prompt, [prompt_tokens]
    completion_ids: np.ndarray  # with the stop token, [completion_tokens]
    log_probs: np.ndarray  # log π_ref of the completion's tokens in nats, [completion_tokens]


@dataclass(frozen=True)
class Origin:
    """What made a store; a run that starts from anything else must not use it."""

    model: str  # name or path of the initial policy
    model_fingerprint: str
    tokenizer_fingerprint: str
    dtype: str  # of the weights that sampled
    sampling: dict[str, Any]  # temperature, top-p, tokens and seed


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
    """Write a store and the row id of each completion's prompt; an interrupted write leaves no readable store."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, dtype in (("prompt_ids", np.int32), ("completion_ids", np.int32), ("log_probs", np.float32)):
        arrays = [np.asarray(getattr(row, name), dtype) for row in rows]
        tensors[name] = np.concatenate([np.zeros(0, dtype), *arrays])
        if name != "log_probs":  # they end where the completions do
            tensors[name.replace("ids", "ends")] = np.cumsum([len(array) for array in arrays], dtype=np.int64)
    staged = folder / "store.safetensors.partial"
    save_file(tensors, staged)
    staged.replace(folder / "store.safetensors")
    metadata = {"format": FORMAT, "origin": asdict(origin), "rows": len(rows), "ids": list(ids)}
    write_atomic(folder / "store.json", json.dumps(metadata, indent=1, ensure_ascii=False))


@dataclass(frozen=True)
class RehearsalOrder:
    """The endless sequence of a store's row indices: a fresh seeded permutation each epoch.

    The place in it follows from the number of rows already used, so there is no cursor to save: a resumed run
    continues exactly, and any number of processes reads the same global sequence.
    """

    rows: int
    seed: int

    def take(self, start: int, count: int) -> np.ndarray:
        """Return `count` row indices from position `start` on, `[count]`."""
        epochs = range(start // self.rows, (start + count - 1) // self.rows + 1)
        order = np.concatenate([np.random.default_rng((self.seed, epoch)).permutation(self.rows) for epoch in epochs])
        offset = start - epochs[0] * self.rows
        return order[offset : offset + count]


LogProbs = Callable[[Tensor, Tensor, int], Tensor]
"""Maps (input_ids, attention_mask, completion_tokens) to log-probs, `[batch, completion_tokens]` or, of the whole
distribution, `[batch, completion_tokens, vocabulary]`."""

FIRST_STEP_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.02}
"""Largest mean |log u| (nats) before the first step; only kernels and padding may differ from the reference pass."""


@dataclass(frozen=True)
class MicroBatch:
    """Which of a step's stored rows this process handles now."""

    step: int  # optimizer steps done
    micro: int  # index of the micro-batch within the step
    micros: int  # micro-batches of a step
    rank: int  # of this process
    world: int  # number of processes


@dataclass(frozen=True)
class RehearsalBatch:
    """Padded rows of one micro-batch; prompts on the left, completions on the right."""

    input_ids: Tensor  # [batch, prompt_tokens + completion_tokens]
    attention_mask: Tensor  # same shape
    mask: Tensor  # 1 on completion tokens, [batch, completion_tokens]
    reference: Tensor  # log π_ref in nats, [batch, completion_tokens], or of k tokens [batch, completion_tokens, k]
    reference_ids: Tensor | None  # which k tokens
    items: int  # tokens (or rows) of the whole step, all processes: the normaliser

    def to(self, device: torch.device) -> RehearsalBatch:
        """Move the tensors."""
        moved: dict[str, Any] = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in vars(self).items()}
        return RehearsalBatch(**moved)


class Rehearsal:
    """A store, the divergence on it, and the reference log-probs as the *training* forward pass computes them.

    `batch_size` counts the rows of an optimizer step, all processes together.
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

    def measure_reference(
        self, file: Path, log_probs: LogProbs, batch_size: int, resumed: bool = False, run: Accelerator | None = None
    ) -> None:
        """Compute log π_ref with the training forward pass, or read what this run computed when it began.

        Doing it here and not in the sampling engine makes u = 1 at the first step, whatever the engine's kernels or
        precision. Each process measures a part of the rows, in as many forward passes as every other: sharded weights
        ask for that.

        Args:
            file: Where the run keeps them, on a file system that all processes share.
            log_probs: The training forward pass, without gradient.
            batch_size: Rows a forward pass.
            resumed: Whether optimizer steps have been done.
            run: Of the processes, if there are several.

        Raises:
            StoreError: A resumed run has lost the file.
        """
        rank, world = (run.process_index, run.num_processes) if run else (0, 1)
        wait = run.wait_for_everyone if run else lambda: None
        if resumed and not file.exists():
            raise StoreError(f"{file} · missing · only the initial policy can make it · start without --resume")
        if not resumed:
            each = batch_size * -(-len(self.store) // (batch_size * world))
            starts = range(rank * each, (rank + 1) * each, batch_size)
            measured = [self._measured(start, batch_size, log_probs) for start in starts]
            parts = [file.with_suffix(f".{number}.partial") for number in range(world)]
            _save_joined(measured, parts[rank])
            wait()
            if rank == 0:  # takes the place of that of an earlier run in this folder
                staged = file.with_suffix(".partial")
                _save_joined([load_file(part) for part in parts], staged)
                staged.replace(file)
                for part in parts:
                    part.unlink()
            wait()
        self._reference = safe_open(file, framework="numpy")

    def _measured(self, start: int, count: int, log_probs: LogProbs) -> dict[str, np.ndarray]:
        """Of up to `count` rows: log π_ref `[tokens, ...]`, and the tokens they are of; of none past the last row."""
        rows = range(start, min(start + count, len(self.store)))
        batch = self._padded(list(rows) or [0], items=1)
        width = batch.mask.shape[1]
        values, tokens = log_probs(batch.input_ids, batch.attention_mask, width), batch.input_ids[:, -width:]
        if self.whole_distribution:
            values, tokens = values.topk(min(self.term.top_k or values.shape[-1], values.shape[-1]), dim=-1)
        mask = batch.mask.bool() & bool(rows)
        ids = tokens.cpu()[mask].to(torch.int32).numpy()
        return {"log_probs": values.cpu()[mask].float().numpy(), "token_ids": ids}

    def batch(self, part: MicroBatch) -> RehearsalBatch:
        """Rows of one process's micro-batch; the same rows for any cut of the step into micro-batches."""
        rows = [int(index) for index in self.order.take(part.step * self.batch_size, self.batch_size)]
        by_token = self.term.aggregate == "token_mean"
        items = sum(end - start for start, end in map(self.store.span, rows)) if by_token else len(rows)
        return self._padded(rows[part.micro * part.world + part.rank :: part.micros * part.world], items)

    def loss(self, batch: RehearsalBatch, log_probs: Tensor) -> tuple[Tensor, Tensor]:
        """This micro-batch's part of the rehearsal term (before its weight), and log u of its stored tokens.

        `log_probs` are log π_θ with gradient, `[batch, completion_tokens]` or with the vocabulary as last dimension.

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
        micros = place.micros
        return [replace(place, micro=place.micro + i * micros, micros=micros * pieces) for i in range(pieces)]

    def require_start(self, drift: float, precision: torch.dtype) -> None:
        """Refuse to train a policy that is not the one whose log-probabilities are stored.

        Raises:
            StoreError: The mean |log u| before the first step, in nats, is too large for this precision.
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


class MeasuresReference(TrainerCallback):
    """Has a trainer measure the reference once its model is prepared; `measure` is told whether the run is resumed."""

    def __init__(self, measure: Callable[[bool], None]) -> None:
        self.measure = measure

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called before the first step, or with a checkpoint just loaded."""
        self.measure(state.global_step > 0)


def _save_joined(parts: list[dict[str, np.ndarray]], file: Path) -> None:
    save_file({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, file)


def pad(arrays: list[np.ndarray], value: float, left: bool = False) -> Tensor:
    """Stack arrays `[tokens, ...]` of different lengths into `[rows, tokens, ...]`; integers become int64."""
    tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    tensors = [t if t.is_floating_point() else t.long() for t in tensors]
    return pad_sequence(tensors, batch_first=True, padding_value=value, padding_side="left" if left else "right")
