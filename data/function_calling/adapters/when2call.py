"""When2Call's test, 300 questions whose right reply is one of four kinds (kind ``when2call``); evaluation only.

The set (NVIDIA/When2Call, Apache-2.0) has a reply of every kind for each question. Its labels are ``direct``,
``tool_call``, ``request_for_info`` and ``cannot_answer``: decisions answer, call, ask and refuse. Where a call is
right, its arguments are the set's own reply and the only ones it knows. Tools are BFCL documents as text. It is made
from BFCL's live questions, so neither may be trained on to report the other. Checked against all 300 rows at ecc8d42.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ... import files
from ...rows import Row
from ..check.schema import from_bfcl
from .common import Place, Record, call_of, evaluation_source, gold_column, parsed, scenario_of, tools_column

_PLACE = Place(
    "when2call",
    {"test": ("when2call/when2call_test_llm_judge", "when2call_test_llm_judge")},
    repo="nvidia/When2Call",
    config={"test": "test"},
    hub_splits={"test": "llm_judge"},
)

DECISIONS = {"direct": "answer", "tool_call": "call", "request_for_info": "ask", "cannot_answer": "refuse"}


def to_row(record: Record, where: str) -> Row:
    """The row of one record."""
    label = files.field(record, ("correct_answer",), where)
    if label not in DECISIONS:
        raise files.malformed(where, "correct_answer", label, f"one of {', '.join(DECISIONS)}", record)
    listed = parsed(record.get("tools") or [], "tools", record, where)
    if not isinstance(listed, list):
        raise files.malformed(where, "tools", listed, "give a list of tools", record)
    tools = tools_column([_tool(tool, record, where) for tool in listed], record, where)
    return {
        "language": "",  # mostly English, some rows are not
        "prompt": [{"role": "user", "content": str(files.field(record, ("question",), where))}],
        "tools": tools,
        **_judgement(DECISIONS[label], record, tools, where),
    }


def _judgement(decision: str, record: Record, tools: str, where: str) -> dict[str, str]:
    """Scenario and gold."""
    if decision == "call":
        answers = parsed(files.field(record, ("answers",), where), "answers", record, where)
        if not isinstance(answers, Mapping) or "tool_call" not in answers:
            raise files.malformed(where, "answers", answers, "give a reply for tool_call", record)
        value = parsed(answers["tool_call"], "answers.tool_call", record, where)
        call = call_of(value, "answers.tool_call", record, where)
        return {"scenario": scenario_of([call], tools), "gold": gold_column("call", [call])}
    if decision == "ask":
        missing = record.get("held_out_param")
        return {"scenario": "missing", "gold": gold_column("ask", missing=[missing] if missing else [])}
    scenario = "chat" if decision == "answer" else "irrelevant" if tools != "[]" else "no_tools"
    return {"scenario": scenario, "gold": gold_column(decision)}


def _tool(value: Any, record: Record, where: str) -> dict[str, Any]:
    tool = parsed(value, "tools", record, where)
    if not isinstance(tool, Mapping):
        raise files.malformed(where, "tools", tool, "give {name, description, parameters}", record)
    return from_bfcl(tool)


rows = evaluation_source(
    _PLACE,
    to_row,
    "its test is made from BFCL's questions",
    "Questions whose right reply is one of: answer, call, ask, refuse (hf.co/datasets/nvidia/When2Call).",
)
