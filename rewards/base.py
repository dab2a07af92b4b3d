"""What a reward is: a frozen, picklable judge of one completion, callable as TRL calls reward functions."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, get_args

from ..data import limits
from ..data.options import check_options, did_you_mean
from ..data.user_code import described

Outcome = Literal["correct", "wrong", "unparseable", "timeout", "error", "skipped"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

REWARDS: dict[str, str] = {
    "sql_execution": "quince.rewards.sql_execution.sql_reward:SqlExecution",
    "math": "quince.rewards.answers.math:MathAnswer",
    "countdown": "quince.rewards.answers.countdown:Countdown",
    "exact_match": "quince.rewards.answers.text:ExactMatch",
    "format": "quince.rewards.answers.text:Format",
    "length": "quince.rewards.answers.text:Length",
    "function_call": "quince.rewards.function_calling.function_call:FunctionCall",
    "bfcl": "quince.rewards.function_calling.bfcl:BfclCall",
    "capsule": "quince.rewards.capsule.capsule_reward:CapsuleReward",
}
"""Reward kinds, imported on first use: their graders import sqlglot or SymPy."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """One judgement.

    Attributes:
        value: The reward; `None` means "not judged" and is masked by the trainer, never read as 0.
        outcome: `correct` or `wrong`; `unparseable` (the answer cannot be read) or `timeout` (it ran into a limit of
            time, memory, depth or size), both worth the low end of the range; `error` (the judge or the gold failed)
            or `skipped` (the row cannot be judged, for example because its gold is empty), both not judged.
        detail: One short line for people.
    """

    value: float | None
    outcome: Outcome
    detail: str = ""


class AnswerLimit(Exception):
    """The answer ran into a limit of time, memory, depth or size; raised by a judge, it becomes a `timeout` verdict."""


class Reward:
    """Base of all rewards; a subclass is a frozen dataclass whose fields are its recipe options.

    Class attributes:
        name: Name in logs and in TRL's metrics.
        columns: Row columns that `judge` needs. A row in which one is `None` is skipped, so that one run can mix tasks.
        optional: Row columns that `judge` reads where they are there.
        reads_all: Whether it may read any column, so that none is left out.
        range: Lowest and highest value.
        patience_s: Seconds that `judge` may compute; an answer that takes longer is a `timeout`.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[tuple[str, ...]] = ()
    reads_all: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    patience_s: ClassVar[float] = 10.0

    def __post_init__(self) -> None:
        check_options(self, f"reward {getattr(self, 'name', type(self).__name__)}")

    @property
    def __name__(self) -> str:
        """The name under which TRL logs this reward."""
        return self.name

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """Judge one completion.

        In `judge_batch`, `AnswerLimit`, `MemoryError` and `RecursionError` become a `timeout` verdict, and whatever
        else it raises becomes an `error`.
        """
        raise NotImplementedError

    def judge_batch(self, completions: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
        """Judge completions against their rows, in order; nothing in a completion or a row makes it raise."""
        return [self._settled(row, partial(self.judge, text, row)) for text, row in zip(completions, rows, strict=True)]

    def canonical(self, completion: str, row: Mapping[str, Any]) -> str | None:
        """Identity of the solution for diversity metrics: equal strings are one solution, `None` is none."""
        return completion.strip() or None

    def gold_completion(self, row: Mapping[str, Any]) -> str | None:
        """A completion that this reward judges `correct`, made from the row's gold; `None` where there is none."""
        return None

    def near_misses(self, row: Mapping[str, Any]) -> list[str]:
        """Completions that are almost the gold one and that this reward must not judge `correct`."""
        return []

    def over_limit(self, detail: str) -> Verdict:
        """The verdict on an answer that ran into a limit: `timeout`, worth the low end of the range."""
        return Verdict(self.range[0], "timeout", detail[:200])

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """Rewards as TRL wants them: one float or `None` per completion.

        Args:
            prompts: Not used; TRL passes them.
            completions: Plain strings, or conversational completions (lists of messages).
            **columns: Row columns as lists, and TRL's own arguments, of which `log_metric` receives the
                share of each outcome as `outcome/<reward>/<outcome>`. Where rows bring a list `verdicts`, the
                pair of this reward's name and its verdict is added to it.

        Raises:
            ValueError: A column that this reward needs is not in the data.
        """
        missing = [column for column in self.columns if column not in columns]
        if missing:
            raise ValueError(
                f"reward {self.name} · column {', '.join(missing)} is not in the data · "
                f"choose a data source with {', '.join(self.columns)}, or another reward"
            )
        rows = _rows(columns, len(completions))
        verdicts = self.judge_batch([completion_text(item) for item in completions], rows)
        if columns.get("log_metric") is not None and verdicts:
            self.log(verdicts, columns["log_metric"])
        for row, verdict in zip(rows, verdicts, strict=True):
            row.get("verdicts", []).append((self.name, verdict))
        return [verdict.value for verdict in verdicts]

    def log(self, verdicts: Sequence[Verdict], log_metric: Callable[[str, float], None]) -> None:
        """Log a batch: the share of each outcome; a subclass may add to it."""
        counts = Counter(verdict.outcome for verdict in verdicts)
        # All six every time, zeros too: TRL averages what it was given, so an absent zero would inflate the mean.
        for outcome in OUTCOMES:
            log_metric(f"outcome/{self.name}/{outcome}", counts[outcome] / len(verdicts))

    def _unjudgeable(self, row: Mapping[str, Any]) -> Verdict | None:
        """The `skipped` verdict of a row that lacks a column this reward needs (a row of another task)."""
        for column in self.columns:
            if row.get(column) is None:
                where = f"row {row.get('id', '?')} · no {column} · reward {self.name} reads it"
                return Verdict(None, "skipped", f"{where} · give the row one, or leave it to another reward")
        return None

    def _settled(self, row: Mapping[str, Any], judge: Callable[[], Verdict]) -> Verdict:
        """A judgement, or the verdict on a row that cannot be judged, an answer over a limit or a judge that failed."""
        skipped = self._unjudgeable(row)
        if skipped is not None:
            return skipped
        try:
            with time_limit(self.patience_s):
                return as_verdict(judge(), self)
        except (AnswerLimit, MemoryError, RecursionError) as error:
            return self.over_limit(str(error) or type(error).__name__)
        except Exception as error:
            return error_verdict(self.name, row, error)


def time_limit(seconds: float) -> AbstractContextManager[None]:
    """Raise `AnswerLimit` in a block that takes longer; work that may never return belongs in `rewards.workers`."""
    return limits.time_limit(seconds, AnswerLimit(f"no judgement within {seconds:g} s"))


def finished(value: Any) -> Any:
    """What a function returned, or what it will return if it is `async`."""
    if not inspect.isawaitable(value):
        return value
    import asyncio  # half of the time that the command line takes to start

    async def wait() -> Any:
        return await value

    return asyncio.run(wait())


def as_verdict(value: Any, reward: Reward) -> Verdict:
    """What a judge returned as a verdict: a number or truth value is correct at the high end of the reward's range.

    Raises:
        ValueError: It is not finite, or neither a number, a truth value, None nor a verdict.
    """
    value = finished(value)
    if isinstance(value, Verdict):
        number = value.value
    elif value is None:
        return Verdict(None, "skipped", "not judged")
    else:
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise ValueError(f"reward {reward.name} returned {value!r:.60}: give a number, None or a Verdict") from None
    if number is not None and not math.isfinite(number):
        raise ValueError(f"reward {reward.name} returned {number}: give a finite number, or None for not judged")
    if isinstance(value, Verdict):
        return value
    return Verdict(number, "correct" if number is not None and number >= reward.range[1] else "wrong")


def error_verdict(name: str, row: Mapping[str, Any], error: Exception) -> Verdict:
    """The verdict for a judge that raised; logged, because it says that the grader is broken."""
    detail = described(error)[:200]
    _log.warning("reward %s failed on row %s and is masked: %s", name, row.get("id", "?"), detail)
    return Verdict(None, "error", detail)


def completion_text(completion: Any) -> str:
    """Text of a completion: the string itself, or the content of the last assistant message."""
    turns = [] if isinstance(completion, str) else reversed(completion)
    written = (turn.get("content") for turn in turns if turn.get("role", "assistant") == "assistant")
    content = completion if isinstance(completion, str) else next(written, None)
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content or ())


def _rows(columns: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Rows out of TRL's lists of columns, without what has not one value a completion (the trainer state)."""
    lists = {key: value for key, value in columns.items() if isinstance(value, list) and len(value) == count}
    return [{key: value[index] for key, value in lists.items()} for index in range(count)]


def reward_class(kind: str) -> type[Reward]:
    """The class of a reward kind.

    Raises:
        ValueError: Unknown kind; the message lists the known ones.
    """
    if kind not in REWARDS:
        hint = did_you_mean(kind, REWARDS)
        raise ValueError(f"reward kind · {kind!r} is unknown · one of {', '.join(REWARDS)} · {hint}".rstrip(" ·"))
    module, name = REWARDS[kind].split(":")
    return getattr(importlib.import_module(module), name)


def make_reward(kind: str, **options: Any) -> Reward:
    """Build a reward from its kind and options.

    Raises:
        ValueError: Unknown kind, unknown option, or an option out of its range.
    """
    cls = reward_class(kind)
    try:
        return cls(**options)
    except TypeError as error:
        known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        hint = did_you_mean(next((name for name in options if name not in known), ""), known)
        raise ValueError(f"reward {kind} · {error} · options are {', '.join(known)} · {hint}".rstrip(" ·")) from None
