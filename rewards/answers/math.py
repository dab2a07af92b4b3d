r"""Reward for final answers in mathematics, by math-verify in killable workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

from ...data.options import Positive, PositiveFloat
from ..base import Outcome, Reward, Verdict, error_verdict
from ..workers import TaskFailed, TaskTimeout, shared_pool
from .math_text import comparable, extract_answer, normal, settled

_GRADER = "quince.rewards.answers.math_grader:grade"
_MEMORY_BYTES = 2 * 2**30  # address space of a grader; SymPy takes about a quarter of a GiB of it
_LONGEST_ANSWER = 2_000  # characters; no gold answer of the supported benchmarks has 400
_VALUES: dict[str, float | None] = {"correct": 1.0, "wrong": 0.0, "unparseable": 0.0, "skipped": None}

Task = tuple[str, str]


@dataclass(frozen=True)
class MathAnswer(Reward):
    r"""1.0 when the final answer equals the row's `answer` (LaTeX), else 0.0.

    The final answer is the last `\boxed{...}`, else what follows the last `####`; a completion with neither is
    `unparseable`, worth 0.0. Equal text and whole numbers are settled here; the rest goes to math-verify in a worker
    that is killed at the deadline (`timeout`, not judged). A gold answer that cannot be read is `skipped`.

    Attributes:
        timeout_s: Deadline of one comparison, seconds.
        workers: Worker processes, shared by all rewards of a process with the same number.
    """

    timeout_s: PositiveFloat = 3.0
    workers: Positive = 2
    name: ClassVar[str] = "math"
    columns: ClassVar[tuple[str, ...]] = ("answer",)

    def __post_init__(self) -> None:
        if not (self.timeout_s > 0 and self.workers > 0):
            raise ValueError("reward math · timeout_s and workers must be above 0")

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        return self.judge_batch([completion], [row])[0]

    def judge_batch(self, completions: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
        """See the base; equal comparisons are made once, the workers' ones side by side."""
        firsts: list[Verdict | Task] = []
        for completion, row in zip(completions, rows, strict=True):
            try:
                firsts.append(self._unjudgeable(row) or _by_text(completion, row["answer"]))
            except Exception as error:
                firsts.append(error_verdict(self.name, row, error))
        tasks = list(dict.fromkeys(first for first in firsts if isinstance(first, tuple)))
        graded = dict(zip(tasks, self.grade(tasks), strict=True))
        return [graded[first] if isinstance(first, tuple) else first for first in firsts]

    def canonical(self, completion: str, row: Mapping[str, Any]) -> str | None:
        """Normal form of the final answer."""
        answer = extract_answer(completion)
        return normal(answer) or None if answer is not None else None

    def grade(self, tasks: Sequence[Task]) -> list[Verdict]:
        """Verdicts of math-verify on pairs of gold and final answer, in normal form.

        Raises:
            ModuleNotFoundError: math-verify is not installed.
        """
        if not tasks:
            return []
        if find_spec("math_verify") is None:
            raise ModuleNotFoundError("reward math · math-verify is not installed · pip install 'quince[train]'")
        pool = shared_pool(_GRADER, self.workers, _MEMORY_BYTES)
        messages = [{"gold": gold, "answer": answer} for gold, answer in tasks]
        return [_verdict(reply) for reply in pool.run_all(messages, self.timeout_s)]


def _by_text(completion: str, gold: str) -> Verdict | Task:
    """A verdict where the text is enough, else what a worker should compare."""
    gold = normal(str(gold))
    if not gold:
        return Verdict(None, "skipped", "the gold answer is empty")
    found = extract_answer(completion)
    answer = normal(found) if found is not None else ""
    if not answer or len(answer) > _LONGEST_ANSWER:
        return Verdict(0.0, "unparseable", "no final answer" if not answer else f"{len(answer)} characters")
    equal = settled(gold, answer)
    if equal is None:
        return comparable(gold, answer)
    return Verdict(1.0, "correct") if equal else Verdict(0.0, "wrong", answer[:60])


def _verdict(reply: Outcome | TaskTimeout | TaskFailed) -> Verdict:
    if isinstance(reply, TaskTimeout):
        return Verdict(None, "timeout", str(reply))
    if isinstance(reply, TaskFailed):
        return Verdict(None, "error", str(reply))
    return Verdict(_VALUES[reply], reply)
