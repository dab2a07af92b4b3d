"""What every engine promises: token ids in, completions with log-probs out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

FinishReason = Literal["stop", "length"]


class EngineError(ValueError):
    """A request or a model that an engine cannot serve, with what to change."""


@dataclass(frozen=True)
class Sampling:
    """How to sample.

    Attributes:
        n: Completions per prompt, drawn from one prefill.
        temperature: 0 is greedy decoding.
        top_p: Nucleus mass; 1 keeps the whole distribution.
        max_tokens: Longest completion, in tokens, the stop token included.
        seed: The same seed, prompt and settings give the same completions.
        stop_token_ids: Ends a completion, in addition to the model's own end tokens.
    """

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 64
    seed: int = 0
    stop_token_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.n < 1 or self.max_tokens < 1:
            raise EngineError(f"sampling: n and max_tokens start at 1; got {self.n} and {self.max_tokens}")
        if self.temperature < 0:
            raise EngineError(f"sampling: temperature is 0 (greedy) or more; got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise EngineError(f"sampling: top_p lies in (0, 1]; got {self.top_p}")
        if self.greedy and self.n > 1:
            raise EngineError(f"sampling: greedy decoding has one answer, n is {self.n}; set n: 1 or temperature > 0")

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is taken each time."""
        return self.temperature == 0


@dataclass(frozen=True)
class Completion:
    """One answer of a model.

    Attributes:
        text: Decoded answer without special tokens.
        token_ids: Sampled ids; the last one is the stop token when `finish_reason` is "stop".
        logprobs: Per token, in nats, under the model's own distribution (temperature 1, not truncated by
            top_p), whatever the sampling was: so `score` of the same tokens gives the same numbers.
        finish_reason: "stop" on a stop token, "length" at `max_tokens`.
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None
    finish_reason: FinishReason


class Engine(Protocol):
    """A model that can be sampled and that can score given completions."""

    name: str
    tokenizer: Any

    def generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[list[Completion]]:
        """Return `sampling.n` completions for each prompt of token ids, in the order given."""
        ...

    def score(self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return the log-prob (nats, temperature 1) of every token of `completions[i]` after `prompts[i]`."""
        ...

    def close(self) -> None:
        """Give back memory and worker processes."""
        ...


def decode(tokenizer: Any, rows: Sequence[tuple[int, ...]]) -> list[str]:
    """Return the texts of token ids without special tokens; equal rows are decoded once."""
    distinct = list(dict.fromkeys(rows))
    texts = tokenizer.batch_decode(distinct, skip_special_tokens=True)
    table = dict(zip(distinct, texts, strict=True))
    return [table[row] for row in rows]
