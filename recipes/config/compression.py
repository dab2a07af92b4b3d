"""Sections of prompt compression: frozen readers and encoders of rewards, and the objective of Nano-Capsulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from ...data.options import Positive, PositiveFloat
from .language.errors import Conflict
from .language.section import Section
from .model import Engine, Model, TransformersEngine
from .rewards import RewardSpec


class ReaderServer(Section):
    """A vLLM server that is already running (`vllm serve MODEL`), asked over HTTP."""

    kind: Literal["server"]
    url: str = Field("http://localhost:8000", pattern=r"^https?://")
    timeout_s: PositiveFloat = 600.0
    """Longest wait for an answer to one request."""
    at_once: Positive = 256
    """Prompts of one request."""


class Reader(Section):
    """A frozen model that reads what the policy writes and answers questions on it."""

    name: str | None = None
    """What it is called in results; null takes the model's."""
    model: Model
    engine: Annotated[Engine | ReaderServer, Field(discriminator="kind")] = TransformersEngine(kind="transformers")
    template: str = Field("{context}\n{question}", pattern=r"(?s)\{context\}.*\{question\}")
    """The message that it gets; without a context the question alone."""
    max_tokens: Positive = 16
    """Longest answer, where answers are asked for."""


class PolicyGradient(Section):
    """The gradient of the expected reward, with the advantages of `advantage:`."""

    kind: Literal["policy_gradient"] = "policy_gradient"


class Capsulator(Section):
    """Nano-Capsulator's own objective (hf.co/papers/2402.18700, equations 1 to 3), a baseline.

    The squared distance between the mean hidden state of the summary and that of a repetition of the passage, times how
    far the reward is below its best. No gradient goes through the choice of tokens.
    """

    kind: Literal["capsulator"]
    instruction: str = "Repeat the text:"
    """Asks the model to repeat the passage."""


Objective = Annotated[PolicyGradient | Capsulator, Field(discriminator="kind")]


def reader_conflicts(rewards: Mapping[str, RewardSpec], readers: bool, encoder: bool) -> Iterator[Conflict]:
    """Rewards that ask frozen models which are not there, and readers that nobody asks.

    Args:
        rewards: By the field that each stands in.
        readers: Whether the recipe names any.
        encoder: Whether it names one.
    """
    reads = {field: reward for field, reward in rewards.items() if reward.kind == "capsule"}
    if reads and not readers:
        where = (f"{next(iter(reads))}.kind", "readers")
        yield Conflict(where, "`capsule` asks a reader, and there is none", "`readers: [{model: {id: ...}}]`")
    if readers and not reads:
        where = ("readers", next(iter(rewards), "suites").partition(".")[0])
        yield Conflict(where, "no reward asks a reader", "a reward `capsule`, or no `readers`")
    compares = [field for field, reward in reads.items() if reward.arguments()["semantics"]]
    if compares and not encoder:
        where = (f"{compares[0]}.semantics", "encoder")
        yield Conflict(where, "meanings are compared, and there is no encoder", "`encoder: {id: ...}`, or semantics: 0")
