"""Tucan-BG, 10,035 bilingual conversations with tools (arXiv 2506.23394; kind ``tucan``).

Turns of ``user``, ``model`` and ``tool``; inside their text ``<tools>`` holds the definitions,
``<tool_code>`` a call and ``<tool_response>`` a result. The fence that Tucan's model cards and Tucan-Eval
use for calls is read as well. The layout is second-hand, from summaries of the paper: no row of the set
could be read, so this reader takes any of the usual names of the list of turns and stops at what it does
not know. ``language`` is ``bg``, the language of its dialogues.
"""

from __future__ import annotations

import re
from typing import Any

from ... import files
from ...rows import Row
from ..check.schema import function_of
from .common import Place, Record
from .conversations import Conversation, blocks, calls_of, literal, turns
from .source_functions import training_source

_PLACE = Place("tucan", {"train": ("tucan/train", "tucan/Tucan-BG-v1.0", "Tucan-BG-v1.0")}, repo="llm-bg/Tucan-BG-v1.0")
_TOOLS = re.compile(r"<tools>(.*?)</tools>", re.DOTALL)
_CALL = re.compile(
    r"<tool_code>(.*?)</tool_code>|```tool_(?:call|code)\b(.*?)```|<tool_call>(.*?)</tool_call>", re.DOTALL
)
_RESPONSE = re.compile(r"<tool_response>(.*?)</tool_response>", re.DOTALL)
_OPEN = re.compile(r"</?tool_code>|```tool_c|</?tool_call>")


def to_row(record: Record, where: str) -> Row:
    """The row of one record."""
    conversation = Conversation(record, where)
    tools: list[dict[str, Any]] = []
    for speaker, text in turns(record, where, ("conversations", "conversation", "messages", "turns")):
        listed, text = blocks(text, _TOOLS)
        for body in listed:
            tools += _tools(body, record, where)
        results, around = blocks(text, _RESPONSE)
        if results or speaker == "tool":
            for result in results or [around]:
                conversation.result(result.strip())
        elif speaker in ("model", "assistant", "gpt"):
            _speak(conversation, text)
        elif speaker in ("user", "human", "system"):
            conversation.say("system" if speaker == "system" else "user", text)
        else:
            raise files.malformed(where, "from", speaker, "one of user, model, tool", record)
    return conversation.row(tools, language="bg")


def _speak(conversation: Conversation, text: str) -> None:
    bodies, around = blocks(text, _CALL)
    record, where = conversation.record, conversation.where
    if _OPEN.search(around):
        raise files.malformed(where, "model", text, "close every mark of a call", record)
    conversation.call(calls_of(bodies, "tool_code", record, where), around)


def _tools(body: str, record: Record, where: str) -> list[dict[str, Any]]:
    listed = literal(body.strip() or "[]", "tools", record, where)
    if not isinstance(listed, list) or not all(isinstance(tool, dict) for tool in listed):
        raise files.malformed(where, "tools", body, "give a JSON list of tools", record)
    return [{"type": "function", "function": function_of(tool)} for tool in listed]


rows = training_source(_PLACE, to_row, "Tucan-BG: conversations in Bulgarian with tools (hf.co/papers/2506.23394).")
