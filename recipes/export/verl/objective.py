"""The loss and the advantages of a recipe on tensors as verl has them: `[rows, response_tokens]`, rows in any order.

A stored answer travels through verl as a rollout that nothing was generated for. Two marks tell it apart. Its score is
`STORED_SCORE`, which no reward gives, so that the advantage estimator knows it; and its log-probabilities of the
initial policy come *negated*, so that the loss, which sees no score, knows it too and has them to the last bit. A
log-probability is never positive, so no rollout looks like that.

verl divides a loss by the number of all tokens of a step, stored ones included, while our two terms have normalisers
of their own. The estimator sees the whole step, and puts the quotient into the advantages. For a stored answer the
advantage is thus the weight of its divergence.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...rlvr.advantages import Advantage
from ...rlvr.divergences import Generator, differentiable

STORED_SCORE = 2.0**-100
"""Score of a stored answer: exact in float32, and nothing in verl's mean of the scores."""


@dataclass(frozen=True)
class Clip:
    """Bounds of π_θ / π_old, as in TRL's `epsilon`, `epsilon_high` and `delta`.

    Attributes:
        low: Lower bound is 1 - low.
        high: Upper bound is 1 + high.
        delta: Largest ratio that an answer with a negative advantage is pulled by, or None.
    """

    low: float
    high: float
    delta: float | None


@dataclass(frozen=True)
class Rehearsing:
    """The rehearsal term: what acts on stored answers, and with which weight.

    Attributes:
        generator: From `divergences.make_generator`.
        weight: η, on the mean over stored tokens or answers.
        only_lost: Whether only tokens count that are now less likely than at the start.
        aggregate: `token_mean`, `sequence_mean` or `sequence_sum`.
    """

    generator: Generator
    weight: float
    only_lost: bool
    aggregate: str


def advantages(
    estimator: Advantage,
    rehearsing: Rehearsing | None,
    loss_type: str,
    longest: int,
    scores: Tensor,
    mask: Tensor,
    groups: Sequence[Hashable],
) -> Tensor:
    """Weights of every token so that verl's mean over all tokens is our loss.

    Args:
        estimator: Pure function of rewards `[groups, group_size]`.
        rehearsing: The rehearsal term, or None.
        loss_type: `dapo` (mean over tokens), `grpo` (mean over answers of their mean) or `dr_grpo`.
        longest: Most tokens of an answer; only `dr_grpo` reads it.
        scores: Rewards on tokens, summed over them, `[rows, tokens]`; NaN for an answer that was not judged.
        mask: 1 on tokens of the answer, `[rows, tokens]`; rows without any are padding.
        groups: For each row what its group is called.

    Returns:
        `[rows, tokens]`.
    """
    mask = mask.to(scores.dtype)
    lengths, total = mask.sum(1), scores.sum(1)
    stored = total == STORED_SCORE
    rolled, tokens = ~stored & (lengths > 0), lengths.sum()
    values = grouped_advantages(estimator, torch.where(rolled, total, torch.nan), groups)
    each = per_token(loss_type, lengths, rolled, longest) * values
    if rehearsing is not None and stored.any():
        names = {"token_mean": "dapo", "sequence_mean": "grpo", "sequence_sum": "sum"}
        weights = rehearsing.weight * per_token(names[rehearsing.aggregate], lengths, stored, longest)
        each = torch.where(stored, weights, each)
    return each.unsqueeze(1) * tokens * mask


def grouped_advantages(estimator: Advantage, rewards: Tensor, groups: Sequence[Hashable]) -> Tensor:
    """The estimator on groups of any size, `[rows]`; a smaller group has answers that were not judged."""
    rows: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    table = rewards.new_full((len(rows), max(map(len, rows.values()))), torch.nan)
    for place, members in enumerate(rows.values()):
        table[place, : len(members)] = rewards[members]
    found, values = estimator(table), torch.zeros_like(rewards)
    for place, members in enumerate(rows.values()):
        values[members] = found[place, : len(members)]
    return values


def per_token(loss_type: str, lengths: Tensor, chosen: Tensor, longest: int) -> Tensor:
    """What a token of each row weighs in the mean over the chosen rows, `[rows]`; 0 in the others."""
    rows, tokens = chosen.sum().clamp(min=1), (lengths * chosen).sum().clamp(min=1)
    weights = {
        "dapo": torch.ones_like(lengths) / tokens,
        "grpo": 1 / (rows * lengths.clamp(min=1)),
        "dr_grpo": torch.ones_like(lengths) / (rows * longest),
        "sum": torch.ones_like(lengths) / rows,
    }
    return weights[loss_type] * chosen


def token_losses(
    clip: Clip, rehearsing: Rehearsing | None, old: Tensor, new: Tensor, weights: Tensor, mask: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Loss of every token, whose sum under `mask` divided by the tokens of the step is the loss of the step.

    Args:
        clip: Bounds of the ratio.
        rehearsing: The rehearsal term, or None.
        old: Log-probs of the policy that sampled, `[rows, tokens]`; of stored answers those of the initial policy,
            negated.
        new: Log-probs of the policy, with gradient.
        weights: From `advantages`.
        mask: 1 on tokens of the answer.

    Returns:
        `[rows, tokens]`, and what to log.
    """
    kept = mask.bool()
    stored = ((old > 0) & kept).any(1, keepdim=True)
    ratio = torch.exp(torch.where(stored, torch.zeros_like(new), new - old))
    bounded = ratio.clamp(1 - clip.low, 1 + clip.high)
    free = ratio if clip.delta is None else ratio.clamp(max=clip.delta)
    losses = -torch.min(free * weights, bounded * weights)
    cut = share((bounded != ratio) & kept & ~stored, kept & ~stored)
    metrics = {"quince/clipped": cut}
    if rehearsing is not None:
        log_ratio = torch.where(stored, new + old, torch.zeros_like(new))
        pulls = differentiable(rehearsing.generator, log_ratio) * weights
        if rehearsing.only_lost:
            pulls = pulls * (log_ratio.detach() < 0)
        losses = torch.where(stored, pulls, losses)
        metrics["quince/rehearsal_abs_log_ratio"] = share(log_ratio.detach().abs() * kept, kept & stored)
    return losses, metrics


def step_loss(
    clip: Clip,
    rehearsing: Rehearsing | None,
    old: Tensor,
    new: Tensor,
    weights: Tensor,
    mask: Tensor,
    batch: Mapping[str, Any],
) -> tuple[Tensor, dict[str, float]]:
    """This micro-batch's part of the loss, scaled so that averaging over processes gives the loss of the step.

    Args:
        clip: See `token_losses`.
        rehearsing: See there.
        old: See there.
        new: See there.
        weights: See there.
        mask: See there.
        batch: verl's `global_batch_info`: `batch_num_tokens` of all processes and micro-batches, and `dp_size`.

    Returns:
        Scalar, and what to log.
    """
    losses, metrics = token_losses(clip, rehearsing, old, new, weights, mask)
    tokens = batch.get("batch_num_tokens")
    total = (losses * mask).sum()
    return total / (mask.sum() if tokens is None else tokens) * batch.get("dp_size", 1), metrics


def share(part: Tensor, whole: Tensor) -> float:
    """Sum of `part` per element of `whole`, 0 if there is none."""
    return (part.sum() / whole.sum().clamp(min=1)).item()
