"""Reward for prompt compression: how well a capsule replaces its passage for frozen readers.

R = gate * max(0.05, 1 + U - P), in [0, 2]. Gate, utility U and penalties P are one reward, since a sum of rewards could
not keep every legal capsule above every illegal one.

After Nano-Capsulator (hf.co/papers/2402.18700, equation 2: agreement of the reader's answers on capsule and passage,
after a cut-off). We differ: U is a log-prob gain by default, which needs no decoding and leaves out what the reader
knows without the passage; a capsule over the budget is worth nothing in place of being cut and scored; questions that
the passage does not help with are not asked; penalties hold back what U alone would pay for.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ...data.options import Positive, PositiveFloat, Weight
from ..base import Reward, Verdict, error_verdict
from .guards import claims, guards, unlike
from .reader import Encoder, Reader
from .utility import Judge, Question, Utility, read_questions

Gate = Literal["hard", "cut", "none"]
Pool = Literal["mean", "min"]
PENALTIES = ("grounding", "duplicates", "readability", "leak", "injection", "copying", "semantics")
TERMS = ("tokens", "legal", "utility", *PENALTIES)
"""What is logged of each capsule."""

_LEAST = 0.05  # of a legal capsule, so that it is above every illegal one


@dataclass(frozen=True)
class CapsuleVerdict(Verdict):
    """A judgement with its terms: `tokens`, `legal` (0 or 1), `utility`, and the share of each of `PENALTIES`."""

    terms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Case:
    """A capsule to judge; `illegal` says why it is worth nothing, `text` is what the readers read."""

    row: Mapping[str, Any]
    text: str
    passage: str
    questions: list[Question]
    facts: list[Mapping[str, str]] | None
    tokens: int
    illegal: str | None


@dataclass(frozen=True)
class CapsuleReward(Reward):
    """Value of a capsule for frozen readers of its passage, see the module.

    Columns: `passage`; `budget` (tokens, in the tokenizer of every reader); `questions`, a JSON list of
    `{"question", "answer", "accepted"?}`; optional `facts`, a JSON list of `{"entity", "attribute", "value"}`: all that
    the passage says, which makes the grounding exact. Optional `completion_ids` tell whether the capsule is finished.

    Attributes:
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

    pool: Pool = "mean"
    utility: Utility = "dense"
    min_gain: PositiveFloat = 0.1
    helped_only: bool = True
    gate: Gate = "hard"
    min_tokens: Positive = 1
    grounding: Weight = 0.5
    duplicates: Weight = 0.5
    readability: Weight = 1.0
    leak: Weight = 1.0
    injection: Weight = 1.0
    copying: Weight = 0.0
    semantics: Weight = 0.0
    semantics_floor: Annotated[float, Field(gt=-1, le=1)] = 0.5
    max_perplexity: PositiveFloat | None = None
    name: ClassVar[str] = "capsule"
    columns: ClassVar[tuple[str, ...]] = ("passage", "budget", "questions")
    optional: ClassVar[tuple[str, ...]] = ("facts", "completion_ids")
    range: ClassVar[tuple[float, float]] = (0.0, 2.0)
    readers: ClassVar[tuple[Reader, ...]] = ()  # options are what a recipe says; these are bound to it
    encoder: ClassVar[Encoder | None] = None
    stop_token_ids: ClassVar[tuple[int, ...]] = ()

    def bind(
        self, *readers: Reader, encoder: Encoder | None = None, stop_token_ids: Sequence[int] = ()
    ) -> BoundCapsuleReward:
        """This reward with the models it asks.

        The frozen encoder is for the semantics term; `stop_token_ids` end a capsule, and if empty an unfinished one is
        not told.

        Raises:
            ValueError: There is no reader; or no encoder, and `semantics` is not 0.
        """
        if not readers:
            raise ValueError("reward capsule · readers · none is given · name at least one model that reads capsules")
        if self.semantics and encoder is None:
            raise ValueError("reward capsule · encoder · none is given · name one, or set semantics to 0")
        options = {option.name: getattr(self, option.name) for option in fields(CapsuleReward)}
        return BoundCapsuleReward(**options, readers=readers, encoder=encoder, stop_token_ids=tuple(stop_token_ids))

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        return self.judge_batch([completion], [row])[0]

    def judge_batch(self, completions: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
        """Judge capsules together, with one request to each reader for all of them."""
        if not self.readers:
            return [Verdict(None, "error", "no reader is bound")] * len(rows)
        found = [self._case(completion, row) for completion, row in zip(completions, rows, strict=True)]
        cases = [case for case in found if isinstance(case, _Case)]
        try:
            utilities = iter(self._utilities(cases))
        except Exception as error:
            pairs = zip(found, rows, strict=True)
            return [error_verdict(self.name, row, error) if isinstance(case, _Case) else case for case, row in pairs]
        return [self._verdict(case, next(utilities)) if isinstance(case, _Case) else case for case in found]

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """See the base class.

        Raises:
            ValueError: No reader is bound, or a column is not in the data.
        """
        if not self.readers:
            raise ValueError("reward capsule · readers · none is bound · name one in the recipe's `readers`")
        return super().__call__(prompts, completions, **columns)

    def log(self, verdicts: Sequence[Verdict], log_metric: Callable[[str, float], None]) -> None:
        """Log the outcomes and the mean of each term over the capsules it was measured on."""
        super().log(verdicts, log_metric)
        measured = [verdict.terms for verdict in verdicts if isinstance(verdict, CapsuleVerdict)]
        for term in TERMS:
            values = [terms[term] for terms in measured if term in terms]
            if values:
                log_metric(f"{self.name}/{term}", sum(values) / len(values))

    def canonical(self, completion: str, row: Mapping[str, Any]) -> str | None:
        """The lines without case, in alphabetical order: the order of notes makes no other capsule."""
        return "\n".join(sorted(" ".join(line) for line in claims(completion))) or None

    def _case(self, completion: str, row: Mapping[str, Any]) -> _Case | Verdict:
        """A capsule to judge, or the verdict where the row does not allow that."""
        if (unjudged := self._unjudgeable(row)) is not None:
            return unjudged
        try:
            questions, facts = read_questions(row["questions"]), json.loads(row.get("facts") or "null")
            tokens = max(reader.count(completion) for reader in self.readers) if completion.strip() else 0
            illegal = self._why_illegal(tokens, row) if self.gate == "hard" else None
            cuts = [reader.cut(completion, row["budget"]) for reader in self.readers if self.gate == "cut"]
            text = min(cuts, key=len, default=completion)
            return _Case(row, text, row["passage"], questions, facts, tokens, illegal)
        except Exception as error:
            return error_verdict(self.name, row, error)

    def _why_illegal(self, tokens: int, row: Mapping[str, Any]) -> str | None:
        """Why a capsule is worth nothing; None for a legal one."""
        if tokens > row["budget"]:
            return f"{tokens} tokens, the budget is {row['budget']}"
        if tokens < self.min_tokens:
            return f"{tokens} tokens, at least {self.min_tokens} make a capsule"
        ids = row.get("completion_ids")
        if self.stop_token_ids and ids is not None and (len(ids) == 0 or ids[-1] not in self.stop_token_ids):
            return "unfinished"
        return None

    def _utilities(self, cases: Sequence[_Case]) -> list[float | None]:
        """Utility of each capsule by all readers; None where the passage helps with no question."""
        if self.utility == "none":
            return [0.0] * len(cases)
        # An illegal capsule is worth 0 whatever it says, so no reader is asked.
        capsules = [(None if case.illegal else case.text, case.passage, case.questions) for case in cases]
        judges = [Judge(reader, self.utility, self.min_gain, self.helped_only) for reader in self.readers]
        by_reader = [judge.utilities(capsules) for judge in judges]
        pool = min if self.pool == "min" else statistics.fmean
        known = [[value for value in values if value is not None] for values in zip(*by_reader, strict=True)]
        return [pool(values) if values else None for values in known]

    def _verdict(self, case: _Case, utility: float | None) -> Verdict:
        if utility is None:
            return Verdict(None, "skipped", "the passage helps with none of the questions")
        if case.illegal is not None:
            return CapsuleVerdict(0.0, "unparseable", case.illegal, {"tokens": case.tokens, "legal": 0.0})
        try:
            shares = self._penalties(case)
        except Exception as error:
            return error_verdict(self.name, case.row, error)
        penalty = sum(getattr(self, term) * share for term, share in shares.items())
        value = max(_LEAST, 1 + utility - penalty)
        terms = {"tokens": case.tokens, "legal": 1.0, "utility": utility, **shares}
        detail = " ".join(f"{name} {share:.3g}" for name, share in terms.items() if share or name == "utility")
        return CapsuleVerdict(value, "correct" if utility >= 0.5 else "wrong", detail, terms)

    def _penalties(self, case: _Case) -> dict[str, float]:
        """Share of each thing that a capsule is penalised for, by the option that holds its weight."""
        shares = guards(case.text, case.passage, case.facts, [question.text for question in case.questions])
        shares["readability"] = max(shares["readability"], self._surprising(case))
        if self.encoder is not None:
            capsule, passage = self.encoder.embed([case.text, case.passage])
            shares["semantics"] = unlike(capsule, passage, self.semantics_floor)
        return shares

    def _surprising(self, case: _Case) -> float:
        if self.max_perplexity is None or not case.text.strip():
            return 0.0
        reader: Reader = self.readers[0]
        [log_prob] = reader.log_probs([""], [""], [case.text])
        return float(-log_prob / max(1, reader.count(case.text)) > math.log(self.max_perplexity))


@dataclass(frozen=True)
class BoundCapsuleReward(CapsuleReward):
    """`CapsuleReward` with its models, see `CapsuleReward.bind`."""

    readers: tuple[Reader, ...] = ()  # type: ignore[misc]
    encoder: Encoder | None = None  # type: ignore[misc]
    stop_token_ids: tuple[int, ...] = ()  # type: ignore[misc]
