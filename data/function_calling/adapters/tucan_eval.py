"""Tucan-BG-Eval, single questions in Bulgarian in six scenarios (kind ``tucan_eval``); evaluation only.

A record has ``scenario_type``, ``user_message``, ``functions`` and ``expected_behavior``; its
``evaluation_criteria`` are nulls that nothing reads. Checked against the sample file that llm-bg/Tucan-Eval
had at b345490. The set's own scorer takes any text without a call for right where no call is wanted; the
gold here says which reply is wanted (ask, refuse or answer), and which others pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ... import files
from ...rows import Row
from ..wire.calls import Call
from .common import Place, Record, evaluation_source, gold_column, parsed, tool_list, tools_column

_PLACE = Place(
    "tucan_eval",
    {"test": ("tucan_eval/test", "tucan_eval/samples", "Tucan-BG-Eval-v1.0")},
    repo="llm-bg/Tucan-BG-Eval-v1.0",
    # The repository's own split could not be looked up; a set with one split usually calls it train.
    hub_splits={"test": "train"},
)

_SCENARIOS = {
    "function_call_required": ("single", "call"),
    "multiple_functions_selection": ("selection", "call"),
    "ambiguous_function_selection": ("selection", "call"),
    "missing_required_parameters": ("missing", "ask"),
    "irrelevant_question_with_functions": ("irrelevant", "answer"),
    "no_functions_available": ("no_tools", "answer"),
}


def to_row(record: Record, where: str) -> Row:
    """The row of one record."""
    expected = parsed(files.field(record, ("expected_behavior",), where), "expected_behavior", record, where)
    if not isinstance(expected, Mapping) or not isinstance(expected.get("should_call_function"), bool):
        fix = 'give {"should_call_function": true or false, ...}'
        raise files.malformed(where, "expected_behavior", expected, fix, record)
    tools = tool_list(record.get("functions"), record, where)
    scenario, decision = _scenario(record, expected, bool(tools), where)
    message = str(files.field(record, ("user_message",), where))
    return {
        "language": "bg",
        "scenario": scenario,
        "prompt": [{"role": "user", "content": message}],
        "tools": tools_column(tools, record, where),
        "gold": _gold(decision, expected, record, where),
    }


def _scenario(record: Record, expected: Mapping[str, Any], tools: bool, where: str) -> tuple[str, str]:
    """Scenario and decision; the decision follows the expected behaviour, the name is only a label."""
    name = record.get("scenario_type")
    if name is not None and name not in _SCENARIOS:
        raise files.malformed(where, "scenario_type", name, f"one of {', '.join(_SCENARIOS)}", record)
    scenario, decision = _SCENARIOS.get(name or "", ("", ""))
    if expected["should_call_function"]:
        return scenario or "single", "call"
    if expected.get("should_ask_for_missing_info"):
        return scenario or "missing", "ask"
    return scenario or ("irrelevant" if tools else "no_tools"), "answer" if decision in ("", "call") else decision


def _gold(decision: str, expected: Mapping[str, Any], record: Record, where: str) -> str:
    if decision == "call":
        name = expected.get("expected_function")
        parameters = expected.get("expected_parameters") or {}
        if not isinstance(name, str) or not isinstance(parameters, Mapping):
            fix = "give expected_function and expected_parameters"
            raise files.malformed(where, "expected_behavior", expected, fix, record)
        return gold_column("call", [Call(name, dict(parameters))])
    # A question beside the tools may be answered, or declined as out of reach of these tools.
    return gold_column(decision, decisions=["answer", "refuse"] if decision == "answer" else [])


rows = evaluation_source(
    _PLACE,
    to_row,
    "it is the test of Tucan-BG",
    "Questions in Bulgarian in six scenarios, with and without tools (hf.co/papers/2506.23394).",
)
