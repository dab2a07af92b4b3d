"""Hermes function calling v1 (NousResearch/hermes-function-calling-v1, Apache-2.0; kind ``hermes_fc``).

ShareGPT turns of ``system``, ``human``, ``gpt`` and ``tool``; calls in ``<tool_call>`` tags, some written
as Python literals; results in ``<tool_response>`` tags; tools in a ``tools`` text and again inside
``<tools>`` of the system turn. That system turn only says how to call, which a chat template says in its
own words, so it is left out of the row. ``multiturn`` begins like ``singleturn`` row by row: take one.

Checked against 200 rows of an early revision of ``singleturn`` that a public repository holds: 124 are
read, most of their calls being Python literals; 76 of one kind (question extraction) have calls that are
neither JSON nor a literal, and need ``skip_malformed``. Names of files and configurations are those of two
public importers of the set.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ... import files
from ...rows import Row
from ..check.schema import function_of
from .common import Place, Record
from .conversations import Conversation, blocks, calls_of, literal, turns
from .source_functions import training_source

_FILES = {
    "singleturn": ("func-calling-singleturn", "func_calling_singleturn"),
    "multiturn": ("func-calling", "func_calling"),
    "glaive": ("glaive-function-calling-5k", "glaive_func_calling"),
}
_PLACE = Place(
    "hermes_fc",
    {split: tuple(folder + file for folder in ("hermes_fc/", "") for file in _FILES[split][:1]) for split in _FILES},
    repo="NousResearch/hermes-function-calling-v1",
    config={split: names[1] for split, names in _FILES.items()},
    hub_splits=dict.fromkeys(_FILES, "train"),
)
_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_RESPONSE = re.compile(r"<tool_response>(.*?)</tool_response>", re.DOTALL)
_TOOLS = re.compile(r"<tools>(.*?)</tools>", re.DOTALL)


def to_row(record: Record, where: str) -> Row:
    """The row of one record."""
    conversation = Conversation(record, where)
    inside: list[str] = []
    for speaker, text in turns(record, where):
        if speaker == "system":
            listed, _ = blocks(text, _TOOLS)
            inside += [body for body in listed if body.strip()]  # the prose names the tags as an empty pair
            if not listed:
                conversation.say("system", text)
        elif speaker in ("human", "user"):
            conversation.say("user", text)
        elif speaker in ("gpt", "assistant"):
            _speak(conversation, text)
        elif speaker in ("tool", "function", "observation"):
            results, around = blocks(text, _RESPONSE)
            for result in results or [around]:
                conversation.result(result.strip())
        else:
            raise files.malformed(where, "from", speaker, "one of system, human, gpt, tool", record)
    return conversation.row(_tools(record, inside, where))


def _speak(conversation: Conversation, text: str) -> None:
    bodies, around = blocks(text, _CALL)
    if "<tool_call>" in around or "</tool_call>" in around:
        record, where = conversation.record, conversation.where
        raise files.malformed(where, "gpt", text, "close every <tool_call> tag", record)
    conversation.call(calls_of(bodies, "tool_call", conversation.record, conversation.where), around or "")


def _tools(record: Record, inside: Sequence[str], where: str) -> list[dict[str, Any]]:
    value = record.get("tools") or next(iter(inside), "")
    listed = literal(value.strip(), "tools", record, where) if isinstance(value, str) and value.strip() else value
    listed = [listed] if isinstance(listed, dict) else listed or []
    if not isinstance(listed, list) or not all(isinstance(tool, dict) for tool in listed):
        raise files.malformed(where, "tools", value, "give a list of tools", record)
    return [{"type": "function", "function": function_of(tool)} for tool in listed]


rows = training_source(
    _PLACE,
    to_row,
    "Hermes function calling v1 (hf.co/datasets/NousResearch/hermes-function-calling-v1). `multiturn` begins like "
    "`singleturn`, row by row: take one of them.",
)
