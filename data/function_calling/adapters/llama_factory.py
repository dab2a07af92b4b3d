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
from ..schema import function_of
from .common import Place, Record, convert, parsed
from .conversations import Conversation, calls_of, turns

SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
    "function_call": "call",
    "observation": "tool",
}


def rows(
    split: str,
    size: int | None = None,
    seed: int = 0,
    *,
    path: str,
    root: str | None = None,
    skip_malformed: bool = False,
) -> list[Row]:
    """Rows with ``messages`` and ``tools`` from a file in LLaMA-Factory's layout.

    Args:
        split: Put in the place of ``{split}`` in ``path``; otherwise only a label.
        size: Number of rows, drawn with ``seed``; default all.
        seed: Seed of the draw.
        path: The file; a relative path starts at ``root``, else at ``QUINCE_DATA``.
        root: Folder of a relative path.
        skip_malformed: Leave out malformed records, with a warning, instead of stopping.

    Raises:
        RowError: If the file cannot be had or a record is malformed.
    """
    place = Place("llama_factory", {split: ()})
    records = place.records(split, root=root, path=path)
    return convert("llama_factory", split, records, to_row, size=size, seed=seed, skip_malformed=skip_malformed)


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
