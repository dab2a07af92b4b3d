"""One evaluated problem with its distinct completions and their verdicts, and the file that keeps such problems."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...data.cache import FileError, read_log
from ...rewards.base import Outcome
from .statistics import pass_at_k

SAMPLES_FILE = "samples.jsonl"


class RecordError(ValueError):
    """A record folder that cannot be read, with what to do about it."""


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


class SampleLog:
    """Appends finished problems under a temporary name that holds the settings' hash, so nothing mixes.

    Args:
        folder: The record folder.
        settings_hash: Of the evaluation that writes.
    """

    def __init__(self, folder: Path, settings_hash: str) -> None:
        self._hash = settings_hash
        self._partial = folder / f"samples.{settings_hash}.partial"
        self._final = folder / SAMPLES_FILE

    def read(self) -> list[Problem]:
        """Return the problems on file; a line that was cut off by an interruption is dropped from it.

        A finished file of the same settings that misses problems is taken up again.
        """
        if not self._partial.exists():
            if not self._final.exists() or samples_hash(self._final) != self._hash:
                return []
            shutil.copyfile(self._final, self._partial)
        return _problems(self._partial, read_log(self._partial, mend=True))

    def append(self, problems: Sequence[Problem]) -> None:
        """Write problems and see them to the disk."""
        if not self._partial.exists() or self._partial.stat().st_size == 0:
            self._partial.parent.mkdir(parents=True, exist_ok=True)
            self._partial.write_text(json.dumps({"settings_hash": self._hash}) + "\n", encoding="utf-8")
        with self._partial.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(p.as_dict(), ensure_ascii=False) + "\n" for p in problems)
            file.flush()
            os.fsync(file.fileno())

    def rewrite(self, problems: Sequence[Problem]) -> None:
        """Keep exactly these problems."""
        self.drop()
        self.append(problems)

    def finish(self) -> Path:
        """Give the file its final name."""
        os.replace(self._partial, self._final)
        return self._final

    def drop(self) -> None:
        """Forget the answers."""
        self._partial.unlink(missing_ok=True)

    def finished(self) -> list[Problem] | None:
        """Return the problems of a finished evaluation with the same settings, None if there is none."""
        if not self._final.exists() or samples_hash(self._final) != self._hash:
            return None
        return read_samples(self._final, self._hash)


def samples_hash(path: Path) -> str | None:
    """Return the hash in the header of a file of answers."""
    with path.open("rb") as file:
        try:
            return json.loads(file.readline()).get("settings_hash")
        except (ValueError, AttributeError):
            return None


def read_samples(path: Path, settings_hash: str) -> list[Problem]:
    """Read a finished file of answers; a last line that is cut off is left out with a warning.

    Raises:
        RecordError: The answers were made with other settings than the record says, or a line is broken.
    """
    found = samples_hash(path)
    if found != settings_hash:
        raise RecordError(f"{path}:1 · made with settings {found}, the record says {settings_hash} · evaluate again")
    try:
        return _problems(path, read_log(path))
    except FileError as error:
        raise RecordError(f"{error} · evaluate again") from error


def _problems(path: Path, lines: Sequence[Any]) -> list[Problem]:
    problems = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            problems.append(Problem.from_dict(line))
        except (KeyError, TypeError) as error:
            raise RecordError(f"{path}:{number} · not a problem ({error}) · evaluate again") from error
    return problems
