"""What is kept of one evaluated problem: its distinct answers, how often each came, what each was worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...rewards.base import Outcome
from .statistics import pass_at_k


@dataclass(frozen=True)
class Answer:
    """One distinct completion.

    Attributes:
        text: What the model wrote, without special tokens.
        count: Samples that were exactly this.
        value: Reward; None where it could not be judged.
        outcome: Why the reward is what it is.
        correct: Whether the reward is the top of its range.
        solution: Canonical form of a correct answer, equal for answers that are the same idea.
        tokens: Length.
        logprob: Log-probability of the completion, nats, at temperature 1.
        truncated: Whether it ran into the length limit.
        detail: The judge's remark.
    """

    text: str
    count: int
    value: float | None
    outcome: Outcome
    correct: bool
    solution: str | None
    tokens: int
    logprob: float | None
    truncated: bool
    detail: str = ""


@dataclass(frozen=True)
class Problem:
    """One row's answers.

    Attributes:
        id: Of the row.
        task: Of the row.
        question: The last user message, for people.
        reference: The columns the reward reads, for people.
        answers: Distinct sampled answers.
        greedy: The greedy answer, if it was asked for.
        cluster: What it shares with other problems, such as a database or a passage; None if nothing.
    """

    id: str
    task: str
    question: str
    reference: dict[str, str]
    answers: tuple[Answer, ...]
    greedy: Answer | None = None
    cluster: str | None = None

    @property
    def drawn(self) -> int:
        """Samples drawn."""
        return sum(a.count for a in self.answers)

    @property
    def n(self) -> int:
        """Samples judged: what could not be judged is not counted as wrong."""
        return sum(a.count for a in self.answers if a.value is not None)

    @property
    def correct(self) -> int:
        """Correct samples."""
        return sum(a.count for a in self.answers if a.correct)

    @property
    def outcomes(self) -> Counter[str]:
        """Samples by outcome."""
        return _counted((a.outcome, a.count) for a in self.answers)

    @property
    def solutions(self) -> Counter[str]:
        """Correct samples by canonical form."""
        return _counted((a.solution, a.count) for a in self.answers if a.correct and a.solution is not None)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Problem:
        """Return the problem that `as_dict` described."""
        greedy = data["greedy"]
        return cls(
            **{
                **data,
                "answers": tuple(Answer(**a) for a in data["answers"]),
                "greedy": Answer(**greedy) if greedy else None,
            }
        )


@dataclass(frozen=True)
class Unjudged:
    """Answers of an evaluation that have no verdict, and what they would make of its Pass@k at worst.

    Attributes:
        samples: Unjudged samples.
        drawn: All samples.
        outcomes: Unjudged samples by outcome.
        first: What the judge said of the first of them.
        pass_at: Pass@k with every unjudged sample counted as wrong, by k.
    """

    samples: int
    drawn: int
    outcomes: dict[str, int]
    first: str
    pass_at: dict[int, float]

    @classmethod
    def of(cls, problems: Sequence[Problem], ks: Sequence[int]) -> Unjudged:
        """Count the unjudged answers of some problems."""
        answers = [(a, p.id) for p in problems for a in p.answers if a.value is None]
        counts = _counted((a.outcome, a.count) for a, _ in answers)
        first = next((f"{name}: {a.detail or a.outcome}" for a, name in answers), "")
        drawn, correct = ([getattr(p, name) for p in problems] for name in ("drawn", "correct"))
        enough = [k for k in ks if problems and k <= min(drawn)]
        pass_at = {k: float(pass_at_k(drawn, correct, k).mean()) for k in enough}
        return cls(counts.total(), sum(drawn), dict(counts), first, pass_at)

    def sentence(self) -> str:
        """Say how many there are and what they could change; empty where all answers are judged."""
        if not self.samples:
            return ""
        kinds = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items())
        worst = ", ".join(f"Pass@{k} {100 * value:.1f}" for k, value in self.pass_at.items())
        share = f"{self.samples} of {self.drawn} answers ({100 * self.samples / self.drawn:.1f} %)"
        return f"{share} are not judged ({kinds}; the first is {self.first}); counted as wrong: {worst}"


def clusters_of(problems: Sequence[Problem]) -> list[str] | None:
    """Return a label for every problem, its own id where it has no cluster; None if none of them has one."""
    if all(p.cluster is None for p in problems):
        return None
    return [f"problem {p.id}" if p.cluster is None else f"cluster {p.cluster}" for p in problems]


def _counted(pairs: Any) -> Counter[str]:
    counts: Counter[str] = Counter()
    for key, count in pairs:
        counts[key] += count
    return counts
