"""f-divergences between the policy and its initial state, as values and gradient coefficients of a log-ratio.

With u = π_θ / π_ref and x = log u per token, a divergence D_f(π_θ ‖ π_ref) = E_{π_ref}[f(u)] is estimated on
stored samples of the initial policy (DPH-RL, https://huggingface.co/papers/2509.07430, "generator form"): no
reference model is needed, only the stored log-probabilities. Its gradient is E_{π_ref}[c(u) ∇log π_θ] with
c(u) = u·f'(u), so a divergence is the pair (f, c), both written in terms of x so that nothing overflows.

Where this differs from the paper's code:

1. Every generator is shifted so that f(1) = 0 and f'(1) = 0; this changes no divergence and lowers the variance.
2. Jensen–Shannon carries the factor ½ of its definition; the paper's code leaves it out (its weight is half ours).
3. Nothing is clamped to a zero gradient. Log-ratios above `MAX_LOG_RATIO` continue on the tangent, and below there
   is no limit: a token that the policy has lost still gets its full restoring push.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

MAX_LOG_RATIO = 20.0
"""Log-ratio (nats) from which a generator continues on its tangent; e^20 squared still fits in float32."""

Generator = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Maps log-ratios of any shape to (value, gradient coefficient), both of that shape."""

DivergenceKind = Literal["forward_kl", "reverse_kl", "jensen_shannon", "alpha", "nll"]


def forward_kl(x: Tensor) -> tuple[Tensor, Tensor]:
    """KL(π_ref ‖ π_θ), f(u) = u − 1 − ln u: mass covering, restoring push 1 for a lost token."""
    return torch.expm1(x) - x, torch.expm1(x)


def reverse_kl(x: Tensor) -> tuple[Tensor, Tensor]:
    """KL(π_θ ‖ π_ref), f(u) = u ln u − u + 1: mode seeking, no push for a lost token."""
    u_log_u = torch.exp(x) * x
    return u_log_u - torch.expm1(x), u_log_u


def jensen_shannon(x: Tensor) -> tuple[Tensor, Tensor]:
    """JSD, f(u) = ½[u ln u − (u + 1) ln((u + 1)/2)]: bounded; its push peaks at u ≈ 0.3 and fades for lost tokens."""
    log_u_over_mixture = math.log(2) - softplus(-x)  # ln(2u / (1 + u))
    coefficient = 0.5 * torch.exp(x) * log_u_over_mixture
    return coefficient - 0.5 * (softplus(x) - math.log(2)), coefficient


def alpha_divergence(alpha: float) -> Generator:
    """Amari α-divergence, f(u) = (u^{1−α} − (1−α)u − α) / (α(α−1)): α → 1 is forward KL, α → 0 reverse KL.

    Each half of [0, 1] uses the form that does not cancel there, so both limits are exact.

    Raises:
        ValueError: alpha is outside [0, 1].
    """
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"divergence.alpha · found {alpha} · allowed: 0 to 1 (0 = reverse KL, 1 = forward KL)")

    def near_reverse(x: Tensor) -> tuple[Tensor, Tensor]:
        scaled = x if alpha == 0 else -torch.expm1(-alpha * x) / alpha
        coefficient = torch.exp(x) * scaled
        return (coefficient - torch.expm1(x)) / (1 - alpha), coefficient

    def near_forward(x: Tensor) -> tuple[Tensor, Tensor]:
        scaled = x if alpha == 1 else torch.expm1((1 - alpha) * x) / (1 - alpha)
        return (torch.expm1(x) - scaled) / alpha, (torch.expm1(x) - torch.expm1((1 - alpha) * x)) / alpha

    return near_reverse if alpha < 0.5 else near_forward


def negative_log_likelihood(x: Tensor) -> tuple[Tensor, Tensor]:
    """Replay-SFT on the stored samples: −log π_θ up to a constant. A control, not a divergence: c(1) = −1, not 0."""
    return -x, -torch.ones_like(x)


def make_generator(kind: DivergenceKind, alpha: float = 0.5) -> Generator:
    """Return the generator of `kind`, finite for |x| ≤ 200 nats in float32.

    Args:
        kind: One of `forward_kl`, `reverse_kl`, `jensen_shannon`, `alpha`, `nll`.
        alpha: Only for `alpha`.
    """
    generators: dict[str, Generator] = {
        "forward_kl": forward_kl,
        "reverse_kl": reverse_kl,
        "jensen_shannon": jensen_shannon,
        "nll": negative_log_likelihood,
    }
    return on_tangent_above(generators[kind] if kind != "alpha" else alpha_divergence(alpha))


def on_tangent_above(generator: Generator, limit: float = MAX_LOG_RATIO) -> Generator:
    """Continue `generator` linearly in x above `limit`, with value and slope joined."""

    def extended(x: Tensor) -> tuple[Tensor, Tensor]:
        value, coefficient = generator(x.clamp(max=limit))
        return value + coefficient * (x - limit).clamp(min=0), coefficient

    return extended


def on_policy(generator: Generator) -> Generator:
    """The same divergence estimated on samples of π_θ instead of π_ref.

    D_f = E_{π_θ}[f(u)/u], and on-policy its gradient is E_{π_θ}[f'(u) ∇log π_θ], so value and coefficient are both
    divided by u. Reverse KL becomes the k2 loss (coefficient x); forward KL becomes 1 − 1/u, which is the gradient of
    the "k3 loss" that most trainers label reverse KL (https://huggingface.co/papers/2512.21852).
    """

    def divided(x: Tensor) -> tuple[Tensor, Tensor]:
        bounded = x.clamp(min=-MAX_LOG_RATIO)
        value, coefficient = generator(bounded)
        value, coefficient = value * torch.exp(-bounded), coefficient * torch.exp(-bounded)
        return value + coefficient * (x - bounded), coefficient

    return divided


def k2(x: Tensor) -> tuple[Tensor, Tensor]:
    """½x² on rollouts: its gradient is the true gradient of the reverse KL."""
    return 0.5 * x * x, x


def k3(x: Tensor) -> tuple[Tensor, Tensor]:
    """1/u − 1 − ln(1/u) on rollouts: an unbiased value of the reverse KL, but the gradient of the *forward* KL."""
    value, negated = on_tangent_above(forward_kl)(-x)
    return value, -negated


def js_reference_half(x: Tensor) -> tuple[Tensor, Tensor]:
    """½KL(π_ref ‖ m) with m = (π_θ + π_ref)/2, on stored samples: half of "JS by definition"."""
    to_mixture = softplus(x) - math.log(2)  # ln(m / π_ref)
    value, slope = on_tangent_above(forward_kl)(to_mixture)
    return 0.5 * value, 0.5 * slope * torch.sigmoid(x)


def js_policy_half(x: Tensor) -> tuple[Tensor, Tensor]:
    """½KL(π_θ ‖ m) on rollouts: the other half of "JS by definition".

    The coefficient is the on-policy gradient ln(π_θ/m) − ½π_θ/m, shifted by a constant so that it is 0 at x = 0; the
    paper's code differentiates the k3 value through the samples instead, which is not this term's gradient.
    """
    to_mixture = softplus(-x) - math.log(2)  # ln(m / π_θ)
    value, _ = on_tangent_above(forward_kl)(to_mixture)
    return 0.5 * value, 0.5 * (0.5 - torch.sigmoid(x) - to_mixture)


def differentiable(generator: Generator, log_ratio: Tensor) -> Tensor:
    """Per-token value whose gradient in `log_ratio` is the generator's coefficient."""
    value, coefficient = generator(log_ratio.detach())
    return value + coefficient * (log_ratio - log_ratio.detach())


def categorical_divergence(generator: Generator, log_p: Tensor, log_q: Tensor) -> Tensor:
    """Σ_v q(v) f(p(v)/q(v)) over the stored tokens and one bucket for all the others.

    Args:
        generator: What `make_generator` returns.
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
    """log(1 − Σ exp(log_probs)) over the last dimension, at least −16 (about float32's resolution below 1)."""
    return torch.log1p(-log_probs.exp().sum(-1).clamp(max=1 - 1.2e-7))


def aggregate(values: Tensor, mask: Tensor, how: Literal["token_mean", "sequence_mean", "sequence_sum"]) -> Tensor:
    """Sum per-token values `[batch, tokens]` under `mask`, weighted so that dividing by the count gives the mean.

    The caller divides by the number of tokens (`token_mean`) or of sequences (the other two) of the whole step, all
    processes and micro-batches together, so that the loss does not depend on how the step is cut.
    """
    if how == "sequence_mean":
        values = values / mask.sum(-1, keepdim=True).clamp(min=1)
    return (values * mask).sum()
