"""Protocols of the frozen models that judge a capsule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np


class Reader(Protocol):
    """A frozen model that answers questions on a text.

    Scores of the passage and of no context are asked for with every capsule, so an implementation should cache them.
    """

    name: str

    def count(self, text: str) -> int:
        """Tokens of a text in the reader's own tokenizer, without special tokens."""
        ...

    def cut(self, text: str, tokens: int) -> str:
        """The text of the first `tokens` tokens."""
        ...

    def log_probs(self, contexts: Sequence[str], questions: Sequence[str], answers: Sequence[str]) -> list[float]:
        """Log-prob of each answer given its context and question: nats, summed over the answer's tokens.

        The context "" stands for no context at all.
        """
        ...

    def answers(self, contexts: Sequence[str], questions: Sequence[str]) -> list[str]:
        """The greedy answer to each question on its context."""
        ...


class Encoder(Protocol):
    """A frozen model of meaning."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts, `[texts, size]`."""
        ...
