"""Advantages: pure functions of the rewards and the correctness of groups, both `[groups, group_size]`.

A group holds the completions of one prompt. NaN marks a completion that was not judged: it takes no part in any mean,
and its advantage is 0. Correctness is the verifier's verdict (1 correct, 0 wrong), whatever the weights of the rewards.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeVar

from pydantic import Field, Strict

from ...data.options import Count, Flag, Positive, Share, Weight
from .options import options

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-4  # added to a standard deviation before dividing by it, as in TRL


@options
class Advantage:
    """How the rewards of one group of completions become advantages."""

    kind: str = ""
    skip_zero_variance: Flag = True
    """Spend no training tokens on groups whose completions all got the same reward."""
    dynamic_sampling_rounds: Count = 0
    """How often to sample new prompts in place of such groups (DAPO); 0 never."""

    reads_correctness: ClassVar[bool] = False  # whether `correct` must be given
    reads_log_probs: ClassVar[bool] = False  # whether `log_probs` must be given

    def __call__(self, rewards: Tensor, correct: Tensor, log_probs: Tensor | None = None) -> Tensor:
        """Advantages `[groups, group_size]`.

        Args:
            rewards: `[groups, group_size]`, the weighted sums.
            correct: Same shape, 1 for correct and 0 for wrong.
            log_probs: Same shape, log-probabilities of the completions under the policy that sampled them, in nats.
        """
        raise NotImplementedError


ADVANTAGES: dict[str, type[Advantage]] = {}  # kind to dataclass, in the order in which they are defined

A = TypeVar("A", bound=Advantage)


def advantage(cls: type[A]) -> type[A]:
    """Make a subclass of `Advantage` an option of recipes, under the default of its field `kind`."""
    found = options(cls)
    ADVANTAGES[found.kind] = found
    return found


@advantage
class Group(Advantage):
    """GRPO: minus the group's mean, divided by its standard deviation (hf.co/papers/2402.03300)."""

    kind: Literal["group"] = "group"

    def __call__(self, rewards: Tensor, correct: Tensor, log_probs: Tensor | None = None) -> Tensor:
        """See `Advantage`."""
        return standardised(rewards)


@advantage
class DrGrpo(Advantage):
    """Dr. GRPO: minus the group's mean, not divided: easy and hard prompts weigh the same (hf.co/papers/2503.20783)."""

    kind: Literal["dr_grpo"] = "dr_grpo"

    def __call__(self, rewards: Tensor, correct: Tensor, log_probs: Tensor | None = None) -> Tensor:
        """See `Advantage`."""
        return centred(rewards)


@advantage
class LeaveOneOut(Advantage):
    """RLOO: minus the mean of the *other* completions (hf.co/papers/2402.14740)."""

    kind: Literal["leave_one_out"] = "leave_one_out"

    def __call__(self, rewards: Tensor, correct: Tensor, log_probs: Tensor | None = None) -> Tensor:
        """See `Advantage`."""
        return leave_one_out(rewards)


@advantage
class PassAtK(Advantage):
    """Pass@k training, in its analytic form (hf.co/papers/2508.10751).

    A set of k completions is worth 1 if one of them is correct; a completion's advantage is the expected normalised
    worth of a random k-set that contains it. Only correctness counts; rewards beside the verifier's are logged.
    """

    kind: Literal["pass_at_k"] = "pass_at_k"
    k: Annotated[int, Strict(), Field(ge=2)] = 4

    reads_correctness: ClassVar[bool] = True

    def __call__(self, rewards: Tensor, correct: Tensor, log_probs: Tensor | None = None) -> Tensor:
        """See `Advantage`."""
        right, count = correct == 1, judged(correct).sum(1, keepdim=True).to(correct.dtype)
        wrong = count - right.sum(1, keepdim=True)
        mean = 1 - choose_ratio(wrong, count, self.k)
        spread = (mean * (1 - mean)).sqrt() + EPSILON
        for_correct = (1 - mean) / spread
        for_wrong = (1 - mean - choose_ratio(wrong - 1, count - 1, self.k - 1)) / spread
        mixed = (wrong > 0) & (wrong < count)
        return for_correct.where(right, for_wrong) * mixed * judged(correct)


@advantage
class Pkpo(Advantage):
    """PKPO: unbiased gradient of the expected best of k rewards (hf.co/papers/2505.15201).

    The advantage of a completion is the mean, over the k-sets of judged completions that contain it, of the set's best
    reward minus the best reward of the set without it ("s_loo-1"); for k = 1 it is leave-one-out. A group with fewer
    than k judged completions gets 0. An unjudged completion counts as not drawn, as if the group were smaller.
    """

    kind: Literal["pkpo"] = "pkpo"
    k: Positive = 4

    def __call__(self, rewards: Tensor, correct: Tensor, log_probs: Tensor | None = None) -> Tensor:
        """See `Advantage`."""
        if self.k == 1:
            return leave_one_out(rewards)
        size, k = rewards.shape[1], self.k
        ranked, order = rewards.nan_to_num(nan=-math.inf).sort(1)
        count = judged(rewards).sum(1, keepdim=True)
        # Of m judged completions, ranked 0 to m-1 from the worst: C(j, k-2) of the C(m-1, k-1) sets of k-1 others have
        # rank j as their best, and completion i adds its lead over it if it ranks above.
        rank = rewards.new_tensor(range(size)).long() - (size - count)  # negative where not judged
        best_of = rewards.new_tensor([float(math.comb(j, k - 2)) for j in range(size)])[rank.clamp(min=0)] * (rank >= 0)
        sets = rewards.new_tensor([float(math.comb(max(m - 1, 0), k - 1)) for m in range(size + 1)])[count]
        values = ranked.where(rank >= 0, 0)
        lead = (values.unsqueeze(2) - values.unsqueeze(1)).clamp(min=0) * best_of.unsqueeze(1)
        total = (lead * rewards.new_ones(size, size).tril(-1)).sum(2) / sets.clamp(min=1)
        return rewards.new_zeros(rewards.shape).scatter(1, order, total * (rank >= 0) * (count >= k))


@advantage
class WReinforce(Advantage):
    """W-REINFORCE: correct completions count little, wrong ones fully (hf.co/papers/2506.01347).

    Only correctness counts; rewards beside the verifier's are logged.
    """

    kind: Literal["w_reinforce"] = "w_reinforce"
    positive_weight: Weight = 0.1

    reads_correctness: ClassVar[bool] = True

    def __call__(self, rewards: Tensor, correct: Tensor, log_probs: Tensor | None = None) -> Tensor:
        """See `Advantage`."""
        return (correct * (self.positive_weight + 1) - 1).nan_to_num(nan=0.0)


@advantage
class Focal(Advantage):
    """GRPO scaled by (1 - group success) ** gamma (F-GRPO, hf.co/papers/2602.06717)."""

    kind: Literal["focal"] = "focal"
    gamma: Weight = 1.0

    reads_correctness: ClassVar[bool] = True

    def __call__(self, rewards: Tensor, correct: Tensor, log_probs: Tensor | None = None) -> Tensor:
        """See `Advantage`."""
        return standardised(rewards) * (1 - correct.nanmean(1, keepdim=True)).nan_to_num(nan=0.0) ** self.gamma


@advantage
class Unlikeliness(Advantage):
    """Likely correct completions earn less than unlikely ones, then GRPO (hf.co/papers/2506.02355).

    The reward of a correct completion is multiplied by 1 - strength * (group_size - rank) / group_size, where rank 0 is
    the most likely completion of its group.
    """

    kind: Literal["unlikeliness"] = "unlikeliness"
    strength: Share = 0.25
    """The paper's beta_rank."""

    reads_correctness: ClassVar[bool] = True
    reads_log_probs: ClassVar[bool] = True

    def __call__(self, rewards: Tensor, correct: Tensor, log_probs: Tensor | None = None) -> Tensor:
        """See `Advantage`."""
        if log_probs is None:
            raise ValueError("advantage: unlikeliness · needs the log-probabilities of the completions")
        size = rewards.shape[1]
        rank = log_probs.argsort(1, descending=True).argsort(1)
        factor = 1 - self.strength * (size - rank) / size
        return standardised((rewards * factor).where(correct == 1, rewards))


def standardised(rewards: Tensor) -> Tensor:
    """Minus the group's mean, divided by its standard deviation."""
    deviation = rewards - rewards.nanmean(1, keepdim=True)
    count = judged(rewards).sum(1, keepdim=True)
    variance = deviation.square().nansum(1, keepdim=True) / (count - 1).clamp(min=1)
    return (deviation / (variance.sqrt() + EPSILON)).nan_to_num(nan=0.0)


def centred(rewards: Tensor) -> Tensor:
    """Minus the group's mean."""
    return (rewards - rewards.nanmean(1, keepdim=True)).nan_to_num(nan=0.0)


def leave_one_out(rewards: Tensor) -> Tensor:
    """Minus the mean of the other completions of the group."""
    count = judged(rewards).sum(1, keepdim=True)
    return centred(rewards) * count / (count - 1).clamp(min=1)


def choose_ratio(a: Tensor, b: Tensor, k: int) -> Tensor:
    """C(a, k) / C(b, k) elementwise, 0 where a < k."""
    steps = a.new_tensor(range(k))
    factors = (a.unsqueeze(-1) - steps).clamp(min=0) / (b.unsqueeze(-1) - steps).clamp(min=1)
    return factors.prod(-1)


def judged(values: Tensor) -> Tensor:
    """True where a completion was judged."""
    return ~values.isnan()
