"""What happens to a batch of rollouts between generation and loss: rewards joined, dull rows dropped."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

LEFT_PADDED = ("prompt_ids", "prompt_mask")


def applicable(inputs: list[dict[str, Any]], rewards: list[Any]) -> Tensor:
    """Which rewards judge which rows: those whose columns the row has, `[batch, rewards]` of bool."""
    columns = [getattr(reward, "columns", ()) for reward in rewards]
    table = [[all(row.get(name) is not None for name in names) for names in columns] for row in inputs]
    return torch.tensor(table, dtype=torch.bool)


def combine(rewards: Tensor, applies: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of the rewards that apply, NaN where one of them could not judge.

    TRL counts a missing reward as 0 when another reward is there, which would turn a time-out into a wrong answer.

    Args:
        rewards: `[batch, rewards]`, NaN where a reward gave None.
        applies: `[batch, rewards]`.
        weights: `[rewards]`.

    Returns:
        `[batch]`.
    """
    applies = applies & (weights != 0)
    total = (torch.where(applies, rewards, torch.zeros_like(rewards)) * weights).sum(1)
    return torch.where(applies.any(1), total, torch.full_like(total, torch.nan))


def loss_mask(batch: dict[str, Any]) -> Tensor:
    """Completion tokens that the policy wrote itself, `[batch, completion_tokens]`."""
    mask = batch["completion_mask"]
    return mask * batch["tool_mask"] if "tool_mask" in batch else mask


def counts(batch: dict[str, Any]) -> Tensor:
    """Which rows have a non-zero advantage, `[batch]` of bool."""
    return batch["advantages"].reshape(len(batch["advantages"]), -1).abs().sum(1) > 0


def informative(batch: dict[str, Any], loss_type: str, least: int = 1) -> tuple[dict[str, Any], float]:
    """Keep the rows with a non-zero advantage, and the factor that keeps the loss and its gradient what they were.

    A row with advantage 0 adds exactly 0 to the policy gradient. Losses that average over rows (`grpo`, `dr_grpo`,
    ...) or over the micro-batch's tokens (`bnpo`) are scaled by the share kept; those normalised by the whole
    generation batch (`dapo`, ...) are not. At least `least` rows stay: TRL gathers figures of each row, for which all
    processes must have as many.
    """
    keep = counts(batch)
    keep[(~keep).nonzero().flatten()[: max(0, least - int(keep.sum()))]] = True
    if keep.all():
        return batch, 1.0
    kept = {name: rows(value, keep) for name, value in batch.items()}
    return trim(kept), share(kept, batch, loss_type)


def share(part: dict[str, Any], whole: dict[str, Any], loss_type: str) -> float:
    """What the loss of some rows weighs in the loss of all of them, by how TRL's loss types average."""
    if loss_type in ("dapo", "cispo", "vespo"):
        return 1.0
    if loss_type == "bnpo":
        return (loss_mask(part).sum() / loss_mask(whole).sum().clamp(min=1)).item()
    return len(part["advantages"]) / len(whole["advantages"])


def cut(batch: dict[str, Any], pieces: int) -> list[dict[str, Any]]:
    """The rows of a batch in order, in that many pieces or as many as there are rows."""
    if pieces == 1:
        return [batch]
    numbers = torch.arange(len(batch["advantages"]))
    parts = [part for part in numbers.tensor_split(pieces) if len(part)]
    return [trim({name: rows(value, torch.isin(numbers, part)) for name, value in batch.items()}) for part in parts]


def rows(value: Any, keep: Tensor) -> Any:
    """Select rows of a batched tensor; scalars pass."""
    return value[keep] if isinstance(value, Tensor) and value.dim() > 0 and len(value) == len(keep) else value


def trim(batch: dict[str, Any]) -> dict[str, Any]:
    """Drop prompt and completion columns that are padding in every row."""
    prompt = int(batch["prompt_mask"].sum(1).max())
    width = batch["completion_mask"].shape[1]
    completion = max(1, int(batch["completion_mask"].sum(1).max()))
    trimmed = {}
    for name, value in batch.items():
        if name in LEFT_PADDED:
            value = value[:, value.shape[1] - prompt :]
        elif isinstance(value, Tensor) and value.dim() == 2 and value.shape[1] == width:
            value = value[:, :completion]
        trimmed[name] = value
    return trimmed


def concatenate(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Join two rollout batches row-wise, padding both to the longer prompt and completion."""
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
