"""Reward by the rules of BFCL's own checker, for scores that stand beside its leaderboard.

The rules of `ast_checker` of bfcl-eval 2026.3.23 (single turns, calls as JSON), reimplemented. `function_call` judges
by stricter rules, see `docs/results/function_call_oracle.md`. What BFCL accepts by accident is accepted here, and what
makes its checker raise is wrong here. `scripts/bench/function_calls/bfcl_reward.py` compares both on every question.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...data.function_calling.wire.calls import Call
from ...data.function_calling.wire.formats import FormatName, parse_calls
from ..base import Reward, Verdict
from .call_scoring import answer_part
from .function_call import FunctionCall

Answer = Mapping[str, Sequence[Any]]
"""Accepted values by parameter."""

_TYPES: dict[str, type] = {"integer": int, "float": float, "boolean": bool, "dict": dict}
_TYPES |= {"string": str, "any": str, "array": list, "tuple": list}
_MARKS = re.compile(r"[ \,\.\/\-\_\*\^]")
_NOT_READABLE = (KeyError, TypeError, AttributeError, IndexError, StopIteration)
"""What BFCL's checker raises on documents, answers and calls that it does not expect."""


@dataclass(frozen=True)
class BfclCall(Reward):
    """1 if BFCL's checker accepts the calls of a reply, else 0; column `bfcl` is what the source `bfcl` writes.

    Where nothing may be called a reply without calls is right, whatever it says; in `live_relevance` any call is.

    Attributes:
        format: Wire format in which calls are written, one of `data.function_calling.wire.FORMATS`.
    """

    format: FormatName = "hermes"
    name: ClassVar[str] = "bfcl"
    columns: ClassVar[tuple[str, ...]] = ("bfcl",)

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        record = json.loads(row["bfcl"])
        parsed = parse_calls(answer_part(completion), self.format)
        if accepts(record, parsed.calls):
            return Verdict(1.0, "correct", f"{len(parsed.calls)} calls")
        if parsed.problems and record["answers"] is not None:
            return Verdict(0.0, "unparseable", parsed.problems[0])
        return Verdict(0.0, "wrong", f"{len(parsed.calls)} calls")

    def canonical(self, completion: str, row: Mapping[str, Any]) -> str | None:
        """See `FunctionCall.canonical`."""
        return FunctionCall(self.format).canonical(completion, row)

    def gold_completion(self, row: Mapping[str, Any]) -> str | None:
        """The calls of column `gold`, if the row has it and BFCL accepts them."""
        gold = FunctionCall(self.format).gold_completion(row)
        return gold if gold is not None and self.judge(gold, row).outcome == "correct" else None

    def near_misses(self, row: Mapping[str, Any]) -> list[str]:
        """Those of `FunctionCall` that BFCL refuses too."""
        misses = FunctionCall(self.format).near_misses(row)
        return [miss for miss in misses if self.judge(miss, row).outcome != "correct"]


def accepts(record: Mapping[str, Any], calls: Sequence[Call]) -> bool:
    """Whether BFCL takes these calls for right.

    The record has `category`, `functions` (documents in BFCL's types) and `answers`, its `ground_truth`; null where
    only whether to call is known.
    """
    category, answers = record["category"], record["answers"]
    if answers is None:
        return bool(calls) == category.endswith("_relevance")
    if len(calls) != len(answers) if re.search("parallel|multiple", category) else len(calls) != 1:
        return False
    try:
        if "parallel" in category:
            return _accepts_all(record["functions"], calls, answers)
        function = record["functions"][0] if "multiple" not in category else _named(record["functions"], answers[0])
        return _accepts_call(function, calls[0], answers[0])
    except _NOT_READABLE:
        return False


def _accepts_all(functions: Sequence[Any], calls: Sequence[Call], answers: Sequence[Mapping[str, Answer]]) -> bool:
    """Each answer takes the first call that is left and fits, so that the order of answers matters."""
    left = list(calls)
    for answer in answers:
        function = _named(functions, answer)
        fitting = next((index for index, call in enumerate(left) if _accepts_call(function, call, answer)), None)
        if fitting is None:
            return False
        del left[fitting]
    return True


def _named(functions: Sequence[Mapping[str, Any]], answer: Mapping[str, Answer]) -> Mapping[str, Any]:
    """Raises StopIteration where the answer's function is not among the documents."""
    return next(function for function in functions if function["name"] == next(iter(answer)))


def _accepts_call(function: Mapping[str, Any], call: Call, answer: Mapping[str, Answer]) -> bool:
    accepted = next(iter(answer.values()))
    properties, required = function["parameters"]["properties"], function["parameters"]["required"]
    if call.name != function["name"] or any(name not in call.arguments for name in required):
        return False
    for name, value in call.arguments.items():
        if name not in properties or name not in accepted:
            return False
        if not _accepts_value(value, accepted[name], properties[name]):
            return False
    return all(name in call.arguments or "" in values for name, values in accepted.items())


def _accepts_value(value: Any, accepted: Sequence[Any], schema: Mapping[str, Any]) -> bool:
    wanted = _TYPES[schema["type"]]
    inner = _TYPES[schema["items"]["type"]] if wanted is list else None
    if wanted is float and type(value) is int:
        value = float(value)
    fits, variable = _typed(value, accepted, wanted, inner)
    if not fits:
        return False
    if variable:
        return value in accepted
    if wanted is dict:
        return any(_accepts_object(value, other) for other in accepted if other != "")
    if inner is dict:
        return any(_accepts_objects(value, other) for other in accepted)
    if wanted is str:
        return _plain(value) in [_plain(other) for other in accepted if type(other) is str]
    if wanted is list:
        return [_plain(item) for item in value] in [[_plain(item) for item in _items(other)] for other in accepted]
    return value in accepted


def _typed(value: Any, accepted: Sequence[Any], wanted: type, inner: type | None) -> tuple[bool, bool]:
    """Whether a value has the right type, and whether it stands for a variable: then it is compared as it is.

    Where the first accepted value is not of the type in the schema, BFCL takes it for the name of a variable.
    """
    listed = next((type(other) for other in accepted if other != ""), None)
    if type(value) is wanted:
        fits = inner is None or (isinstance(value, list) and any(_items_typed(value, a, inner) for a in accepted))
        return fits, listed is not None and listed is not wanted
    return listed is not None and type(value) is listed, True


def _items_typed(value: Sequence[Any], accepted: Any, inner: type) -> bool:
    return type(accepted) is not list or all(_typed(item, accepted, inner, None)[0] for item in value)


def _accepts_object(value: Mapping[str, Any], accepted: Mapping[str, Any]) -> bool:
    known = all(
        name in accepted and _plain(item) in [_plain(other) for other in _items(accepted[name])]
        for name, item in value.items()
    )
    return all(name in value or "" in other for name, other in accepted.items()) and known


def _accepts_objects(value: Sequence[Any], accepted: Sequence[Any]) -> bool:
    """An empty list equals the empty text that marks an optional parameter: both have no items."""
    return len(value) == len(accepted) and all(
        other != "" and _accepts_object(item, other) for item, other in zip(value, accepted, strict=True)
    )


def _items(value: Any) -> list[Any]:
    """What BFCL reads by index: the items of a list, the letters of a text."""
    if not isinstance(value, list | str):
        raise TypeError(f"{value!r} is not listed")
    return list(value)


def _plain(value: Any) -> Any:
    """A text without case, spaces and `,./-_*^`, with one kind of quote; anything else as it is."""
    return _MARKS.sub("", value).lower().replace("'", '"') if type(value) is str else value
