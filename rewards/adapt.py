"""Your own reward in any of the shapes that people write: as TRL takes it, or as a judge of one completion."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, SupportsIndex

from ..data.user_code import described, place_of
from .base import Reward, Verdict, as_verdict, error_verdict, finished

TRL_ARGUMENTS = frozenset(
    ("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric", "environments")
)
"""What TRL passes beside the columns of the rows."""
SHAPES = (
    "give `f(completions, **columns)` as TRL takes it, `judge(completion, row)`, a class with either method, or a "
    "`quince.rewards.base.Reward`"
)


def adapted(found: Any, options: Mapping[str, Any], path: str) -> Reward:
    """Your object as a reward.

    Args:
        found: A `Reward` or its class; a function `f(completions, **columns)` that returns a number or None for each
            completion; a function `judge(completion, row)` that returns a number, a truth value, None or a `Verdict`;
            or a class with a method `judge` or `__call__` like these. All may be `async`.
        options: Keyword arguments for a class when it is made, for a function at each call.
        path: Its import path, for messages.

    Raises:
        ValueError: It has none of these shapes, or does not take the options; the message names its line.
    """
    if inspect.isclass(found):
        try:
            found, options = found(**options), {}
        except Exception as error:
            raise ValueError(f"{place_of(found)}: cannot be made with {dict(options)}: {described(error)}") from error
    if isinstance(found, Reward):
        if options:
            raise ValueError(f"{place_of(found)}: a reward that is made already takes no options; name its class")
        if type(found).judge is Reward.judge and type(found).judge_batch is Reward.judge_batch:
            raise ValueError(f"{place_of(found)}: a reward without `judge` · {SHAPES}")
        if not isinstance(getattr(found, "name", None), str):
            raise ValueError(f"{place_of(found)}: a reward without `name: ClassVar[str]`")
        return found
    name = path.rpartition(":")[2]
    function = getattr(found, "judge", found)
    if not callable(function):
        raise ValueError(f"{place_of(found)}: {type(found).__name__} cannot be called · {SHAPES}")
    try:
        taken = inspect.signature(function).parameters
    except ValueError:
        raise ValueError(f"{path}: its parameters are not known · {SHAPES}") from None
    keywords = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())
    named = {key: value for key, value in taken.items() if value.kind not in (value.VAR_POSITIONAL, value.VAR_KEYWORD)}
    if unknown := [option for option in options if option not in named and not keywords]:
        raise ValueError(f"{place_of(found)}: takes no option {', '.join(unknown)}, only {', '.join(named)}")
    free = [key for key, value in named.items() if value.default is value.empty and key not in options]
    if "completions" in named:
        columns = tuple(key for key in free if key not in TRL_ARGUMENTS)
        accepted = None if keywords else frozenset(named)
        return FunctionReward(function, name, columns, accepted, dict(options))
    if len(free) == 2 and "completion" in free[0]:
        return JudgeReward(function, name, dict(options))
    raise ValueError(f"{place_of(found)}: takes ({', '.join(named)}) · {SHAPES}")


class Completion(str):
    """A completion as text that also answers `completion[0]["content"]`, as TRL's functions for chats ask it."""

    def __getitem__(self, index: SupportsIndex | slice | str) -> str:
        """The text for `content`, the role for `role`; by number a message that is the text itself."""
        if isinstance(index, str):
            return str(self) if index == "content" else {"role": "assistant"}[index]
        return Completion(self) if index in (0, -1) else str(self)[index]


@dataclass(frozen=True)
class _Own(Reward):
    """What adapted rewards share; `name` and `columns` are those of the object and not of its class."""

    function: Callable[..., Any]
    name: str  # type: ignore[misc]  # of the object


@dataclass(frozen=True)
class FunctionReward(_Own):
    """A reward function as TRL takes it: all completions of a batch, and the rows' columns as lists.

    Rows that lack one of `columns` are not judged; `accepted` are the names that it takes, None where it takes any.
    """

    columns: tuple[str, ...] = ()  # type: ignore[misc]  # of the object
    accepted: frozenset[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reads_all(self) -> bool:  # type: ignore[override]  # it depends on the function
        """Whether the function takes any column."""
        return self.accepted is None

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the base."""
        return self.judge_batch([completion], [row])[0]

    def judge_batch(self, completions: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
        """See the base; the function is called once, with the rows that have what it needs."""
        verdicts = [self._unjudgeable(row) for row in rows]
        places = [index for index, verdict in enumerate(verdicts) if verdict is None]
        if not places:
            return [verdict for verdict in verdicts if verdict is not None]
        chosen = [rows[index] for index in places]
        try:
            values = finished(self.function(**self._arguments([completions[index] for index in places], chosen)))
            if not isinstance(values, Sequence) or len(values) != len(places):
                raise ValueError(f"returned {values!r:.60} for {len(places)} completions: give a list of one each")
            judged = [as_verdict(value, self) for value in values]
        except Exception as error:
            judged = [error_verdict(self.name, row, error) for row in chosen]
        for index, verdict in zip(places, judged, strict=True):
            verdicts[index] = verdict
        return [verdict for verdict in verdicts if verdict is not None]

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """See the base; the function gets the prompts too."""
        return super().__call__(prompts, completions, **columns | {"prompt": list(prompts)})

    def _arguments(self, completions: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        names = dict.fromkeys(name for row in rows for name in row if name != "verdicts")
        values: dict[str, Any] = {name: [row.get(name) for row in rows] for name in names}
        values |= {"prompts": values.pop("prompt", [None] * len(rows)), "trainer_state": None}
        values |= {"completions": [Completion(text) for text in completions], "log_extra": _drop, "log_metric": _drop}
        taken = {name: value for name, value in values.items() if self.accepted is None or name in self.accepted}
        return taken | dict(self.options)


@dataclass(frozen=True)
class JudgeReward(_Own):
    """A judge of one completion and its row."""

    reads_all: ClassVar[bool] = True

    options: Mapping[str, Any] = field(default_factory=dict)

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the base."""
        return as_verdict(self.function(completion, row, **self.options), self)


def _drop(*_: Any, **__: Any) -> None:
    """TRL's hooks for logging have nothing to write to here."""
