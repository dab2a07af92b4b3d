"""One evaluated problem with its distinct completions and their verdicts, and the file that keeps such problems."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
        count: Samples that are exactly this completion.
        correct: Whether the value is the top of the reward's range.
        solution: Canonical form of a correct completion, equal for completions with the same idea.
        logprob: Log-probability of the completion, nats, at temperature 1.
        truncated: Whether it reached the length limit.
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
    """One row with its completions.

    Attributes:
        question: The last user message, for display.
        reference: The columns the reward reads, for display.
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
        """Samples judged; one that could not be judged does not count as wrong."""
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

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Problem:
        """Return the problem that `dataclasses.asdict` described."""
        greedy = data["greedy"]
        answers = tuple(Answer(**answer) for answer in data["answers"])
        return cls(**{**data, "answers": answers, "greedy": Answer(**greedy) if greedy else None})


@dataclass(frozen=True)
class Unjudged:
    """The samples of an evaluation that could not be judged, and the worst they could make of its Pass@k.

    Attributes:
        first: Verdict on the first of them.
        pass_at: Pass@k with every unjudged sample counted as wrong, by k.
    """

    samples: int
    drawn: int
    outcomes: dict[str, int]
    first: str
    pass_at: dict[int, float]

    @classmethod
    def of(cls, problems: Sequence[Problem], ks: Sequence[int]) -> Unjudged:
        """Count the unjudged samples of some problems."""
        answers = [(a, p.id) for p in problems for a in p.answers if a.value is None]
        counts = _counted((a.outcome, a.count) for a, _ in answers)
        first = next((f"{name}: {a.detail or a.outcome}" for a, name in answers), "")
        drawn, correct = ([getattr(p, name) for p in problems] for name in ("drawn", "correct"))
        enough = [k for k in ks if problems and k <= min(drawn)]
        pass_at = {k: float(pass_at_k(drawn, correct, k).mean()) for k in enough}
        return cls(counts.total(), sum(drawn), dict(counts), first, pass_at)

    def sentence(self) -> str:
        """Say how many there are and what they could change; empty if there are none."""
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


def _counted(pairs: Iterable[tuple[str, int]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for key, count in pairs:
        counts[key] += count
    return counts


class SampleLog:
    """Appends finished problems to a partial file named after the settings' hash, so that settings never mix."""

    def __init__(self, folder: Path, settings_hash: str) -> None:
        self._hash = settings_hash
        self._partial = folder / f"samples.{settings_hash}.partial"
        self._final = folder / SAMPLES_FILE

    def read(self) -> list[Problem]:
        """Return the problems logged so far; a last line cut off by an interruption is removed.

        Without a partial file, a finished one of the same settings is continued.
        """
        if not self._partial.exists():
            if not self._final.exists() or _hash_of(self._final) != self._hash:
                return []
            shutil.copyfile(self._final, self._partial)
        return _problems(self._partial, read_log(self._partial, mend=True))

    def append(self, problems: Sequence[Problem]) -> None:
        """Write problems and flush them to disk."""
        if not self._partial.exists() or self._partial.stat().st_size == 0:
            self._partial.parent.mkdir(parents=True, exist_ok=True)
            self._partial.write_text(json.dumps({"settings_hash": self._hash}) + "\n", encoding="utf-8")
        with self._partial.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(p), ensure_ascii=False) + "\n" for p in problems)
            file.flush()
            os.fsync(file.fileno())

    def rewrite(self, problems: Sequence[Problem]) -> None:
        """Replace what is logged."""
        self.drop()
        self.append(problems)

    def finish(self) -> Path:
        """Give the file its final name."""
        os.replace(self._partial, self._final)
        return self._final

    def drop(self) -> None:
        """Delete the partial file."""
        self._partial.unlink(missing_ok=True)

    def finished(self) -> list[Problem] | None:
        """Return the problems of a finished evaluation with the same settings, None if there is none."""
        if not self._final.exists() or _hash_of(self._final) != self._hash:
            return None
        return read_samples(self._final, self._hash)


def _hash_of(path: Path) -> str | None:
    """The settings' hash in the header of a file of samples."""
    with path.open("rb") as file:
        try:
            return json.loads(file.readline()).get("settings_hash")
        except (ValueError, AttributeError):
            return None


def read_samples(path: Path, settings_hash: str) -> list[Problem]:
    """Read a finished file of samples; a last line that is cut off is left out with a warning.

    Raises:
        RecordError: The samples were made with other settings than the record says, or a line is broken.
    """
    found = _hash_of(path)
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
