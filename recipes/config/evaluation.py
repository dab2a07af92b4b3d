"""The `eval` recipe: which model answers which questions how often, and who judges."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .compression import Reader
from .data import DataSource
from .engine import Engine, TransformersEngine
from .language.section import FolderName, LongPrompts, Positive, PositiveFloat, Section, Share
from .model import Model
from .retention import Retention
from .rewards import Reward


class Sampling(Section):
    """How answers are drawn; temperature 0 is greedy."""

    n: Positive = 16
    """Answers per question."""
    temperature: float = Field(1.0, ge=0)
    top_p: Share = 1.0
    max_tokens: Positive = 64
    seed: int = 0


class Holdout(Section):
    """Questions that may be looked at a few times only, guarded by Thresholdout (arXiv 1506.02629).

    Their answers are judged and forgotten; what is told is Pass@k of the suite's own questions where both agree, and
    the holdout's with noise where they do not, as often as the budget allows.
    """

    data: list[DataSource] = Field(min_length=1)
    state: str
    """File that counts the looks; one for a holdout, shared by every evaluation that asks it."""
    threshold: PositiveFloat = 0.04
    """Difference of the two means that is let pass."""
    noise: PositiveFloat = 0.01
    """Scale of the noise; a quarter of the threshold in the paper."""
    budget: Positive = 10
    """Disagreements that may be answered."""
    seed: int = Field(0, ge=0)


class Suite(Section):
    """Questions, a judge, and how often each question is answered."""

    name: FolderName
    """Of its folder in `output_dir`."""
    data: list[DataSource] = Field(min_length=1)
    reward: Reward
    sampling: Sampling = Sampling()
    ks: list[Positive] = Field([1], min_length=1)
    """The k of each Pass@k; the unbiased estimator needs k <= n."""
    cluster: str | None = None
    """Column that groups questions which are not independent, such as a database; null takes `cluster`, if rows have
    it. Intervals are then over groups."""
    holdout: Holdout | None = None
    """Also ask guarded questions."""


class Kl(Section):
    """Divergence from a reference model in both directions: nats per answer, at temperature 1.

    KL(model || reference) is large where the model writes what the reference would not, KL(reference || model)
    where it no longer writes what the reference does. Answers of both models are drawn for it.
    """

    model: Model
    """The reference, with the vocabulary of the evaluated model; of the same model the divergence is 0."""
    prompts: Positive = 64
    """Questions of each suite, evenly spread over it."""
    samples: Positive = 4
    """Answers per question and direction."""


class EvalRecipe(Section):
    """Everything one evaluation is made of."""

    kind: Literal["eval"]
    description: str = ""
    seed: int = Field(0, ge=0)
    output_dir: str
    model: Model
    engine: Engine = TransformersEngine(kind="transformers")
    suites: list[Suite] = Field(default_factory=list)
    retention: Retention | None = None
    """Also measure what was kept, by tasks of lm-eval."""
    readers: list[Reader] = Field(default_factory=list)
    """Frozen models that rewards of `kind: capsule` ask."""
    encoder: Model | None = None
    """Frozen model that such a reward compares meanings with."""
    kl: Kl | None = None
    """Also measure the divergence from a reference model; needs the transformers engine."""
    baseline: str | None = None
    """Folder of the records to compare with, problem by problem."""
    limit: Positive | None = None
    """Only the first rows of each suite."""
    max_unjudgeable: Share = 0.1
    """Share of a suite's rows that may be left out because their own gold answer is not judged right."""
    long_prompts: LongPrompts = "refuse"
    """What to do with prompts that leave no room for an answer in the model's context."""
