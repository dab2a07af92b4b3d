"""LLaMA-Factory's conversations: any file in that layout (kind ``llama_factory``), and APIGen-MT (``apigen_mt``).

A record has ``conversations``, turns of ``human``, ``gpt``, ``function_call`` and ``observation``, a ``tools`` text (a
JSON list of ``{name, description, parameters}``) and perhaps ``system``. A ``function_call`` holds one call, or a list
of the calls made together. Checked against the two glaive demos of hiyouga/LLaMA-Factory: all 300 English rows are
read, and 298 of 300 Chinese ones (two have a result without a call). Those sets have no parallel calls.

APIGen-MT (arXiv 2504.03601) is 5,000 verified dialogues of customer service. The licence (CC-BY-NC-4.0) forbids
commercial use, and the Hub asks to accept it first. The layout is the one that two public converters of the set read;
its rows are gated and were not seen. Its two domains are those of tau-bench: do not train on it to report tau-bench.
"""

from __future__ import annotations

from ...rows import Row
from .common import Place, Record, file_source, tool_list, training_source
from .conversations import Conversation, calls_of, turns

_SPEAKERS = {
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
        role = _SPEAKERS.get(speaker)
        if role is None:
            raise conversation.malformed("from", speaker, f"one of {', '.join(_SPEAKERS)}")
        if role == "call":
            conversation.call(calls_of([text], "function_call", record, where))
        elif role == "tool":
            alone = "observation" not in (spoken[index - 1][0], *(turn[0] for turn in spoken[index + 1 : index + 2]))
            conversation.result(text, spread=alone)
        else:
            conversation.say(role, text)
    return conversation.row(tool_list(record.get("tools"), record, where))


_APIGEN_MT = Place(
    "apigen_mt",
    {"train": ("apigen_mt/train", "apigen_mt/apigen-mt_5k", "apigen-mt_5k")},
    repo="Salesforce/APIGen-MT-5k",
)

rows = file_source("llama_factory", to_row, "Conversations with tools in a file of your own, in LLaMA-Factory's roles.")
apigen_mt = training_source(
    _APIGEN_MT,
    to_row,
    "APIGen-MT: dialogues of customer service (hf.co/papers/2504.03601); gated, not for commercial use.",
)
