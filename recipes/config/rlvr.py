"""The `rlvr` recipe: reinforcement learning from verifiable rewards that keeps diversity."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from .compression import Objective, PolicyGradient, Reader
from .data import DataSource
from .engine import Engine, TransformersEngine
from .language.section import LongPrompts, Options, Positive, PositiveFloat, Section, Share, Weight
from .model import Launch, Model
from .optimizer import AdamW, Optimizer
from .rewards import Reward


class Split(Section):
    """Which prompts the initial policy already solves (temperature 1, nothing truncated).

    A prompt is near-perfect when at least `threshold` of `rollouts` answers are right. Its fresh,
    confirmed answers are stored for rehearsal; all other prompts are for exploration.
    """

    train_on: Literal["all", "exp"] = "exp"
    """Whether RL trains on every prompt or only on those that are not near-perfect."""
    rollouts: Positive = 8
    threshold: Positive = 6
    confirm: bool = True
    """Draw fresh answers for the store and keep only right ones, so that luck does not select."""
    samples_per_prompt: Positive = 1
    """Answers stored for each near-perfect prompt."""
    all_wrong: Literal["keep", "drop"] = "keep"
    """Whether RL keeps prompts that no rollout solved."""
    max_tokens: Positive | None = None
    """Longest answer; null takes `trainer.max_completion_length`."""
    engine: Engine = TransformersEngine(kind="transformers")


class Rehearsal(Section):
    """How stored answers enter a training step."""

    batch_size: Positive = 16
    """Stored answers per optimizer step, all processes together."""
    seed: int = 0
    data: list[DataSource] = Field(default_factory=list)
    """Old skills to keep: prompts of which right answers are stored and rehearsed, but that RL never trains on."""


class NoDivergence(Section):
    """Nothing holds the policy to its start."""

    kind: Literal["none"] = "none"


class RehearsalTerm(Section):
    """A term on stored answers of the initial policy: loss = L_rl + weight * L_rehearsal.

    The two losses have normalisers of their own, so `weight` is the weight in effect. A coefficient
    of the DPH-RL reference code is about eight times larger for the same effect, because there the
    stored answers are a ninth of one common batch.
    """

    kind: str
    weight: Weight
    on: Literal["rehearsal"] = "rehearsal"
    tokens: Literal["all", "lost"] = "all"
    """`lost`: only tokens that are now less likely than they were at the start."""
    aggregate: Literal["token_mean", "sequence_mean", "sequence_sum"] = "token_mean"


class GeneratorTerm(RehearsalTerm):
    """An f-divergence written with its generator f, as E_ref[f(pi / ref)]."""

    estimator: Literal["sampled", "top_k", "full"] = "sampled"
    """From the stored token only, from the `top_k` likeliest tokens, or from the whole vocabulary."""
    top_k: Positive | None = None


class ForwardKL(GeneratorTerm):
    """KL(ref || pi): pushes lost answers back with full force (DPH-F)."""

    kind: Literal["forward_kl"]


class ReverseKLRehearsal(GeneratorTerm):
    """KL(pi || ref) from stored answers, through importance ratios."""

    kind: Literal["reverse_kl"]


class JensenShannon(GeneratorTerm):
    """Jensen-Shannon divergence, with the factor 1/2 (DPH-JS)."""

    kind: Literal["jensen_shannon"]


class Alpha(GeneratorTerm):
    """The alpha family: 1 is forward KL, 0 is reverse KL."""

    kind: Literal["alpha"]
    alpha: float = Field(0.5, ge=0, le=1)


class Nll(RehearsalTerm):
    """Plain replay: the negative log-likelihood of stored answers (a control)."""

    kind: Literal["nll"]
    estimator: Literal["sampled"] = "sampled"


class ReverseKLRollouts(Section):
    """KL(pi || ref) on the policy's own rollouts, against a live reference model."""

    kind: Literal["reverse_kl"]
    on: Literal["rollouts"]
    weight: PositiveFloat
    estimator: Literal["k1_reward", "k2_loss", "k3_loss"]
    """`k1_reward` and `k2_loss` have the gradient of reverse KL; `k3_loss` has that of forward KL."""


class JensenShannonDefinition(Section):
    """Both halves of Jensen-Shannon by definition: stored answers and rollouts, live reference."""

    kind: Literal["jensen_shannon_definition"]
    weight: PositiveFloat


def _divergence_tag(value: Any) -> str | None:
    """`kind`, except that reverse KL is two things depending on where it acts."""
    read = value.get if isinstance(value, dict) else lambda name, default=None: getattr(value, name, default)
    kind = read("kind", None)
    if kind == "reverse_kl" and read("on", None) == "rollouts":
        return "reverse_kl on rollouts"
    return kind if isinstance(kind, str) else None


Divergence = Annotated[
    Annotated[NoDivergence, Tag("none")]
    | Annotated[ForwardKL, Tag("forward_kl")]
    | Annotated[ReverseKLRehearsal, Tag("reverse_kl")]
    | Annotated[ReverseKLRollouts, Tag("reverse_kl on rollouts")]
    | Annotated[JensenShannon, Tag("jensen_shannon")]
    | Annotated[JensenShannonDefinition, Tag("jensen_shannon_definition")]
    | Annotated[Alpha, Tag("alpha")]
    | Annotated[Nll, Tag("nll")],
    Discriminator(_divergence_tag),
]


class AdvantageBase(Section):
    """How the rewards of one group of answers become advantages."""

    kind: str
    skip_zero_variance: bool = True
    """Spend no training tokens on groups whose answers all got the same reward."""
    dynamic_sampling_rounds: int = Field(0, ge=0)
    """How often to sample new prompts in place of such groups (DAPO); 0 never."""


class Group(AdvantageBase):
    """GRPO: minus the group's mean, divided by its standard deviation (hf.co/papers/2402.03300)."""

    kind: Literal["group"] = "group"


class DrGrpo(AdvantageBase):
    """Dr. GRPO: minus the group's mean, not divided (hf.co/papers/2503.20783)."""

    kind: Literal["dr_grpo"]


class LeaveOneOut(AdvantageBase):
    """RLOO: minus the mean of the other answers (hf.co/papers/2402.14740)."""

    kind: Literal["leave_one_out"]


class PassAtK(AdvantageBase):
    """Pass@k training (hf.co/papers/2508.10751)."""

    kind: Literal["pass_at_k"]
    k: Annotated[int, Field(ge=2)] = 4


class Pkpo(AdvantageBase):
    """Unbiased Pass@k policy gradient (hf.co/papers/2505.15201)."""

    kind: Literal["pkpo"]
    k: Annotated[int, Field(ge=2)] = 4


class WReinforce(AdvantageBase):
    """Right answers count little, wrong ones fully (hf.co/papers/2506.01347)."""

    kind: Literal["w_reinforce"]
    positive_weight: Weight = 0.1


class Focal(AdvantageBase):
    """GRPO scaled by (1 - group success) ** gamma (F-GRPO, hf.co/papers/2602.06717)."""

    kind: Literal["focal"]
    gamma: Weight = 1.0


class Unlikeliness(AdvantageBase):
    """Likely right answers earn less than unlikely ones (hf.co/papers/2506.02355)."""

    kind: Literal["unlikeliness"]
    strength: Share = 0.25


def _with_kind(value: Any) -> Any:
    """Let `advantage: {skip_zero_variance: false}` mean the usual kind."""
    return {"kind": "group"} | value if isinstance(value, dict) else value


Advantage = Annotated[
    Group | DrGrpo | LeaveOneOut | PassAtK | Pkpo | WReinforce | Focal | Unlikeliness,
    Field(discriminator="kind"),
    BeforeValidator(_with_kind),
]


class RlvrRecipe(Section):
    """Everything one RLVR run is made of."""

    kind: Literal["rlvr"]
    description: str = ""
    seed: int = Field(0, ge=0)
    output_dir: str
    model: Model
    data: list[DataSource] = Field(min_length=1)
    rewards: list[Reward] = Field(min_length=1)
    readers: list[Reader] = Field(default_factory=list)
    """Frozen models for rewards that ask what a reader makes of an answer."""
    encoder: Model | None = None
    """Frozen model for rewards that compare meanings, through its mean hidden state."""
    objective: Objective = PolicyGradient()
    split: Split | None = None
    rehearsal: Rehearsal = Rehearsal()
    divergence: Divergence = NoDivergence()
    advantage: Advantage = Group()
    optimizer: Optimizer = AdamW()
    share_prompts: bool = False
    """Read the prompt of a group once in a training step: cheaper where prompts are long and answers short. For models
    that fit one device, without gradient checkpointing."""
    max_grader_errors: Share = 0.05
    """Share of judgements, over the last ten rollout batches, that may fail before the run stops; 1 never stops."""
    max_unjudgeable: Share = 0.1
    """Share of the rows that may be left out because their own gold answer is not judged right."""
    long_prompts: LongPrompts = "refuse"
    """What to do with prompts that leave no room for an answer in the model's context."""
    launch: Launch = Launch()
    trainer: Options = Field(default_factory=dict)
    """Fields of TRL's `GRPOConfig` under their own names."""
