"""The `eval` recipe: which model answers which questions how often, and who judges."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .data import DataSource
from .model import Model
from .rewards import Reward
from .section import Positive, Section, Share


class TransformersEngine(Section):
    """Generation with transformers in this process."""

    kind: Literal["transformers"]
    batch_tokens: Positive = 65_536
    """Prompt and answer tokens decoded together."""


class VllmEngine(Section):
    """Generation with vLLM in this process; every GPU that `tensor_parallel_size` asks for."""

    kind: Literal["vllm"]
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1)
    max_model_len: Positive | None = None
    tensor_parallel_size: Positive = 1


Engine = Annotated[TransformersEngine | VllmEngine, Field(discriminator="kind")]


class Sampling(Section):
    """How answers are drawn; temperature 0 is greedy."""

    n: Positive = 16
    """Answers per question."""
    temperature: float = Field(1.0, ge=0)
    top_p: Share = 1.0
    max_tokens: Positive = 64
    seed: int = 0


class Suite(Section):
    """Questions, a judge, and how often each question is answered."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    data: list[DataSource] = Field(min_length=1)
    reward: Reward
    sampling: Sampling = Sampling()
    ks: list[Positive] = Field([1], min_length=1)
    """The k of each Pass@k; the unbiased estimator needs k <= n."""


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
    suites: list[Suite] = Field(min_length=1)
    kl: Kl | None = None
    """Also measure the divergence from a reference model; needs the transformers engine."""
    baseline: str | None = None
    """Folder of the records to compare with, problem by problem."""
    limit: Positive | None = None
    """Only the first rows of each suite."""
