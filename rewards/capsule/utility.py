"""Utility of a capsule for a reader, per question in [0, 1], measured by the reader's scores of the passage."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...data.compression.capsules import normalise
from .reader import Reader

Utility = Literal["dense", "agreement", "accuracy", "none"]
Capsule = tuple[str | None, str, Sequence["Question"]]
"""The text that is read (None: not to be read), its passage and the questions on it."""

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_MARKS = re.compile(r"[^\w\s]")


@dataclass(frozen=True)
class Question:
    """A question about a passage.

    Attributes:
        answer: The gold answer; None where there is none: then the reader's own on the passage is the reference.
    """

    text: str
    answer: str | None
    accepted: tuple[str, ...] = ()

    def is_right(self, answer: str) -> bool:
        """Whether an answer is one of the right ones."""
        return any(same_answer(answer, gold) for gold in (self.answer, *self.accepted) if gold is not None)


@dataclass(frozen=True)
class Reference:
    """A reader's scores on one question, with the passage and without.

    Attributes:
        answer: The answer whose log-prob is taken.
        none: Its log-prob without a context, nats.
        full_answer: The greedy answer on the passage; None where it was not asked for.
        none_answer: The greedy answer without a context; None likewise.
    """

    answer: str
    full: float = math.nan
    none: float = math.nan
    full_answer: str | None = None
    none_answer: str | None = None

    @property
    def gain(self) -> float:
        """How much likelier the passage makes the answer, nats."""
        return self.full - self.none


def read_questions(text: str) -> list[Question]:
    """The questions of a row's column.

    Raises:
        ValueError: It is not a JSON list of questions.
    """
    items = json.loads(text)
    if not isinstance(items, list) or not all(isinstance(item, dict) and "question" in item for item in items):
        raise ValueError(f'column questions · {text[:60]!r} · must be a JSON list of {{"question", "answer"}}')
    return [Question(item["question"], item.get("answer"), tuple(item.get("accepted") or ())) for item in items]


def same_answer(first: str, second: str) -> bool:
    """Whether two answers are equal but for case, marks, spaces and English articles (SQuAD's normal form)."""
    return _normal(first) == _normal(second)


def _normal(answer: str) -> str:
    plain = " ".join(_ARTICLES.sub(" ", _MARKS.sub(" ", normalise(answer).casefold())).split())
    return plain or normalise(answer)


def kept_gain(log_prob: float, reference: Reference) -> float:
    """Share of the passage's log-prob gain that a capsule keeps: clip[(lp - none) / (full - none), 0, 1].

    Raises:
        ValueError: The reader gave no number.
    """
    if math.isnan(log_prob):
        raise ValueError("a reader gave a log-prob that is not a number")
    return min(1.0, max(0.0, (log_prob - reference.none) / reference.gain))


class Judge:
    """One reader's utility of capsules; `utility` and `helped_only` as in `CapsuleReward`, `min_gain` in nats."""

    def __init__(self, reader: Reader, utility: Utility, min_gain: float, helped_only: bool) -> None:
        self.reader, self.utility = reader, utility
        self.min_gain, self.helped_only = min_gain, helped_only

    def utilities(self, capsules: Sequence[Capsule]) -> list[float | None]:
        """Mean over the questions of each capsule, in [0, 1]; None where the passage helps with no question.

        What is not read, or is empty, is worth 0: to a reader an empty text would be no context.
        """
        pairs = [(at, question) for at, (_, _, questions) in enumerate(capsules) for question in questions]
        references = self._references([(capsules[at][1], question) for at, question in pairs])
        asked = [(at, q, ref) for (at, q), ref in zip(pairs, references, strict=True) if self._is_asked(q, ref)]
        read = [(at, q, ref) for at, q, ref in asked if (capsules[at][0] or "").strip()]
        scores: dict[int, list[float]] = {at: [] for at, _, _ in asked}
        texts = [str(capsules[at][0]) for at, _, _ in read]
        for (at, _, _), score in zip(read, self._scores(texts, [(q, ref) for _, q, ref in read]), strict=True):
            scores[at].append(score)
        return [statistics.fmean(scores[at] or [0.0]) if at in scores else None for at in range(len(capsules))]

    def _is_asked(self, question: Question, reference: Reference) -> bool:
        if self.utility == "dense":
            return math.isfinite(reference.gain) and reference.gain >= self.min_gain
        full, none = str(reference.full_answer), str(reference.none_answer)
        if self.utility == "accuracy":
            has_gold = question.answer is not None or bool(question.accepted)
            return has_gold and (not self.helped_only or (question.is_right(full) and not question.is_right(none)))
        return not self.helped_only or not same_answer(full, none)

    def _scores(self, texts: Sequence[str], asked: Sequence[tuple[Question, Reference]]) -> list[float]:
        if not asked:
            return []
        questions = [question.text for question, _ in asked]
        if self.utility == "dense":
            log_probs = self.reader.log_probs(texts, questions, [reference.answer for _, reference in asked])
            return [kept_gain(score, reference) for score, (_, reference) in zip(log_probs, asked, strict=True)]
        pairs = zip(self.reader.answers(texts, questions), asked, strict=True)
        if self.utility == "accuracy":
            return [float(question.is_right(answer)) for answer, (question, _) in pairs]
        return [float(same_answer(answer, str(reference.full_answer))) for answer, (_, reference) in pairs]

    def _references(self, pairs: Sequence[tuple[str, Question]]) -> list[Reference]:
        """The reader's scores on (passage, question) pairs; the reader caches them."""
        passages, nothing = [passage for passage, _ in pairs], [""] * len(pairs)
        questions, gold = [question.text for _, question in pairs], [question.answer for _, question in pairs]
        dense = self.utility == "dense"
        own = self.reader.answers(passages, questions) if None in gold or not dense else [""] * len(pairs)
        answers = [full if answer is None else answer for answer, full in zip(gold, own, strict=True)]
        if dense:
            full = self.reader.log_probs(passages, questions, answers)
            none = self.reader.log_probs(nothing, questions, answers)
            return [Reference(*scores) for scores in zip(answers, full, none, strict=True)]
        greedy = zip(answers, own, self.reader.answers(nothing, questions), strict=True)
        return [Reference(answer, full_answer=full, none_answer=none) for answer, full, none in greedy]
