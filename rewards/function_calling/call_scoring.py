"""The one scorer of function calling: used by evaluation, by the reward and to check data.

It is strict (format, decision, every call and every argument count) and total (any text gets a score). Text beside a
call is allowed and reported. What precedes the last `</think>` is not part of the reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...data.function_calling.check.row_view import Decision
from ...data.function_calling.wire.calls import Parsed
from ...data.function_calling.wire.formats import parse_calls, parse_tolerant
from .call_alignment import CallScore, match_calls
from .gold_calls import Gold, read_gold, read_tools
from .messages import decision_of, in_language, named_slots, states

ERRORS = (
    "mute",  # the reply is empty
    "format",  # a call that cannot be read, or in another format
    "no_decision",  # neither a call nor words
    "unwarranted_call",  # a call where none is right
    "no_call",  # words where a call is right
    "wrong_decision",  # the wrong one of ask, refuse and answer
    "hallucinated_tool",  # a call of a tool that the row does not list
    "wrong_tool",  # a listed tool in place of another
    "missing_call",  # fewer calls than are right
    "duplicate_call",  # a call twice
    "extra_call",  # more calls than are right
    "unknown_argument",  # not in the tool's schema
    "missing_argument",
    "extra_argument",  # in the schema, but not asked for
    "null_argument",
    "wrong_type",
    "wrong_value",
    "invalid_call",  # the row accepts any valid call, and this one breaks its schema
    "wrong_slot",  # asks for something, but for nothing that is missing
    "not_grounded",  # the answer does not state what it must
    "wrong_language",
)
"""Every label of an error; of several the first in this order is reported."""
_OF_ARGUMENT = {name: f"{name}_argument" for name in ("unknown", "missing", "extra", "null")}
_OF_ARGUMENT |= {"type": "wrong_type", "value": "wrong_value"}


@dataclass(frozen=True)
class Score:
    """The score of a reply against its row.

    Attributes:
        calls_ok: Whether its calls are the right ones, no more and no fewer; where none is right, that there is none.
        error: Label of the first error, a word of `ERRORS`; "" if exact.
        asked_right_slot: For a question where one is right: whether it names a missing parameter. None if not judged.
        grounded: For an answer where one is right: whether it states what it must. None if not judged.
        language_ok: Whether its words are of the row's language; None without words, without a language, or if unclear.
        problems: Problems of format, as in `data.function_calling.wire.calls.PROBLEMS`.
        tolerant_exact: `exact`, but read in any format and with repairs.
    """

    decision: Decision
    gold_decision: Decision
    decision_ok: bool
    calls_ok: bool
    exact: bool
    error: str
    calls: tuple[CallScore, ...]
    hallucinated: tuple[str, ...]
    asked_right_slot: bool | None
    slots_named: float
    grounded: bool | None
    language_ok: bool | None
    text: str
    problems: tuple[str, ...]
    tolerant_exact: bool


def score(completion: str, row: Mapping[str, Any], format: str = "hermes") -> Score:
    """Score a reply as generated, with tool tags and without special tokens, in a wire format of `FORMATS`.

    The row has `gold`, and `tools`, `language`, `prompt` as far as it has them.

    Raises:
        RowError: The row's gold or tools are malformed. No completion makes it raise.
    """
    reply = answer_part(completion)
    parsed = parse_calls(reply, format)
    strict = score_parsed(parsed, row)
    if not parsed.problems:
        return strict
    return replace(strict, tolerant_exact=score_parsed(parse_tolerant(reply), row).exact)


def answer_part(completion: str) -> str:
    """What follows the last `</think>`."""
    return completion.rsplit("</think>", 1)[-1]


def score_parsed(parsed: Parsed, row: Mapping[str, Any]) -> Score:
    """Score a reply that was read elsewhere, for example by a server: its calls, its text, its problems."""
    gold, tools = read_gold(row), read_tools(row)
    decision = _decision(parsed, gold)
    calls = match_calls(parsed.calls, gold.calls, tools)
    hallucinated = tuple(dict.fromkeys(call.name for call in parsed.calls if call.name not in tools))
    named = named_slots(parsed.text, gold.mentions) if decision == "ask" else []
    judged: dict[str, Any] = {
        "decision_ok": decision in gold.decisions,
        "calls_ok": _calls_ok(parsed, calls, gold, hallucinated),
        "asked_right_slot": bool(named) if decision == "ask" and gold.mentions else None,
        "grounded": states(parsed.text, gold.contains) if decision == "answer" and gold.contains else None,
        "language_ok": in_language(parsed.text, row, gold.contains, tools) if parsed.text else None,
    }
    error = _error(parsed, decision, gold, calls, hallucinated, judged)
    return Score(
        decision=decision,
        gold_decision=gold.decision,
        exact=not error,
        error=error,
        calls=calls,
        hallucinated=hallucinated,
        slots_named=len(named) / len(gold.mentions) if gold.mentions else 0.0,
        text=parsed.text,
        problems=parsed.problems,
        tolerant_exact=not error,
        **judged,
    )


def _decision(parsed: Parsed, gold: Gold) -> Decision:
    if parsed.calls:
        return "call"
    if parsed.problems:
        return "none"
    # "It is 21 degrees. Which day next?" and "No, that cannot be booked" state what was found out: they answer.
    if gold.contains and states(parsed.text, gold.contains):
        return "answer"
    return decision_of(parsed.text)


def _calls_ok(parsed: Parsed, calls: tuple[CallScore, ...], gold: Gold, hallucinated: tuple[str, ...]) -> bool:
    if not parsed.calls or "call" not in gold.decisions:
        return not parsed.calls and gold.decision != "call"
    if not gold.calls:
        return not hallucinated and not any(call.schema_problems for call in calls)
    return all(call.ok for call in calls)


def _error(
    parsed: Parsed,
    decision: Decision,
    gold: Gold,
    calls: tuple[CallScore, ...],
    hallucinated: tuple[str, ...],
    judged: Mapping[str, bool | None],
) -> str:
    if decision == "none":
        return "format" if parsed.problems else "no_decision" if parsed.text else "mute"
    if not judged["decision_ok"]:
        return "unwarranted_call" if decision == "call" else "no_call" if gold.decision == "call" else "wrong_decision"
    if decision == "call":
        return "" if judged["calls_ok"] else _call_error(calls, gold, hallucinated)
    labels = {"asked_right_slot": "wrong_slot", "grounded": "not_grounded", "language_ok": "wrong_language"}
    return next((label for fact, label in labels.items() if judged[fact] is False), "")


def _call_error(calls: tuple[CallScore, ...], gold: Gold, hallucinated: tuple[str, ...]) -> str:
    if not gold.calls:
        return "hallucinated_tool" if hallucinated else "invalid_call"
    reasons = {call.reason for call in calls}
    found = {_OF_ARGUMENT[argument.reason] for call in calls for argument in call.arguments if argument.reason}
    found |= {f"{reason}_call" for reason in ("missing", "duplicate", "extra") if reason in reasons}
    found |= {"hallucinated_tool"} if hallucinated else set()
    found |= {"wrong_tool"} if {"missing", "extra"} <= reasons else set()
    return next(label for label in ERRORS if label in found)
