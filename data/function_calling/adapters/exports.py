"""Our rows and tools in the shapes of other programs: Tucan-Eval's samples, MCP's listing, BFCL's files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ...rows import Row, RowError
from ..check.schema import function_of, to_bfcl, to_mcp
from .tucan_eval import SCENARIOS

_NO_CALL = {
    "ask": {"expected_response_type": "text_clarification", "should_ask_for_missing_info": True},
    "refuse": {"expected_response_type": "text_only", "should_provide_helpful_answer": True},
    "answer": {"expected_response_type": "text_only", "should_contain_answer": True},
}
_NAMES = {scenario: name for name, (scenario, _) in reversed(SCENARIOS.items())}


def tucan_eval_samples(rows: Iterable[Row]) -> tuple[list[dict[str, Any]], list[str]]:
    """Samples for Tucan-Eval, to be written as one JSON array, and the ids of the rows that it cannot hold.

    It holds one user message, with at most one call to judge; it sees no system turn and no history.
    """
    samples, left_out = [], []
    for row in rows:
        gold = json.loads(row.get("gold") or "{}")
        prompt = row.get("prompt") or []
        if len(prompt) != 1 or prompt[0]["role"] != "user" or not gold or not _fits(gold):
            left_out.append(row["id"])
            continue
        samples.append(
            {
                "scenario_type": _scenario(row, gold),
                "user_message": prompt[0]["content"],
                "functions": [function_of(tool) for tool in json.loads(row.get("tools") or "[]")],
                "expected_behavior": _expected(gold),
            }
        )
    return samples, left_out


def mcp_listing(tools: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The result of ``tools/list`` with these tools, each once.

    Raises:
        RowError: If two different tools have one name, or a name breaks MCP's rule.
    """
    listed: dict[str, dict[str, Any]] = {}
    for tool in tools:
        made = to_mcp(tool)
        if listed.setdefault(made["name"], made) != made:
            raise RowError(f"mcp · tools · found two tools named {made['name']!r} · export them apart")
    return {"tools": list(listed.values())}


def bfcl_question(row: Row) -> dict[str, Any]:
    """A BFCL question: ``id``, ``question`` (one turn) and ``function`` documents."""
    documents = [to_bfcl(tool) for tool in json.loads(row.get("tools") or "[]")]
    return {"id": row["id"], "question": [row["prompt"]], "function": documents}


def bfcl_answer(row: Row) -> dict[str, Any]:
    """BFCL's ``possible_answer`` of a row that calls: accepted values by parameter, ``""`` for left out.

    The values inside an object have their own lists, as BFCL's checker expects; deeper ones are plain. A
    default in the schema is accepted, since BFCL would punish a call that states it.

    Raises:
        RowError: If the gold of the row is not a call.
    """
    gold = json.loads(row["gold"])
    if gold["decision"] != "call":
        raise RowError(f"{row['id']} · gold · found decision {gold['decision']!r} · only calls have a possible answer")
    schemas = {function_of(tool)["name"]: function_of(tool)["parameters"] for tool in json.loads(row["tools"])}
    accepted = gold.get("accepted") or [{}] * len(gold["calls"])
    truth = [
        {call["name"]: _answers(call["arguments"], more, schemas.get(call["name"], {}))}
        for call, more in zip(gold["calls"], accepted, strict=True)
    ]
    return {"id": row["id"], "ground_truth": truth}


def _answers(
    arguments: Mapping[str, Any], more: Mapping[str, list[Any]], schema: Mapping[str, Any]
) -> dict[str, list[Any]]:
    answers = {name: [value, *more.get(name, ())] for name, value in arguments.items()}
    answers |= {name: list(values) for name, values in more.items() if name not in answers}
    for name, described in (schema.get("properties") or {}).items():
        if name in schema.get("required", ()) or "default" not in described:
            continue
        # A default that is stated and one that is left out are the same call.
        default, values = described["default"], answers.setdefault(name, [None])
        if None in values and default not in values:
            values.append(default)
        elif default in values and None not in values:
            values.append(None)
    return {name: ["" if value is None else _nested(value) for value in values] for name, values in answers.items()}


def _nested(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: [inner] for key, inner in value.items()}
    return (
        [_nested(element) if isinstance(element, dict) else element for element in value]
        if isinstance(value, list)
        else value
    )


def _fits(gold: Mapping[str, Any]) -> bool:
    return len(gold["calls"]) == 1 if gold["decision"] == "call" else not gold["calls"]


def _scenario(row: Row, gold: Mapping[str, Any]) -> str:
    name = _NAMES.get(row.get("scenario") or "")
    if name and (SCENARIOS[name][1] == "call") == (gold["decision"] == "call"):
        return name
    if gold["decision"] == "call":
        return "function_call_required"
    return "missing_required_parameters" if gold["decision"] == "ask" else "irrelevant_question_with_functions"


def _expected(gold: Mapping[str, Any]) -> dict[str, Any]:
    if gold["decision"] != "call":
        return {"should_call_function": False, **_NO_CALL[gold["decision"]]}
    call = gold["calls"][0]
    return {
        "should_call_function": True,
        "expected_function": call["name"],
        "expected_parameters": call["arguments"],
    }
