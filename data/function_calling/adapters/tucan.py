"""Tucan-BG, 10,035 bilingual conversations with tools (arXiv 2506.23394; kind ``tucan``).

Turns of ``user``, ``model`` and ``tool``; inside their text ``<tools>`` holds the definitions, ``<tool_code>`` a call
and ``<tool_response>`` a result. The fence that Tucan's model cards and Tucan-Eval use for calls is read as well. The
layout is second-hand, from summaries of the paper: no row of the set could be read, so this reader takes any of the
usual names of the list of turns and stops at what it does not know. ``language`` is ``bg``, that of its dialogues.
"""

from __future__ import annotations

import re
from typing import Any

from ...rows import Row
from .common import Place, Record, tool_list, training_source
from .conversations import Conversation, blocks, literal, turns

_PLACE = Place("tucan", {"train": ("tucan/train", "tucan/Tucan-BG-v1.0", "Tucan-BG-v1.0")}, repo="llm-bg/Tucan-BG-v1.0")
_TOOLS = re.compile(r"<tools>(.*?)</tools>", re.DOTALL)
_CALL = re.compile(
    r"<tool_code>(.*?)</tool_code>|```tool_(?:call|code)\b(.*?)```|<tool_call>(.*?)</tool_call>", re.DOTALL
)
_STRAY = re.compile(r"</?tool_code>|```tool_c|</?tool_call>")
_RESPONSE = re.compile(r"<tool_response>(.*?)</tool_response>", re.DOTALL)


def to_row(record: Record, where: str) -> Row:
    """The row of one record."""
    conversation = Conversation(record, where)
    tools: list[dict[str, Any]] = []
    for speaker, text in turns(record, where, ("conversations", "conversation", "messages", "turns")):
        listed, text = blocks(text, _TOOLS)
        for body in listed:
            tools += tool_list(literal(body.strip() or "[]", "tools", record, where), record, where)
        results, around = blocks(text, _RESPONSE)
        if results or speaker == "tool":
            conversation.results(results or [around])
        elif speaker in ("model", "assistant", "gpt"):
            conversation.speak(text, _CALL, _STRAY, "model")
        elif speaker in ("user", "human", "system"):
            conversation.say("system" if speaker == "system" else "user", text)
        else:
            raise conversation.malformed("from", speaker, "one of user, model, tool")
    return conversation.row(tools, language="bg")


rows = training_source(_PLACE, to_row, "Tucan-BG: conversations in Bulgarian with tools (hf.co/papers/2506.23394).")
