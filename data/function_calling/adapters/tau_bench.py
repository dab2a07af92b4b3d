"""tau-bench's published dialogues (sierra-research/tau-bench, MIT; kind ``tau_bench``).

``airline``: 200 trajectories of gpt-4o with the policy as system turn, real calls and results; tau-bench
judged 84 of them solved, and only those are given unless ``solved`` is false. ``airline_few_shot`` and
``retail_few_shot``: dialogues as text whose calls were lost (``assistant: None``), so each is cut before
its first call, and left out if the assistant has not spoken by then. The tools are code of the benchmark;
give them by ``tools``, a JSON file, to list them in the rows. These are the benchmark's own tasks: do not
train on them to report tau-bench. Checked against all rows at 59a200c.
"""

from __future__ import annotations

import re
from typing import Any

from ... import files
from ...options import provides
from ...rows import Row
from .common import Place, Record, convert
from .conversations import Conversation
from .mcp import tools_from_file
from .openai_messages import fill

_FEW_SHOT = {"airline_few_shot": "MockAirlineDomainEnv-few_shot", "retail_few_shot": "MockRetailDomainEnv-few_shot"}
_PLACE = Place(
    "tau_bench",
    {
        "airline": ("tau_bench/gpt-4o-airline", "gpt-4o-airline"),
        **{split: (f"tau_bench/{stem}", stem) for split, stem in _FEW_SHOT.items()},
    },
)
_STOP = "###STOP###"  # the simulated user's last word to the benchmark's runner
_SPEAKER = re.compile(r"^(user|assistant|tool): ", re.MULTILINE)


@provides(splits=_PLACE.splits)
def rows(
    split: str,
    size: int | None = None,
    seed: int = 0,
    *,
    path: str | None = None,
    root: str | None = None,
    solved: bool = True,
    tools: str | None = None,
) -> list[Row]:
    """tau-bench's published dialogues, from a local folder; not to be trained on to report tau-bench.

    Args:
        split: ``airline``, ``airline_few_shot`` or ``retail_few_shot``.
        size: Number of rows, drawn with ``seed``; default all.
        seed: Seed of the draw.
        path: File to read; a relative path starts at ``root``, else at ``QUINCE_DATA``.
        root: Folder of the set; default ``QUINCE_DATA``.
        solved: Only trajectories with full reward.
        tools: JSON file with the tools; without it the rows list none.

    Raises:
        RowError: If the files are missing or a record is malformed.
    """
    records = _PLACE.records(split, root=root, path=path)
    listed = tools_from_file(tools) if tools is not None else None
    if split in _FEW_SHOT:
        records = [(where, cut) for where, record in records if (cut := _before_first_call(record, where))]
    elif solved:
        records = [(where, record) for where, record in records if _is_solved(record, where)]

    def to_row(record: Record, where: str) -> Row:
        conversation = Conversation(record, where)
        fill(conversation, files.field(record, ("traj",), where))
        for message in conversation.messages:
            message["content"] = message["content"].replace(_STOP, "").rstrip()
        return conversation.row(listed, language="en")

    return convert("tau_bench", split, records, to_row, size=size, seed=seed)


def _is_solved(record: Record, where: str) -> bool:
    reward = files.field(record, ("reward",), where)
    if not isinstance(reward, int | float):
        raise files.malformed(where, "reward", reward, "give a number", record)
    return reward == 1.0


def _before_first_call(record: Record, where: str) -> dict[str, Any] | None:
    """The dialogue up to its first lost call, as a trajectory; None if the assistant has not spoken by then."""
    text = files.field(record, ("messages_display",), where)
    if not isinstance(text, str) or not _SPEAKER.match(text):
        raise files.malformed(where, "messages_display", text, "give lines that start with user:, assistant:", record)
    _, *parts = _SPEAKER.split(text)
    traj: list[dict[str, Any]] = []
    for role, said in zip(parts[::2], parts[1::2], strict=True):
        if role == "tool" or (role == "assistant" and said.strip() == "None"):
            # A result right after words: those words came with the call that is lost.
            traj = traj[:-1] if role == "tool" and traj and traj[-1]["role"] == "assistant" else traj
            break
        traj.append({"role": role, "content": said.rstrip("\n")})
    return {"traj": traj} if any(turn["role"] == "assistant" for turn in traj) else None
