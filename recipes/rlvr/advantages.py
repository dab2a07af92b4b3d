"""Advantages as pure functions of rewards `[groups, group_size]`; NaN marks a completion that was not judged.

A group holds the completions of one prompt. Unjudged completions take no part in any mean, and their advantage is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

EPSILON = 1e-4
"""Added to a standard deviation before dividing by it, as in TRL."""

Advantage = Callable[[Tensor], Tensor]


def group(rewards: Tensor) -> Tensor:
    """GRPO (https://huggingface.co/papers/2402.03300): centred and divided by the group's standard deviation."""
    centred = rewards - rewards.nanmean(1, keepdim=True)
    count = judged(rewards).sum(1, keepdim=True)
    variance = centred.square().nansum(1, keepdim=True) / (count - 1).clamp(min=1)
    return zero_unjudged(centred / (variance.sqrt() + EPSILON))


def dr_grpo(rewards: Tensor) -> Tensor:
    """Dr. GRPO (https://huggingface.co/papers/2503.20783): centred only, so easy and hard prompts weigh the same."""
    return zero_unjudged(rewards - rewards.nanmean(1, keepdim=True))


def leave_one_out(rewards: Tensor) -> Tensor:
    """RLOO (https://huggingface.co/papers/2402.14740): minus the mean of the *other* completions."""
    count = judged(rewards).sum(1, keepdim=True)
    return dr_grpo(rewards) * count / (count - 1).clamp(min=1)


def pass_at_k(k: int) -> Advantage:
    """Analytic Pass@k training (https://huggingface.co/papers/2508.10751, its bootstrap-free form).

    The reward of a set of k completions is the best of them; each completion's advantage is the expected normalised
    reward of a random k-set that contains it. Rewards are binarised at the middle of their range [0, 1].
    """

    def advantage(rewards: Tensor) -> Tensor:
        count = judged(rewards).sum(1, keepdim=True).to(rewards.dtype)
        correct = (rewards > 0.5).sum(1, keepdim=True).to(rewards.dtype)
        wrong = count - correct
        mean = 1 - choose_ratio(wrong, count, k)
        spread = (mean * (1 - mean)).sqrt() + EPSILON
        for_correct = (1 - mean) / spread
        for_wrong = (1 - mean - choose_ratio(wrong - 1, count - 1, k - 1)) / spread
        mixed = (correct > 0) & (wrong > 0)
        return zero_unjudged(torch.where(rewards > 0.5, for_correct, for_wrong) * mixed, rewards)

    return advantage


def pkpo(k: int) -> Advantage:
    """PKPO (https://huggingface.co/papers/2505.15201): unbiased gradient of the expected best of k rewards.

    The advantage of a completion is the mean, over the k-sets that contain it, of the set's best reward minus the
    best reward of the set without it ("s_loo−1"); for k = 1 it is leave-one-out. Groups with an unjudged completion
    get 0, because a k-set needs all its rewards.
    """

    def advantage(rewards: Tensor) -> Tensor:
        complete = judged(rewards).all(1, keepdim=True)
        values = torch.where(complete, rewards, torch.zeros_like(rewards))
        return pkpo_transform(values, k) * complete

    return advantage


def pkpo_transform(rewards: Tensor, k: int) -> Tensor:
    """Apply the transform of `pkpo` to rewards `[groups, n]` without NaN."""
    n = rewards.shape[1]
    if k == 1:
        return leave_one_out(rewards)
    order = rewards.argsort(1)
    ranked = rewards.gather(1, order)
    # With ascending ranks 0..n-1: how often rank j is the best of a (k-1)-set drawn from the others.
    weights = torch.tensor([math.comb(j, k - 2) if j >= k - 2 else 0 for j in range(n)], dtype=rewards.dtype)
    weights = weights.to(rewards.device)
    # Completion i adds to a (k-1)-set of the others exactly when it beats the set's best, and those are ranked below.
    gain = (ranked.unsqueeze(2) - ranked.unsqueeze(1)).clamp(min=0) * weights
    below = torch.ones(n, n, device=rewards.device).tril(-1)
    total = (gain * below).sum(2) / math.comb(n - 1, k - 1)
    return torch.zeros_like(rewards).scatter(1, order, total)


def w_reinforce(positive_weight: float) -> Advantage:
    """W-REINFORCE (https://huggingface.co/papers/2506.01347): +λ for a correct completion, −1 for a wrong one."""

    def advantage(rewards: Tensor) -> Tensor:
        signs = torch.where(rewards > 0.5, positive_weight, -1.0).to(rewards.dtype)
        return zero_unjudged(signs, rewards)

    return advantage


def focal(gamma: float) -> Advantage:
    """F-GRPO (https://huggingface.co/papers/2602.06717): GRPO scaled by (1 − group success rate)^γ."""

    def advantage(rewards: Tensor) -> Tensor:
        return group(rewards) * (1 - rewards.nanmean(1, keepdim=True)).clamp(0, 1).nan_to_num() ** gamma

    return advantage


def unlikeliness(rewards: Tensor, log_probs: Tensor, strength: float) -> Tensor:
    """Rewarding the unlikely (https://huggingface.co/papers/2506.02355), then GRPO.

    A correct completion's reward is multiplied by 1 − strength·(group_size − rank)/group_size, where rank 0 is the
    most likely completion of its group, so that rare correct answers earn the most.

    Args:
        rewards: `[groups, group_size]`.
        log_probs: Sequence log-probabilities under the sampling policy, same shape, in nats.
        strength: β_rank of the paper, 0 to 1.
    """
    size = rewards.shape[1]
    rank = log_probs.argsort(1, descending=True).argsort(1)
    factor = 1 - strength * (size - rank) / size
    return group(torch.where(rewards > 0.5, rewards * factor, rewards))


def choose_ratio(a: Tensor, b: Tensor, k: int) -> Tensor:
    """C(a, k) / C(b, k) elementwise, 0 where a < k."""
    steps = torch.arange(k, device=a.device)
    factors = (a.unsqueeze(-1) - steps).clamp(min=0) / (b.unsqueeze(-1) - steps).clamp(min=1)
    return factors.prod(-1)


def judged(rewards: Tensor) -> Tensor:
    """True where a completion has a reward."""
    return ~torch.isnan(rewards)


def zero_unjudged(advantages: Tensor, rewards: Tensor | None = None) -> Tensor:
    """Set the advantage of unjudged completions to 0."""
    if rewards is not None:
        advantages = torch.where(judged(rewards), advantages, torch.zeros_like(advantages))
    return advantages.nan_to_num(nan=0.0)
