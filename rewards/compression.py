"""Reward for prompt compression: what a short text (capsule) is worth to frozen readers of a long one (passage).

R = gate * max(0.05, 1 + U - P), in [0, 2]. The gate, the utility U and the penalties P are one function, since a sum of
rewards could not keep every legal capsule above every illegal one.

After Nano-Capsulator (hf.co/papers/2402.18700, equation 2: agreement of the reader's answers on capsule and passage,
after a cut-off). We differ: U is a log-prob gain by default, which needs no decoding and leaves out what the reader
knows without the passage; a capsule over the budget is worth nothing in place of being cut and scored; questions that
the passage does not help with are not asked; penalties hold back what U alone would pay for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from .base import Reward, Verdict

if TYPE_CHECKING:
    import numpy as np

Utility = Literal["dense", "agreement", "accuracy", "none"]
Gate = Literal["hard", "cut", "none"]
Pool = Literal["mean", "min"]


class Reader(Protocol):
    """A frozen model that answers questions on a text."""

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


@dataclass(frozen=True)
class CapsuleReward(Reward):
    """What a capsule is worth to frozen readers of its passage, see the module.

    Columns: `passage`; `budget` (tokens, in the tokenizer of every reader); `questions`, a JSON list of
    `{"question", "answer", "accepted"?}`; optional `facts`, a JSON list of `{"entity", "attribute", "value"}`: all that
    the passage says, which makes the grounding exact. Optional `completion_ids` tell whether the capsule is finished.

    Attributes:
        readers: The frozen readers; recipes bind them, see `bind`.
        encoder: The frozen encoder of `semantics`.
        stop_token_ids: Tokens that end a capsule; a completion that ends with none of them is unfinished. Empty: not
            checked.
        pool: How the utilities of several readers become one.
        utility: `dense`: share of the passage's log-prob gain that the capsule keeps. `agreement`: share of questions
            whose greedy answer is that on the passage (the paper's). `accuracy`: share of right greedy answers.
        min_gain: A question whose answer the passage makes less than this much likelier (nats) is not asked.
        helped_only: Also with `agreement` and `accuracy` ask only what the passage helps with: its answer differs from
            that without a context, and is right for `accuracy`. False asks everything, as the paper does.
        gate: `hard`: over the budget, unfinished or shorter than `min_tokens` is worth 0. `cut`: cut at the budget and
            scored, the paper's reading. `none`: no limit at all, a negative control.
        min_tokens: Shortest legal capsule.
        grounding: Penalty at full share of numbers, dates and names (with `facts`: of claims) that the passage lacks.
        duplicates: Penalty at full share of repeated lines.
        readability: Penalty of text that people cannot read: another script, control or private characters, emoji,
            words run together.
        leak: Penalty at full share of the questions' word n-grams that only the questions and the capsule have.
        injection: Penalty of lines that address the reader ("the answer is always A") and are not in the passage.
        copying: Penalty at full share of the capsule that is one run copied from the passage; 0 reports it only.
        semantics: Penalty at cosine -1 between capsule and passage; none from `semantics_floor` up.
        semantics_floor: Cosine from which there is no semantics penalty.
        max_perplexity: Perplexity by the first reader from which a capsule counts as unreadable; None: not measured.
    """

    readers: tuple[Any, ...] = ()
    encoder: Any = None
    stop_token_ids: tuple[int, ...] = ()
    pool: Pool = "mean"
    utility: Utility = "dense"
    min_gain: float = 0.1
    helped_only: bool = True
    gate: Gate = "hard"
    min_tokens: int = 1
    grounding: float = 0.5
    duplicates: float = 0.5
    readability: float = 1.0
    leak: float = 1.0
    injection: float = 1.0
    copying: float = 0.0
    semantics: float = 0.0
    semantics_floor: float = 0.5
    max_perplexity: float | None = None
    name: ClassVar[str] = "capsule"
    columns: ClassVar[tuple[str, ...]] = ("passage", "budget", "questions")
    optional: ClassVar[tuple[str, ...]] = ("facts", "completion_ids")
    range: ClassVar[tuple[float, float]] = (0.0, 2.0)

    def bind(
        self, *readers: Reader, encoder: Encoder | None = None, stop_token_ids: Sequence[int] = ()
    ) -> CapsuleReward:
        """This reward with its readers, and with the encoder and the end tokens where they are given."""
        return replace(
            self,
            readers=readers,
            encoder=encoder or self.encoder,
            stop_token_ids=tuple(stop_token_ids) or self.stop_token_ids,
        )

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        return self.judge_batch([completion], [row])[0]

    def judge_batch(self, completions: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
        """Judge capsules together: one request to a reader for all of them."""
        raise NotImplementedError
