"""The `eval` recipe: which model answers which questions how often, and who judges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ...data.options import Positive, PositiveFloat, Share
from .compression import Reader, reader_conflicts
from .data import DataSource, numbered
from .language.errors import Conflict
from .language.section import FolderName, LongPrompts, RecipeBase, Section
from .model import Engine, Model, TransformersEngine
from .rewards import Reward, judging_conflicts


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

    def conflicts(self, field: str) -> Iterator[Conflict]:
        """A k above n, and a reward that does not fit the rows; `field` is where the suite stands."""
        if max(self.ks) > self.sampling.n:
            found = f"Pass@{max(self.ks)} from n = {self.sampling.n} answers"
            yield Conflict((f"{field}.ks", f"{field}.sampling.n"), found, f"k of at most {self.sampling.n}")
        sources = numbered(f"{field}.data", self.data)
        if self.holdout is not None:
            sources |= numbered(f"{field}.holdout.data", self.holdout.data)
        yield from judging_conflicts(sources, f"{field}.reward", [self.reward])


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


class RetentionTask(Section):
    """A task or a group of lm-eval; of a group every task becomes a suite."""

    name: str
    metric: str | None = None
    """Score of a document; null takes the task's first one that is a mean over documents."""
    filter: str | None = None
    """Of generated texts; null takes the task's first one."""
    shots: int | None = Field(None, ge=0)
    """Examples in the prompt; null takes the task's own number."""
    cluster: str | None = None
    """Field of a document that names what it shares with others, such as its passage."""


class Retention(Section):
    """Tasks of lm-eval, answered by this evaluation's engine; needs `pip install 'quince[eval]'`."""

    tasks: list[RetentionTask] = Field(min_length=1)
    task_folders: list[str] = Field(default_factory=list)
    """Folders with task files of your own, which win over lm-eval's; or folders of the library."""
    chat_template: bool = False
    """Put prompts as the model's chat template does; for models that were tuned to follow instructions."""
    max_tokens: Positive = 256
    """Longest text where a task does not say."""
    max_length: Positive = 4096
    """Tokens of prompt and answer together; longer prompts lose their beginning, as in lm-eval."""
    run_code: bool = False
    """Let tasks run code: what the model writes (HumanEval, MBPP), metrics of the Hub, functions in your task files."""


class EvalRecipe(RecipeBase):
    """Everything one evaluation is made of."""

    kind: Literal["eval"]
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

    def conflicts(self) -> Iterator[Conflict]:
        """Nothing to evaluate, names that come twice, and rewards that do not fit their rows or lack a reader."""
        yield from self.model.conflicts()
        if self.kl is not None and self.engine.kind != "transformers":
            found = f"a divergence measured with `{self.engine.kind}`"
            yield Conflict(("kl", "engine.kind"), found, "engine.kind: transformers, or kl: null")
        if not self.suites and self.retention is None:
            allowed = "at least one suite, or `retention: {tasks: [...]}`"
            yield Conflict(("suites", "retention"), "nothing to evaluate", allowed)
        rewards = {f"suites.{index}.reward": suite.reward for index, suite in enumerate(self.suites)}
        yield from reader_conflicts(rewards, bool(self.readers), self.encoder is not None)
        for index, suite in enumerate(self.suites):
            yield from suite.conflicts(f"suites.{index}")
            # Some file systems take capitals for small letters.
            if suite.name.casefold() in [other.name.casefold() for other in self.suites[:index]]:
                yield Conflict((f"suites.{index}.name",), f"a second suite {suite.name!r}", "names that differ")
