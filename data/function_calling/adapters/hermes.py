"""Hermes function calling v1 (NousResearch/hermes-function-calling-v1, Apache-2.0; kind ``hermes_fc``).

ShareGPT turns of ``system``, ``human``, ``gpt`` and ``tool``; calls in ``<tool_call>`` tags, some written as Python
literals; results in ``<tool_response>`` tags; tools in a ``tools`` text and again inside ``<tools>`` of the system
turn. That system turn only says how to call, which a chat template does in its own words, so the row omits it.
``multiturn`` begins like ``singleturn`` row by row: take one.

Checked against 200 rows of an early revision of ``singleturn`` in a public repository: 124 are read, most of their
calls being Python literals; 76 of one kind (question extraction) have calls that are neither JSON nor a literal, and
need ``skip_malformed``. Names of files and configurations are those of two public importers of the set.
"""

from __future__ import annotations

import re

from ...rows import Row
from .common import Place, Record, tool_list, training_source
from .conversations import Conversation, blocks, literal, turns

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
_STRAY = re.compile(r"</?tool_call>")
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
            conversation.speak(text, _CALL, _STRAY, "gpt")
        elif speaker in ("tool", "function", "observation"):
            results, around = blocks(text, _RESPONSE)
            conversation.results(results or [around])
        else:
            raise conversation.malformed("from", speaker, "one of system, human, gpt, tool")
    tools = record.get("tools") or next(iter(inside), "")
    if isinstance(tools, str) and tools.strip():
        tools = literal(tools.strip(), "tools", record, where)
    return conversation.row(tool_list([tools] if isinstance(tools, dict) else tools, record, where))


rows = training_source(
    _PLACE,
    to_row,
    "Hermes function calling v1 (hf.co/datasets/NousResearch/hermes-function-calling-v1). `multiturn` begins like "
    "`singleturn`, row by row: take one of them.",
)
