"""A batch of rollouts between generation and loss: uninformative rows dropped, cut into pieces, kept in checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import pad

Batch = dict[str, Any]
"""What TRL keeps of a batch: tensors whose first dimension is the row, and scalars."""

LEFT_PADDED = ("prompt_ids", "prompt_mask")
RIGHT_PADDED = (
    "completion_ids",
    "completion_mask",
    "tool_mask",
    "old_per_token_logps",
    "ref_per_token_logps",
    "sampling_per_token_logps",
    "importance_sampling_ratio",
    "advantages",
)


def loss_mask(batch: Batch) -> Tensor:
    """Completion tokens that the policy wrote itself, `[batch, completion_tokens]`."""
    mask: Tensor = batch["completion_mask"]
    return mask * batch["tool_mask"] if "tool_mask" in batch else mask


def whole_rows(batch: Batch) -> tuple[Tensor, Tensor]:
    """Prompts and completions end to end: token ids and attention mask, `[batch, tokens]`."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    return ids, torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)


def informative(batch: Batch) -> Batch:
    """The rows with a non-zero advantage, at least one: a row with advantage 0 adds exactly 0 to the gradient."""
    keep = batch["advantages"].reshape(len(batch["advantages"]), -1).abs().sum(1) > 0
    if not keep.any():
        keep[0] = True
    return batch if keep.all() else selected(batch, keep)


def cut(batch: Batch, pieces: int) -> list[Batch]:
    """The rows of a batch in order, in that many pieces or as many as there are rows."""
    if pieces == 1:
        return [batch]
    numbers = torch.arange(len(batch["advantages"]))
    return [selected(batch, torch.isin(numbers, part)) for part in numbers.tensor_split(pieces) if len(part)]


def selected(batch: Batch, keep: Tensor) -> Batch:
    """Some rows, without the columns of prompts and completions that are padding in all of them."""
    batch = {name: rows(value, keep) for name, value in batch.items()}
    width, prompt = batch["completion_mask"].shape[1], int(batch["prompt_mask"].sum(1).max())
    completion = max(1, int(batch["completion_mask"].sum(1).max()))
    for name, value in batch.items():
        if name in LEFT_PADDED:
            batch[name] = value[:, value.shape[1] - prompt :]
        elif name in RIGHT_PADDED and value.dim() == 2 and value.shape[1] == width:
            batch[name] = value[:, :completion]
    return batch


def rows(value: Any, keep: Tensor) -> Any:
    """Select rows of a batched tensor, by mask or index; scalars pass."""
    return value[keep] if isinstance(value, Tensor) and value.dim() > 0 else value


def informative_groups(batch: Batch, size: int) -> Tensor:
    """True for groups with a non-zero advantage, `[groups]`."""
    return batch["advantages"].reshape(-1, size).abs().sum(1) > 0


def best_groups(batch: Batch, size: int, wanted: int) -> Batch:
    """Keep `wanted` groups, informative ones first, in their order."""
    kept = torch.argsort(~informative_groups(batch, size), stable=True)[:wanted]
    keep = (kept.unsqueeze(1) * size + torch.arange(size, device=kept.device)).reshape(-1)
    return {name: rows(value, keep) for name, value in batch.items()}


def concatenate(first: Batch, second: Batch) -> Batch:
    """Join two batches row-wise, padding both to the longer prompt and completion."""
    joined = {}
    for name, a in first.items():
        b = second[name]
        if not isinstance(a, Tensor) or a.dim() == 0:
            joined[name] = a
            continue
        if a.dim() == 2 and a.shape[1] != b.shape[1]:
            width = max(a.shape[1], b.shape[1])
            a, b = (widen(side, width, name in LEFT_PADDED) for side in (a, b))
        joined[name] = torch.cat([a, b])
    return joined


def widen(value: Tensor, width: int, left: bool) -> Tensor:
    """Pad `[rows, columns]` with zeros to `width` columns; masked positions never count, so any value serves."""
    missing = width - value.shape[1]
    return pad(value, (missing, 0) if left else (0, missing))


def save_buffer(buffer: list[Batch], file: Path) -> None:
    """Write the micro-batches of a rollout buffer to one safetensors file; what they share is written for each."""
    tensors = {
        f"{index}.{name}": value.clone(memory_format=torch.contiguous_format)
        for index, batch in enumerate(buffer)
        for name, value in batch.items()
        if isinstance(value, Tensor)
    }
    save_file(tensors, file, metadata={"batches": json.dumps(len(buffer))})


def load_buffer(file: Path, device: torch.device) -> list[Batch]:
    """Read what `save_buffer` wrote."""
    with safe_open(file, framework="pt", device=str(device)) as stored:
        batches: list[Batch] = [{} for _ in range(json.loads(stored.metadata()["batches"]))]
        for key in stored.keys():  # noqa: SIM118 - not a mapping
            index, name = key.split(".", 1)
            batches[int(index)][name] = stored.get_tensor(key)
    return batches
