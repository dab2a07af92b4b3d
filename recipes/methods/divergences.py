"""f-divergences between the policy and its initial state, as values and gradient coefficients of a log-ratio.

With u = π_θ / π_ref and x = log u per token, a divergence D_f(π_θ ‖ π_ref) = E_{π_ref}[f(u)] is estimated on
stored samples of the initial policy (DPH-RL, https://huggingface.co/papers/2509.07430, "generator form"): no
reference model is needed, only the stored log-probabilities. Its gradient is E_{π_ref}[c(u) ∇log π_θ] with
c(u) = u·f'(u), so a divergence is the pair (f, c), both written in terms of x so that nothing overflows.

Where this differs from the paper's code:

1. Every generator is shifted so that f(1) = 0 and f'(1) = 0; this changes no divergence and lowers the variance.
2. Jensen-Shannon carries the factor ½ of its definition; the paper's code leaves it out (its weight is half ours).
3. Nothing is clamped to a zero gradient. Log-ratios above `MAX_LOG_RATIO` continue on the tangent, and below there
   is no limit: a token that the policy has lost still gets its full restoring push.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from ...data.options import Positive, PositiveFloat, Share, Weight
from .options import options, tag_of

if TYPE_CHECKING:
    from torch import Tensor

MAX_LOG_RATIO = 20.0
"""Log-ratio (nats) from which a generator continues on its tangent; e^20 squared still fits in float32."""

Pair = tuple["Tensor", "Tensor"]  # value f and gradient coefficient c, both of the shape of the log-ratios
Generator = Callable[["Tensor"], Pair]  # maps log-ratios of any shape to a pair


@options
class Divergence:
    """Base of all kinds: what holds the policy to its start, as one option of a recipe."""

    kind: str = ""

    rehearses: ClassVar[bool] = False  # acts on stored completions of the initial policy
    needs_reference: ClassVar[bool] = False  # acts on rollouts, against a live reference model

    def generator(self) -> Generator:
        """The pair on stored completions."""
        raise NotImplementedError

    def rollout_generator(self) -> Generator | None:
        """The pair on rollouts, with the on-policy gradient; None if the term is part of the reward."""
        raise NotImplementedError


DIVERGENCES: dict[str, type[Divergence]] = {}
"""Tag to dataclass, in the order in which they are defined; the tag is the kind, or `<kind> on rollouts`."""

D = TypeVar("D", bound=Divergence)


def divergence(cls: type[D]) -> type[D]:
    """Make a subclass of `Divergence` an option of recipes, under the default of its field `kind`."""
    found = options(cls)
    DIVERGENCES[str(tag_of(found))] = found
    return found


@divergence
class NoDivergence(Divergence):
    """Nothing holds the policy to its start."""

    kind: Literal["none"] = "none"


@options
class RehearsalTerm(Divergence):
    """A term on stored completions of the initial policy: loss = policy + weight * rehearsal.

    The two losses have normalisers of their own, so `weight` is the weight in effect. A coefficient of the DPH-RL
    reference code is about eight times larger for the same effect, because there the stored completions are a ninth of
    one common batch.
    """

    weight: Weight
    on: Literal["rehearsal"] = "rehearsal"
    tokens: Literal["all", "lost"] = "all"
    """`lost`: only tokens that are now less likely than they were at the start."""
    aggregate: Literal["token_mean", "sequence_mean", "sequence_sum"] = "token_mean"
    estimator: Literal["sampled", "top_k", "full"] = "sampled"
    """From the stored token only, from the `top_k` likeliest tokens, or from the whole vocabulary."""
    top_k: Positive | None = None

    rehearses: ClassVar[bool] = True

    def f(self, x: Tensor) -> Pair:
        """The generator and its coefficient for log-ratios up to `MAX_LOG_RATIO`."""
        raise NotImplementedError

    def generator(self) -> Generator:
        """`f`, continued on its tangent, so that it is finite for |x| ≤ 200 nats in float32."""
        return on_tangent_above(self.f)


@divergence
class ForwardKL(RehearsalTerm):
    """KL(ref || pi), f(u) = u - 1 - ln u: mass covering, restoring push 1 for a lost token (DPH-F)."""

    kind: Literal["forward_kl"] = "forward_kl"

    def f(self, x: Tensor) -> Pair:
        """See the class."""
        return forward_kl(x)


@divergence
class ReverseKL(RehearsalTerm):
    """KL(pi || ref), f(u) = u ln u - u + 1: mode seeking, no push for a lost token."""

    kind: Literal["reverse_kl"] = "reverse_kl"

    def f(self, x: Tensor) -> Pair:
        """See the class."""
        return reverse_kl(x)


@divergence
class JensenShannon(RehearsalTerm):
    """Jensen-Shannon divergence, f(u) = ½[u ln u - (u + 1) ln((u + 1)/2)]: its push peaks at u ≈ 0.3 (DPH-JS)."""

    kind: Literal["jensen_shannon"] = "jensen_shannon"

    def f(self, x: Tensor) -> Pair:
        """See the class."""
        log_u_over_mixture = math.log(2) - softplus(-x)  # ln(2u / (1 + u))
        coefficient = 0.5 * x.exp() * log_u_over_mixture
        return coefficient - 0.5 * (softplus(x) - math.log(2)), coefficient


@divergence
class Alpha(RehearsalTerm):
    """Amari's α-divergence, f(u) = (u^{1-α} - (1-α)u - α) / (α(α-1)): 1 is forward KL, 0 is reverse KL."""

    kind: Literal["alpha"] = "alpha"
    alpha: Share = 0.5

    def f(self, x: Tensor) -> Pair:
        """Each half of [0, 1] uses the form that does not cancel there, so both limits are exact."""
        alpha = self.alpha
        if alpha < 0.5:
            scaled = x if alpha == 0 else -(-alpha * x).expm1() / alpha
            coefficient = x.exp() * scaled
            return (coefficient - x.expm1()) / (1 - alpha), coefficient
        scaled = x if alpha == 1 else ((1 - alpha) * x).expm1() / (1 - alpha)
        return (x.expm1() - scaled) / alpha, (x.expm1() - ((1 - alpha) * x).expm1()) / alpha


@divergence
class Nll(RehearsalTerm):
    """Plain replay, -ln u: the negative log-likelihood of stored completions. A control: c(1) = -1, not 0."""

    kind: Literal["nll"] = "nll"
    estimator: Literal["sampled"] = "sampled"

    def f(self, x: Tensor) -> Pair:
        """See the class."""
        return -x, -x.new_ones(x.shape)


@divergence
class ReverseKLRollouts(Divergence):
    """KL(pi || ref) on the policy's own rollouts, against a live reference model."""

    kind: Literal["reverse_kl"] = "reverse_kl"
    on: Literal["rollouts"] = "rollouts"
    weight: PositiveFloat
    estimator: Literal["k1_reward", "k2_loss", "k3_loss"]
    """`k1_reward` and `k2_loss` have the gradient of reverse KL; `k3_loss` has that of forward KL."""

    needs_reference: ClassVar[bool] = True

    def rollout_generator(self) -> Generator | None:
        """See the base class."""
        return {"k1_reward": None, "k2_loss": k2, "k3_loss": k3}[self.estimator]


@divergence
class JensenShannonDefinition(RehearsalTerm):
    """Both halves of Jensen-Shannon by definition: stored completions and rollouts, live reference."""

    kind: Literal["jensen_shannon_definition"] = "jensen_shannon_definition"
    on: Literal["both"] = "both"  # type: ignore[assignment]
    weight: PositiveFloat
    estimator: Literal["sampled"] = "sampled"

    needs_reference: ClassVar[bool] = True

    def generator(self) -> Generator:
        """See the base class."""
        return js_reference_half

    def rollout_generator(self) -> Generator:
        """See the base class."""
        return js_policy_half


def forward_kl(x: Tensor) -> Pair:
    """KL(π_ref ‖ π_θ)."""
    return x.expm1() - x, x.expm1()


def reverse_kl(x: Tensor) -> Pair:
    """KL(π_θ ‖ π_ref)."""
    u_log_u = x.exp() * x
    return u_log_u - x.expm1(), u_log_u


def k2(x: Tensor) -> Pair:
    """½x² on rollouts: its gradient is the true gradient of the reverse KL."""
    return 0.5 * x * x, x


def k3(x: Tensor) -> Pair:
    """1/u - 1 - ln(1/u) on rollouts: an unbiased value of the reverse KL, but the gradient of the *forward* KL.

    Most trainers label it reverse KL (https://huggingface.co/papers/2512.21852).
    """
    value, negated = on_tangent_above(forward_kl)(-x)
    return value, -negated


def js_reference_half(x: Tensor) -> Pair:
    """½KL(π_ref ‖ m) with m = (π_θ + π_ref)/2, on stored samples: half of "JS by definition"."""
    to_mixture = softplus(x) - math.log(2)  # ln(m / π_ref)
    value, slope = on_tangent_above(forward_kl)(to_mixture)
    return 0.5 * value, 0.5 * slope * x.sigmoid()


def js_policy_half(x: Tensor) -> Pair:
    """½KL(π_θ ‖ m) on rollouts: the other half of "JS by definition".

    The coefficient is the on-policy gradient ln(π_θ/m) - ½π_θ/m, shifted by a constant so that it is 0 at x = 0; the
    paper's code differentiates the k3 value through the samples instead, which is not this term's gradient.
    """
    to_mixture = softplus(-x) - math.log(2)  # ln(m / π_θ)
    value, _ = on_tangent_above(forward_kl)(to_mixture)
    return 0.5 * value, 0.5 * (0.5 - x.sigmoid() - to_mixture)


def on_tangent_above(generator: Generator, limit: float = MAX_LOG_RATIO) -> Generator:
    """Continue `generator` linearly in x above `limit`, with value and slope joined."""

    def extended(x: Tensor) -> Pair:
        value, coefficient = generator(x.clamp(max=limit))
        return value + coefficient * (x - limit).clamp(min=0), coefficient

    return extended


def softplus(x: Tensor) -> Tensor:
    """ln(1 + e^x), without overflow."""
    return x.clamp(min=0) + (-x.abs()).exp().log1p()


def differentiable(generator: Generator, log_ratio: Tensor) -> Tensor:
    """Per-token value whose gradient in `log_ratio` is the generator's coefficient."""
    value, coefficient = generator(log_ratio.detach())
    return value + coefficient * (log_ratio - log_ratio.detach())
