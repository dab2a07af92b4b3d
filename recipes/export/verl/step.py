"""verl's tensors, rows in any order `[rows, response_tokens]`, as arguments of the objective; needs no verl.

A stored completion travels through verl as a rollout that nothing was generated for. Two marks tell it apart. Its score
is `STORED_SCORE`, which no reward gives, so that the advantage estimator knows it; and its log-probabilities of the
initial policy come *negated*, so that the loss, which sees no score, knows it too and has them to the last bit. A
log-probability is never positive, so no rollout looks like that.

verl divides a loss by the number of all tokens of a step, stored ones included, while our two terms have normalisers
of their own. The estimator sees the whole step, and puts the quotient into the advantages. For a stored completion the
advantage is thus the weight of its divergence.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...methods.advantages import Advantage
from ...methods.divergences import RehearsalTerm
from ...rlvr import objective

STORED_SCORE = 2.0**-100  # score of a stored completion: exact in float32, and nothing in verl's mean of the scores


@dataclass(frozen=True)
class Step:
    """What the hooks of verl read of a recipe."""

    policy: objective.PolicySettings
    advantage: Advantage
    term: RehearsalTerm | None = None
    correct_from: float = torch.inf  # score from which a rollout is correct, where the advantage reads that

    def advantages(self, scores: Tensor, mask: Tensor, groups: Sequence[Hashable]) -> Tensor:
        """Weights of every token so that verl's mean over all tokens is our loss.

        Args:
            scores: Rewards on tokens, summed over them, `[rows, tokens]`; NaN for a completion that was not judged.
            mask: 1 on tokens of the completion, `[rows, tokens]`; rows without any are padding.
            groups: For each row what its group is called.

        Returns:
            `[rows, tokens]`.
        """
        mask = mask.to(scores.dtype)
        lengths, total = mask.sum(1), scores.sum(1)
        stored = total == STORED_SCORE
        rolled = ~stored & (lengths > 0)
        values = self._grouped(torch.where(rolled, total, torch.nan), groups)
        each = self._weights(objective.AGGREGATES[self.policy.loss_type], lengths, rolled) * values
        if self.term is not None and stored.any():
            weights = self.term.weight * self._weights(self.term.aggregate, lengths, stored)
            each = torch.where(stored, weights, each)
        return each.unsqueeze(1) * lengths.sum() * mask

    def _weights(self, how: str, lengths: Tensor, chosen: Tensor) -> Tensor:
        """What a token of each chosen row weighs in the mean over them, `[rows]`; 0 in the others."""
        rows, tokens = chosen.sum().clamp(min=1), (lengths * chosen).sum()
        longest = self.policy.max_completion_length
        weights = objective.token_weights(how, lengths.unsqueeze(1), rows=rows, tokens=tokens, longest=longest)
        return weights.squeeze(1) * chosen

    def _grouped(self, rewards: Tensor, groups: Sequence[Hashable]) -> Tensor:
        """Advantages of groups of any size, `[rows]`; a smaller group has completions that were not judged."""
        rows: dict[Hashable, list[int]] = {}
        for row, group in enumerate(groups):
            rows.setdefault(group, []).append(row)
        table = rewards.new_full((len(rows), max(map(len, rows.values()))), torch.nan)
        for place, members in enumerate(rows.values()):
            table[place, : len(members)] = rewards[members]
        correct = torch.where(table.isnan(), table, (table >= self.correct_from).to(table.dtype))
        found, values = self.advantage(table, correct), torch.zeros_like(rewards)
        for place, members in enumerate(rows.values()):
            values[members] = found[place, : len(members)]
        return values

    def loss(
        self, old: Tensor, new: Tensor, weights: Tensor, mask: Tensor, batch: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, float]]:
        """This micro-batch's part of the loss, scaled so that averaging over processes gives the loss of the step.

        Args:
            old: Log-probs of the policy that sampled, `[rows, tokens]`; of stored completions those of the initial
                policy, negated.
            new: Log-probs of the policy, with gradient.
            weights: From `advantages`.
            mask: 1 on tokens of the completion.
            batch: verl's `global_batch_info`: `batch_num_tokens` of all processes and micro-batches, and `dp_size`.

        Returns:
            Scalar, and what to log.
        """
        kept = mask.bool()
        stored = ((old > 0) & kept).any(1, keepdim=True)
        rollouts = objective.Rollouts(new, torch.where(stored, new.detach(), old), weights, mask)
        low, high = objective.clipped(self.policy, rollouts)
        metrics = {"quince/clipped": share((low | high) & kept & ~stored, kept & ~stored)}
        losses = objective.surrogate(self.policy, rollouts).expand_as(new)
        if self.term is not None:
            log_ratio = torch.where(stored, new + old, torch.zeros_like(new))
            only_lost = self.term.tokens == "lost"
            pulls = objective.sampled_divergence(self.term.generator(), log_ratio, only_lost) * weights
            losses = torch.where(stored, pulls, losses)
            metrics["quince/rehearsal_abs_log_ratio"] = share(log_ratio.detach().abs() * kept, kept & stored)
        tokens = batch.get("batch_num_tokens")
        total = (losses * mask).sum()
        return total / (mask.sum() if tokens is None else tokens) * batch.get("dp_size", 1), metrics


def share(part: Tensor, whole: Tensor) -> float:
    """Sum of `part` per element of `whole`, 0 if there is none."""
    return (part.sum() / whole.sum().clamp(min=1)).item()
