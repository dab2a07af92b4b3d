"""The listed rules by which our scorer and the two others differ, each found by undoing it.

Wherever a rule can be undone for one reply, it explains a disagreement only if the two judges agree then: where the
other is more lenient, the values that it takes are replaced by the gold ones, and we must accept; where we are, our
rule is switched off and we must reject, or the reply is brought to what the other wants and it must accept. The rest
(`silence`, `any_call`, `broken_gold`, `off_type`) are facts of the row or of the reply. What the rules say is written
in `docs/results/function_call_oracle.md`.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from quince.data.function_calling.wire.calls import Call, Parsed, dump
from quince.data.rows import Row
from quince.rewards.function_calling.call_alignment import schema_problems
from quince.rewards.function_calling.call_scoring import Score, score_parsed
from quince.rewards.function_calling.gold_calls import read_gold, read_tools
from quince.scripts.bench.function_calls.predictions import Prediction


@dataclass(frozen=True)
class Case:
    """One reply with both verdicts."""

    row: Row
    prediction: Prediction
    ours: Score
    theirs: str  # The other's error, "" if it accepts
    again: Callable[[Sequence[Call]], str]  # The other's verdict on other calls for the same row
    same: Callable[[Any, Any], bool]  # Whether the other takes the first value for the second one
    gold_ok: bool  # Whether the other accepts the gold answer
    listed: Sequence[Mapping[str, Sequence[Any]]] = ()  # What the other lists as right


def explain(case: Case) -> str:
    """Name of the rule that explains a disagreement; several joined by " + " if it takes them together; else ""."""
    return _lenient(case) if case.theirs == "" else _strict(case)


def _lenient(case: Case) -> str:
    if read_gold(case.row).decision != "call":
        return "silence" if case.ours.decision == "none" else ""
    if not read_gold(case.row).calls:
        return "any_call" if case.ours.error == "invalid_call" else ""
    calls, names = [], set()
    for index, found in enumerate(case.ours.calls):
        if found.gold is None and not case.listed:
            names.add("first_call")
        elif found.gold is None or found.found is None:
            return ""
        else:
            repaired, used = _repaired(case, index, found.found, found.gold)
            calls.append(repaired)
            names |= used
    if names and _exact(case.row, calls):
        return " + ".join(sorted(names))
    # Gold calls that accept each other's values: our partner of a wrong call need not be theirs.
    plain = [_plain(case, found.found) for found in case.ours.calls if found.found is not None]
    return ("marks" if case.listed else "lenient") if _exact(case.row, plain) else ""


def _plain(case: Case, found: Call) -> Call:
    """The call with every value replaced by that of any gold call which the other takes for the same."""
    arguments = dict(found.arguments)
    for name, value in (pair for wanted in read_gold(case.row).calls for pair in wanted.call.arguments.items()):
        if name in arguments and case.same(arguments[name], value):
            arguments[name] = value
    return replace(found, arguments=arguments)


def _repaired(case: Case, index: int, found: Call, gold: Call) -> tuple[Call, set[str]]:
    """The call with the wrong values undone that the other takes, and the rules by which it does."""
    arguments, names = dict(found.arguments), set()
    listed = case.listed[index] if case.listed else {}
    for score in case.ours.calls[index].arguments:
        if score.ok or score.name not in arguments:
            continue
        accepted = read_gold(case.row).calls[index].accepted.get(score.name, ())
        right = [item for item in (gold.arguments.get(score.name), *accepted) if item is not None]
        rule = _rule(arguments[score.name], listed.get(score.name, ()), case, right)
        if rule:
            names.add(rule)
            del arguments[score.name]
            taken = [item for item in right if case.same(found.arguments[score.name], item)]
            arguments |= {score.name: (taken or right)[0]} if right else {}
    return replace(found, arguments=arguments), names


def _rule(value: Any, listed: Sequence[Any], case: Case, right: Sequence[Any]) -> str:
    if value is None:
        return "listed_null" if None in listed else ""
    if value in ("", []) and "" in listed:
        return "optional_mark"
    if any(case.same(value, other) for other in right):
        return "marks" if case.listed else "lenient"
    plain = any(isinstance(item, dict) and any(isinstance(inner, str) for inner in item.values()) for item in listed)
    return "inner_mark" if isinstance(value, dict) and plain else ""


def _strict(case: Case) -> str:
    calls = case.prediction.calls
    if not case.gold_ok:
        return "broken_gold"
    if not _exact(_without(case.row, "default"), calls):
        return "default"
    if not case.listed and not _exact(_without(case.row, "accepted"), calls):
        return "one_answer"
    if not case.listed and not _exact(_without(_without(case.row, "default"), "accepted"), calls):
        return "default + one_answer"
    rounded = [Call(call.name, _snapped(case, call)) for call in calls]
    snapped = dump([call.arguments for call in rounded]) != dump([call.arguments for call in calls])
    if snapped and case.again(rounded) == "":
        return "tolerance"
    if 1 < len(calls) <= 6 and any(case.again(order) == "" for order in itertools.permutations(calls)):
        return "greedy"
    if case.listed and _off_type(case):
        return "off_type"
    if '"error"' in case.prediction.reply("tucan") and case.theirs == "MALFORMED_JSON":
        return "error_key"
    return "backticks" if case.prediction.reply("tucan").count("```") > 2 * len(calls) else ""


def _snapped(case: Case, call: Call) -> dict[str, Any]:
    gold: list[Any] = []
    for values in ("call.arguments", "accepted"):
        for wanted in read_gold(case.row).calls:
            mapped(gold.append, dict(attrgetter(values)(wanted)))
    gold = [number for number in gold if type(number) in (int, float)]

    def snap(value: Any) -> Any:
        close = (number for number in gold if math.isclose(value, number, rel_tol=1e-9))
        return next(close, value) if isinstance(value, float) else value

    return mapped(snap, call.arguments)


def _off_type(case: Case) -> bool:
    tools = read_tools(case.row)

    def typed(call: Call) -> bool:
        properties = tools[call.name].get("properties") or {}
        return all("type" in properties.get(name, {}) for name in call.arguments)

    return any(not typed(w.call) or schema_problems(w.call, tools) for w in read_gold(case.row).calls)


def _without(row: Row, key: str) -> Row:
    """The row with the defaults of its tools, or the further right values of its gold, taken away."""
    column = "tools" if key == "default" else "gold"
    return row | {column: dump(mapped(lambda value: value, json.loads(row[column]), key))}


def _exact(row: Row, calls: Sequence[Call]) -> bool:
    return score_parsed(Parsed(tuple(calls), ""), row).exact


def mapped(change: Callable[[Any], Any], value: Any, without: str | None = None) -> Any:
    """The value with everything inside that is neither list nor object changed, and without a key of objects."""
    if isinstance(value, dict):
        return {key: mapped(change, item, without) for key, item in value.items() if key != without}
    return [mapped(change, item, without) for item in value] if isinstance(value, list) else change(value)
