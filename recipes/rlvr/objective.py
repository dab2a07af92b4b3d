"""The objective of a training step on explicit tensors: section 3 of DPH-RL (https://huggingface.co/papers/2509.07430).

    (1)  loss      = policy + weight * rehearsal                                       `loss`
    (2)  policy    = Σ_t n_t · l_t over rollouts of the prompts to explore (D_exp)     `policy`
    (3)  l_t       = -min(r_t A, clip(r_t, 1 - ε_low, 1 + ε_high) A), or one of TRL's other loss types  `surrogate`
    (4)  r_t       = π_θ / π_old of a token, or their geometric mean over a sequence   `log_importance`
    (5)  rehearsal = Σ_t n_t · f(u_t) over stored completions of the near-perfect prompts (D_pef)  `rehearsal`
    (6)  u_t       = π_θ / π_ref, f a generator of `methods.divergences`; ∇ = c(u_t) ∇ log π_θ
    (7)  n_t       = 1/tokens, 1/(rows · length), 1/(rows · longest) or 1/rows         `token_weights`

The advantages A are those of `methods.advantages`. For comparison with other methods a divergence can act on rollouts
as well: in the loss (`on_rollouts`) or in the reward (`k1_in_reward`), both against a live reference model.

In the paper's code rehearsal rows are one ninth of a joint batch, so its weight acts like about an eighth of ours.

Shapes: rows are completions, tokens those of a completion, padded; log-probabilities and log-ratios are in nats.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ..methods.divergences import Generator, differentiable

AGGREGATES = {
    **dict.fromkeys(("grpo", "sapo"), "sequence_mean"),
    "dr_grpo": "longest",
    "luspo": "sequence_sum",
    **dict.fromkeys(("bnpo", "dapo", "cispo", "vespo"), "token_mean"),
}
"""How each loss type of TRL averages, see `token_weights`; `bnpo` over a micro-batch, the others over a step."""


def loss(policy: Tensor | float = 0.0, rehearsal: Tensor | float = 0.0, weight: float = 0.0) -> Tensor:
    """Equation 1. Linear in its terms: the parts of a step that is computed in pieces add up to the whole."""
    return torch.as_tensor(policy + weight * rehearsal)


@dataclass(frozen=True)
class PolicySettings:
    """What decides equation 3; the fields are those of TRL's `GRPOConfig`, which documents them."""

    loss_type: str
    importance_sampling_level: str
    epsilon: float
    epsilon_high: float | None
    delta: float | None
    max_completion_length: int
    sapo_temperature_pos: float
    sapo_temperature_neg: float
    vespo_k_pos: float
    vespo_lambda_pos: float
    vespo_k_neg: float
    vespo_lambda_neg: float
    off_policy_mask_threshold: float | None

    @classmethod
    def read(cls, value: Callable[[str], Any]) -> PolicySettings:
        """Settings from whatever gives the value of a field of `GRPOConfig`."""
        return cls(**{field.name: value(field.name) for field in fields(cls)})

    @property
    def high(self) -> float:
        """ε_high, which is ε where it is not given."""
        return self.epsilon if self.epsilon_high is None else self.epsilon_high


@dataclass(frozen=True)
class Rollouts:
    """Completions to train on, `[rows, tokens]` unless said otherwise."""

    log_probs: Tensor  # log π_θ with gradient
    old_log_probs: Tensor  # log π_old of the policy that sampled
    advantages: Tensor  # [rows, 1] or [rows, tokens]
    mask: Tensor  # 1 on tokens that the policy wrote
    engine_log_probs: Tensor | None = None  # as the engine computed them while sampling; decides what is off-policy
    correction: Tensor | None = None  # π_old / π_engine, cut as TRL does, [rows, tokens] or [rows, 1]
    chosen: Tensor | None = None  # 1 on tokens that train (those of high entropy), or None for all


@dataclass(frozen=True)
class Counts:
    """What the sums of equation 2 are divided by, so that losses of micro-batches add up to that of a step."""

    rows: float  # completions of a micro-batch, times micro-batches of a step
    micro_tokens: Tensor | float  # tokens of this micro-batch, times micro-batches of a step; only for `bnpo`
    step_tokens: Tensor | float  # this process's share of the tokens of a step


def policy(settings: PolicySettings, rollouts: Rollouts, counts: Counts) -> Tensor:
    """Equation 2: a scalar."""
    tokens = counts.micro_tokens if settings.loss_type == "bnpo" else counts.step_tokens
    lengths = rollouts.mask.sum(-1, keepdim=True)
    how, longest = AGGREGATES[settings.loss_type], settings.max_completion_length
    weights = token_weights(how, lengths, rows=counts.rows, tokens=tokens, longest=longest)
    return (surrogate(settings, rollouts) * rollouts.mask * weights).sum()


def token_weights(how: str, lengths: Tensor, *, rows: Any, tokens: Any = 1, longest: int = 1) -> Tensor:
    """Equation 7: what each token weighs in the sum over a step.

    Args:
        how: `token_mean`, `sequence_mean` (of token means), `sequence_sum` (mean over rows) or `longest` (the same,
            divided by the longest completion that is allowed).
        lengths: Tokens of each row, `[rows, 1]`.
        rows: Rows of the step.
        tokens: Tokens of the step.
        longest: Most tokens of a completion.

    Returns:
        `[rows, 1]`.
    """
    ones = torch.ones_like(lengths, dtype=torch.float32)
    if how == "token_mean":
        return ones / (tokens.clamp(min=1) if isinstance(tokens, Tensor) else max(tokens, 1))
    if how == "sequence_mean":
        return ones / (rows * lengths.clamp(min=1))
    return ones / (rows * longest) if how == "longest" else ones / rows


def surrogate(settings: PolicySettings, rollouts: Rollouts) -> Tensor:
    """Equation 3: the loss of every token, `[rows, tokens]`, or `[rows, 1]` where it is one for the sequence."""
    advantages, kind = rollouts.advantages, settings.loss_type
    log_ratio = rollouts.log_probs - rollouts.old_log_probs
    ratio = log_importance(settings, log_ratio, rollouts.mask).exp()
    if kind == "cispo":
        losses = -ratio.clamp(max=settings.high).detach() * advantages * rollouts.log_probs
    elif kind == "vespo":
        losses = -vespo_weight(settings, rollouts, log_ratio) * advantages * rollouts.log_probs
    elif kind == "sapo":
        positive, negative = settings.sapo_temperature_pos, settings.sapo_temperature_neg
        sharpness = torch.where(advantages > 0, positive, negative)
        losses = -torch.sigmoid(sharpness * (ratio - 1)) * 4 / sharpness * advantages
    else:
        clipped = ratio.clamp(1 - settings.epsilon, 1 + settings.high)
        bounded = ratio if settings.delta is None else ratio.clamp(max=settings.delta)
        losses = -torch.min(bounded * advantages, clipped * advantages)
    if settings.off_policy_mask_threshold is not None:
        losses = losses * near_policy(settings.off_policy_mask_threshold, rollouts)
    if rollouts.chosen is not None:
        losses = losses * rollouts.chosen
    if rollouts.correction is not None and kind != "vespo":
        losses = losses * rollouts.correction
    return losses


def log_importance(settings: PolicySettings, log_ratio: Tensor, mask: Tensor) -> Tensor:
    """Equation 4: log r, `[rows, tokens]`; for the level `sequence` its mean over tokens (GSPO), `[rows, 1]`."""
    if settings.importance_sampling_level == "token":
        return log_ratio
    return (log_ratio * mask).sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)


@torch.no_grad()
def clipped(settings: PolicySettings, rollouts: Rollouts) -> tuple[Tensor, Tensor]:
    """Where equation 3 cuts the gradient: too unlikely under a negative advantage, too likely under a positive one."""
    ratio = log_importance(settings, rollouts.log_probs - rollouts.old_log_probs, rollouts.mask).exp()
    if settings.loss_type == "cispo":
        return torch.zeros_like(ratio, dtype=torch.bool), (ratio > settings.high) & (rollouts.advantages > 0)
    low = (ratio < 1 - settings.epsilon) & (rollouts.advantages < 0)
    return low, (ratio > 1 + settings.high) & (rollouts.advantages > 0)


@torch.no_grad()
def near_policy(threshold: float, rollouts: Rollouts) -> Tensor:
    """0 for rows of negative advantage whose sampler is further than `threshold` nats a token away (DeepSeek-V3.2)."""
    sampled = rollouts.old_log_probs if rollouts.engine_log_probs is None else rollouts.engine_log_probs
    distance = (sampled - rollouts.log_probs).nan_to_num(nan=0.0)  # the engine may lack the figure of a token
    mean = (distance * rollouts.mask).sum(1, keepdim=True) / rollouts.mask.sum(1, keepdim=True).clamp(min=1)
    return ((rollouts.advantages >= 0) | (mean <= threshold)).to(rollouts.log_probs.dtype)


@torch.no_grad()
def vespo_weight(settings: PolicySettings, rollouts: Rollouts, log_ratio: Tensor) -> Tensor:
    """VESPO's e^λ w^k e^(-λw), w the ratio of the sequence's probabilities, 1 at w = 1; `[rows, 1]`."""
    lowest, highest = math.log(1e-8), 20.0
    log_w = (log_ratio.clamp(-highest, highest) * rollouts.mask).sum(-1, keepdim=True)
    if rollouts.correction is not None:
        log_w = log_w + rollouts.correction.log().clamp(lowest, highest).sum(-1, keepdim=True)
    log_w = log_w.clamp(lowest, highest)
    positive = rollouts.advantages >= 0
    k = torch.where(positive, settings.vespo_k_pos, settings.vespo_k_neg)
    rate = torch.where(positive, settings.vespo_lambda_pos, settings.vespo_lambda_neg).clamp(min=1e-4)
    return (rate + k * log_w - rate * log_w.exp()).exp().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def entropy_bonus(entropies: Tensor, mask: Tensor, micro_batches: int) -> Tensor:
    """Mean entropy of a micro-batch's tokens (nats), as a part of the mean over a step; subtracted with its weight."""
    return (entropies * mask).sum() / mask.sum().clamp(min=1) / micro_batches


def on_rollouts(generator: Generator, log_probs: Tensor, reference: Tensor, mask: Tensor, counts: Counts) -> Tensor:
    """A divergence on rollouts: the mean over the tokens of a step, with the on-policy gradient of its generator."""
    return (differentiable(generator, log_probs - reference) * mask).sum() / counts.step_tokens


def k1_in_reward(rewards: Tensor, log_ratio: Tensor, mask: Tensor, weight: float) -> Tensor:
    """Rewards `[rows]` minus `weight` times log π_old/π_ref of the sequence: exact reverse KL, sampled."""
    return rewards - weight * (log_ratio * mask).sum(-1)


def rehearsal(values: Tensor, mask: Tensor, how: str, items: int) -> Tensor:
    """Equation 5: this micro-batch's part of the mean over all tokens (or rows) of a step, any number of processes.

    Args:
        values: From `sampled_divergence` or `categorical_divergence`, `[rows, tokens]`.
        mask: 1 on tokens of the stored completions.
        how: `token_mean`, `sequence_mean` or `sequence_sum`.
        items: Tokens (for `token_mean`) or rows of the step.
    """
    return (values * mask * token_weights(how, mask.sum(-1, keepdim=True), rows=items, tokens=items)).sum()


def sampled_divergence(generator: Generator, log_ratio: Tensor, only_lost: bool = False) -> Tensor:
    """f(u) of the stored tokens with its gradient (equation 6), `[rows, tokens]`; `log_ratio` is log u.

    With `only_lost` it acts only where the policy's probability fell.
    """
    return unless_kept(differentiable(generator, log_ratio), log_ratio, only_lost)


def unless_kept(values: Tensor, log_ratio: Tensor, only_lost: bool) -> Tensor:
    """The values, 0 on stored tokens that are no less likely than at the start if `only_lost`."""
    return values * (log_ratio.detach() < 0) if only_lost else values


def categorical_divergence(generator: Generator, log_p: Tensor, log_q: Tensor) -> Tensor:
    """Σ_v q(v) f(p(v)/q(v)) over the stored tokens and one bucket for all the others.

    Args:
        generator: f and c.
        log_p: Policy log-probabilities of the stored tokens, `[..., k]`, with gradient.
        log_q: Reference log-probabilities of the same tokens, `[..., k]`.

    Returns:
        `[...]` divergences in nats; exact when the k tokens are the whole vocabulary, else a lower bound
        (merging outcomes never raises an f-divergence).
    """
    inside = (log_q.exp() * differentiable(generator, log_p - log_q)).sum(-1)
    rest_p, rest_q = (log_remainder(side) for side in (log_p, log_q))
    has_rest = (rest_q.detach() > -15) & (rest_p.detach() > -15)
    ratio = torch.where(has_rest, rest_p - rest_q, torch.zeros_like(rest_p))
    return inside + torch.where(has_rest, rest_q.exp() * differentiable(generator, ratio), torch.zeros_like(inside))


def log_remainder(log_probs: Tensor) -> Tensor:
    """log(1 - Σ exp(log_probs)) over the last dimension, at least -16 (about float32's resolution below 1)."""
    return torch.log1p(-log_probs.exp().sum(-1).clamp(max=1 - 1.2e-7))
