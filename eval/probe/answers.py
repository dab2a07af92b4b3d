"""Which outputs of a model's answer are right, read by the same reader as the rows.

A verdict concerns one output: the tool, the names of the arguments, the clauses of a query. A whole answer may be wrong
for other reasons, such as a value that no output contains. So the answer replaces the gold of the request's row, and
its outputs are compared with the request's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.function_calling.wire.formats import parse_calls, parse_tolerant
from ...data.rows import Row
from ...rewards.function_calling.call_scoring import score_parsed
from ...rewards.function_calling.gold_calls import read_gold
from ...rewards.sql_execution.semantics import extract_sql
from .read.slot_rows import NO_OUTPUT, UNKNOWN, Table, view_of
from .read.slot_schema import Output, ProbeError
from .read.values import output_value

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Reply:
    """A model's distinct answers to one request, with shares that add up to 1.

    The accuracy is the share of samples whose whole answer is right; 0 or 1 for a single sample.
    """

    accuracy: float
    texts: tuple[tuple[str, float], ...] = ()


def output_accuracy(test: Table, replies: Mapping[str, Reply]) -> FloatArray | None:
    """Share of each request's answers in which an output is right, `[requests, outputs]`; `replies` are by row id.

    NaN where there is nothing to compare: no reply, or a request whose gold is unknown or lacks the output (it has no
    verdict either; superfluous parts show in other outputs, such as the number of calls). An unreadable answer is wrong
    in every output. None if the schema's reader has no way to read answers.
    """
    answered = ANSWERED.get(test.schema.reader)
    if answered is None:
        return None
    right = np.full(test.outputs.shape, np.nan)
    for place, name in enumerate(test.ids):
        if name in replies and replies[name].texts:
            shares = [share * _right(test, place, answered, text) for text, share in replies[name].texts]
            right[place] = np.sum(shares, axis=0)
    right[(test.outputs == NO_OUTPUT) | (test.outputs == UNKNOWN)] = np.nan
    return right


def answered_call(row: Row, answer: str) -> Row | None:
    """A row of function calls with an answer as its gold; None if the answer cannot be read.

    Any wire format is read, and calls may be in any order: one that matches a gold call takes its place, and one that
    the scorer accepts is replaced by the gold call, so that omitting an optional argument makes no difference.
    """
    parsed = parse_calls(answer.rsplit("</think>", 1)[-1])
    if parsed.problems:
        parsed = parse_tolerant(answer.rsplit("</think>", 1)[-1])
        if not parsed.calls:
            return None
    found, gold = score_parsed(parsed, row), read_gold(row)
    if found.decision == "none":
        return None
    # The calls of the answer in the order of the gold ones; other calls fill the gaps and then come last.
    others = iter(found.calls[len(gold.calls) :])
    slots = [call if call.found is not None else next(others, None) for call in found.calls[: len(gold.calls)]]
    placed = [call for call in chain(slots, others) if call is not None]
    right = {id(call.call): dict(call.classes) for call in gold.calls}
    made_calls = [call for scored in placed if (call := scored.gold if scored.ok else scored.found) is not None]
    made = {
        "decision": found.gold_decision if found.decision_ok else found.decision,
        "calls": [{"name": call.name, "arguments": call.arguments} for call in made_calls],
        "classes": [right.get(id(call.gold), {}) for call in placed],
        "missing": json.loads(row["gold"]).get("missing") or [] if found.asked_right_slot else [],
    }
    return {**row, "gold": json.dumps(made, ensure_ascii=False)}


def answered_query(row: Row, answer: str) -> Row:
    """A row of text-to-SQL with an answer's query as its gold."""
    return {**row, "gold_sql": extract_sql(answer)}


ANSWERED: dict[str, Callable[[Row, str], Row | None]] = {
    "function_calls": answered_call,
    "bfcl": answered_call,
    "sql": answered_query,
}
"""By reader, how an answer replaces the gold of a row."""


def _right(test: Table, place: int, answered: Callable[[Row, str], Row | None], text: str) -> FloatArray:
    """1 for each output of one answer that equals the request's own, `[outputs]`."""
    own, none = test.outputs[place].tolist(), np.zeros(len(test.schema.outputs))
    row = answered(test.placed[place].row, text) if max(own) >= 0 else None
    if row is None:
        return none
    try:
        record = view_of(test.schema)(row)
    except ValueError:
        return none
    pairs = zip(test.schema.outputs, test.codes.outputs, own, strict=True)
    return np.array([code >= 0 and _value(output, record) == known[code] for output, known, code in pairs], dtype=float)


def _value(output: Output, record: Mapping[str, Any]) -> str | None:
    try:
        return output_value(output, record, "the answer", "the schema")
    except ProbeError:
        return None
