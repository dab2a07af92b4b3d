"""LLaMA-Factory's conversations (kind ``llama_factory``), any file in that layout.

A record has ``conversations``, turns of ``human``, ``gpt``, ``function_call`` and ``observation``, a
``tools`` text (a JSON list of ``{name, description, parameters}``) and perhaps ``system``. A
``function_call`` holds one call, or a list of the calls made together. Checked against the two glaive demos
of hiyouga/LLaMA-Factory: all 300 English rows are read, and 298 of 300 Chinese ones (two have a result
without a call). Those sets have no parallel calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import files
from ...rows import Row
from ..check.schema import function_of
from .common import Record, parsed
from .conversations import Conversation, calls_of, turns
from .source_functions import file_source

SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
    "function_call": "call",
    "observation": "tool",
}


def to_row(record: Record, where: str) -> Row:
    """The row of one record."""
    conversation = Conversation(record, where)
    system = record.get("system")
    if isinstance(system, str):
        conversation.say("system", system)
    spoken = turns(record, where)
    for index, (speaker, text) in enumerate(spoken):
        role = SPEAKERS.get(speaker)
        if role is None:
            raise files.malformed(where, "from", speaker, f"one of {', '.join(SPEAKERS)}", record)
        if role == "call":
            conversation.call(calls_of([text], "function_call", record, where))
        elif role == "tool":
            alone = "observation" not in (spoken[index - 1][0], *(turn[0] for turn in spoken[index + 1 : index + 2]))
            conversation.result(text, spread=alone)
        else:
            conversation.say(role, text)
    return conversation.row(tool_list(record.get("tools"), record, where))


def tool_list(value: Any, record: Record, where: str) -> Sequence[Any]:
    """Tools of a field that holds a JSON list, as text or decoded; none for an empty one.

    Raises:
        RowError: If it is no list of objects.
    """
    listed = parsed(value, "tools", record, where) if value else []
    if not isinstance(listed, list) or not all(isinstance(tool, dict) for tool in listed):
        raise files.malformed(where, "tools", value, "give a JSON list of tools", record)
    return [{"type": "function", "function": function_of(tool)} for tool in listed]


rows = file_source("llama_factory", to_row, "Conversations with tools in a file of your own, in LLaMA-Factory's roles.")
