"""Reward for final answers in mathematics; algebra runs in worker processes that can be killed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, ClassVar

from ...data.options import Positive, PositiveFloat
from ..base import AnswerLimit, Outcome, Reward, Verdict, error_verdict, time_limit
from ..workers import TaskFailed, TaskTimeout, shared_pool
from .final_answer import AnswerFormat, check_format, final_answer, written
from .math_text import listed, normal, settled, without_percent, without_prefix
from .math_units import ratio, split_unit

_GRADER = "quince.rewards.answers.math_grader:grade"
_MEMORY_BYTES = 2 * 2**30  # address space of a grader; SymPy takes about a quarter of a GiB of it
_LONGEST_ANSWER = 2_000  # characters; no gold answer of the supported benchmarks has 400
_PERCENT_ASKED = re.compile(r"percent|%", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?[\d.]+")

Task = tuple[tuple[str, str], ...]
Reply = Outcome | TaskTimeout | TaskFailed


@dataclass(frozen=True)
class MathAnswer(Reward):
    r"""1.0 when the final answer equals the row's `answer` (LaTeX or a number, or a list of accepted ones), else 0.0.

    Equal text and numbers are settled here (`math_text`); the rest is compared by algebra (`math_grader`) in a worker
    that is killed at the deadline (`timeout`, worth 0.0). A completion without a final answer is `unparseable`, worth
    0.0; an empty gold answer is `skipped`, and one at which the comparison with itself fails is an `error`.

    Attributes:
        answer_format: Where the final answer stands (`final_answer`): `boxed`, `hashes` (####), `answer_line`
            ("Answer:"), `tag` (<answer>), `last_number`, or `auto`, the last mark of the first four.
        timeout_s: Deadline of one comparison, seconds.
        workers: Worker processes, shared by all rewards of a process with the same number.
    """

    answer_format: AnswerFormat = "auto"
    timeout_s: PositiveFloat = 3.0
    workers: Positive = 2
    name: ClassVar[str] = "math"
    columns: ClassVar[tuple[str, ...]] = ("answer",)
    optional: ClassVar[tuple[str, ...]] = ("prompt",)

    def __post_init__(self) -> None:
        check_format(self.answer_format, self.name)
        if not (self.timeout_s > 0 and self.workers > 0):
            raise ValueError("reward math · timeout_s and workers must be above 0")

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        return self.judge_batch([completion], [row])[0]

    def judge_batch(self, completions: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
        """See the base; each distinct comparison is made once, and workers run in parallel."""
        firsts: list[Verdict | list[Task]] = []
        for completion, row in zip(completions, rows, strict=True):
            try:
                with time_limit(self.patience_s):
                    firsts.append(self._unjudgeable(row) or self._by_text(completion, row))
            except (AnswerLimit, MemoryError, RecursionError) as error:
                firsts.append(self.over_limit(str(error)))
            except Exception as error:
                firsts.append(error_verdict(self.name, row, error))
        tasks = list(dict.fromkeys(task for first in firsts if isinstance(first, list) for task in first))
        graded = dict(zip(tasks, self.grade(tasks), strict=True))
        return [
            first if isinstance(first, Verdict) else max((graded[task] for task in first), key=_rank)
            for first in firsts
        ]

    def canonical(self, completion: str, row: Mapping[str, Any]) -> str | None:
        """Normal form of the final answer."""
        answer = final_answer(completion, self.answer_format)
        return normal(answer) or None if answer is not None else None

    def gold_completion(self, row: Mapping[str, Any]) -> str | None:
        """The gold answer in the reward's format."""
        golds = _golds(row)
        return written(golds[0], self.answer_format) if golds else None

    def near_misses(self, row: Mapping[str, Any]) -> list[str]:
        """The gold answer with its first number one more, doubled, and its negative."""
        wrong = []
        for gold in _golds(row)[:1]:
            more = re.sub(r"\d+", lambda digits: str(int(digits[0]) + 1), gold, count=1)
            wrong += [more] if more != gold else []
            wrong += [f"2({gold})", f"-({gold})"] if _NUMBER.fullmatch(gold) and gold.strip("-0.") else []
        made = ((text, written(text, self.answer_format)) for text in wrong)
        return [completion for text, completion in made if final_answer(completion, self.answer_format) == text]

    def grade(self, tasks: Sequence[Task]) -> list[Verdict]:
        """Verdicts of the workers on pairs of gold and final answer, each in a few spellings.

        Raises:
            ModuleNotFoundError: math-verify is not installed.
        """
        if not tasks:
            return []
        if find_spec("math_verify") is None:
            raise ModuleNotFoundError("reward math · math-verify is not installed · pip install 'quince[train]'")
        pool = shared_pool(_GRADER, self.workers, _MEMORY_BYTES)
        replies = pool.run_all([{"pairs": task} for task in tasks], self.timeout_s)
        return [self._verdict(reply, task[0][0]) for task, reply in zip(tasks, replies, strict=True)]

    def _by_text(self, completion: str, row: Mapping[str, Any]) -> Verdict | list[Task]:
        """A verdict where the text is enough, else what a worker should compare."""
        golds = _golds(row)
        if not golds:
            return Verdict(None, "skipped", "the gold answer is empty")
        found = final_answer(completion, self.answer_format)
        if found is None or not normal(found[: _LONGEST_ANSWER + 1]):
            return Verdict(0.0, "unparseable", "no final answer")
        if len(found) > _LONGEST_ANSWER:
            return Verdict(0.0, "unparseable", f"{len(found)} characters")
        asked = bool(_PERCENT_ASKED.search(str(row.get("prompt") or "")))
        compared = [_compared(gold, found, asked) for gold in golds]
        if True in compared:
            return Verdict(1.0, "correct")
        tasks = [task for task in compared if isinstance(task, tuple)]
        return tasks or Verdict(0.0, "wrong", found[:60])

    def _verdict(self, reply: Reply, gold: str) -> Verdict:
        if isinstance(reply, TaskTimeout) and _is_heavy(gold, self.workers, self.timeout_s):
            return Verdict(None, "error", f"the gold answer {gold[:60]} takes too long to compare")
        if isinstance(reply, TaskTimeout):
            return self.over_limit(str(reply))
        if isinstance(reply, TaskFailed):
            return Verdict(None, "error", str(reply))
        return Verdict(float(reply == "correct"), reply)


@lru_cache(maxsize=1024)
def _is_heavy(gold: str, workers: int, timeout_s: float) -> bool:
    """Whether a gold answer cannot even be compared with 1 in time: then no answer is at fault."""
    if _NUMBER.fullmatch(gold):
        return False
    pool = shared_pool(_GRADER, workers, _MEMORY_BYTES)
    [reply] = pool.run_all([{"pairs": [(gold, "1")]}], max(timeout_s, 2.0))
    return isinstance(reply, TaskTimeout)


def _golds(row: Mapping[str, Any]) -> list[str]:
    """The accepted answers of a row that have text and braces that close."""
    found = row.get("answer")
    answers = found if isinstance(found, list | tuple) else [found]
    whole = (int(each) if isinstance(each, float) and each.is_integer() else each for each in answers)
    texts = ["" if each is None else str(each) for each in whole]
    braces = [(text.count(b) - text.count("\\" + b) for b in "{}") for text in texts]
    return [text for text, (left, right) in zip(texts, braces, strict=True) if normal(text) and left == right]


def _compared(gold: str, answer: str, percent_asked: bool) -> bool | Task:
    """Whether a final answer is a gold answer, or what a worker should compare."""
    if normal(gold) == normal(answer):
        return True
    (gold, gold_percent), (answer, answer_percent) = map(without_percent, (listed(gold), listed(answer)))
    (gold, gold_unit), (answer, answer_unit) = split_unit(gold), split_unit(answer)
    size = ratio(gold_unit, answer_unit)
    if size is None:
        return False
    left, right = normal(gold), normal(answer)
    left, right = without_prefix(left, right), without_prefix(right, left)
    pairs = [(gold, answer), (left, right)] if (left, right) == (normal(gold), normal(answer)) else [(left, right)]
    if size != 1:
        pairs = [(left, rf"({right})\cdot\frac{{{size.numerator}}}{{{size.denominator}}}")]
    if gold_percent != answer_percent:
        hundredths = (rf"\frac{{{left}}}{{100}}", right) if gold_percent else (left, rf"\frac{{{right}}}{{100}}")
        pairs = [hundredths, (left, right)] if percent_asked else [hundredths]
    known = [settled(*map(normal, pair)) for pair in pairs]
    if True in known:
        return True
    return tuple(pair for pair, verdict in zip(pairs, known, strict=True) if verdict is None) or False


def _rank(verdict: Verdict) -> int:
    return ("unparseable", "wrong", "timeout", "error", "correct").index(verdict.outcome)
