"""The `rlvr` recipe: reinforcement learning from verifiable rewards that keeps diversity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ..methods.advantages import ADVANTAGES, Group
from ..methods.divergences import DIVERGENCES, NoDivergence
from ..methods.options import schema_of
from .compression import Objective, PolicyGradient, Reader
from .data import DataSource
from .engine import Engine, TransformersEngine
from .language.section import LongPrompts, Options, Positive, Section, Share
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


def _with_kind(value: Any) -> Any:
    """Let `advantage: {skip_zero_variance: false}` mean the usual kind."""
    return {"kind": "group"} | value if isinstance(value, dict) else value


if TYPE_CHECKING:
    from ..methods.advantages import Advantage
    from ..methods.divergences import Divergence
else:
    Advantage = Annotated[schema_of(ADVANTAGES), BeforeValidator(_with_kind)]
    Divergence = schema_of(DIVERGENCES)


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
    verifier: int | str | list[int | str] | None = None
    """The reward whose verdicts say which completions are correct, by its place or its kind (several, where each judges
    rows of its own); null takes the only one that is not `format`, `length` or `capsule`."""
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
