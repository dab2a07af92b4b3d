"""The `data:` section of `sft` recipes: sources of whole conversations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .data import CustomSource, FunctionCalls, Jsonl, Source
from .function_calling_data import ImportedConversations
from .language.section import Positive, Share


class Conversations(Source):
    """Answers of a base model to a generated task, right and wrong: what it could do before, kept by rehearsing it."""

    kind: Literal["sql_idioms", "strategies", "countdown", "everyday"]
    split: Literal["pretrain"] = "pretrain"
    size: Positive = 1000  # type: ignore[assignment]


class CopyingDrills(Source):
    """Short strings without meaning that the assistant repeats, before it has to copy names and values into calls."""

    kind: Literal["copying"]
    split: Literal["train"] = "train"
    size: Positive = 1000  # type: ignore[assignment]
    turns: Positive = 8
    """Strings a conversation."""


class PassageConversations(Source):
    """Notes of random facts of a passage, and questions on passages and notes: the start of prompt compression."""

    kind: Literal["passages"]
    split: Literal["train"] = "train"
    size: Positive = 1000  # type: ignore[assignment]
    notes: Share = 0.5
    """Share of the rows that write notes."""
    complete: Share = 0.0
    """Share of the rows that write notes of all facts."""
    drills: Share = 0.0
    """Share of the rows that repeat random words; what is left reads."""
    drill: Positive = 8
    """Texts of a drill."""
    budget: Positive = 12
    """Limit that the instruction of notes names, tokens."""


class FunctionCallConversations(FunctionCalls):
    """Generated tool use in several languages: calls, questions for missing values, refusals, answers."""

    split: Literal["train"] = "train"  # type: ignore[assignment]
    masking_start: Share | None = None
    """`masking` in the first row, from where it grows; null: the same in all rows."""
    requests: Positive = 1
    """Most requests in one conversation; all but the last are carried out."""


SftSource = Annotated[
    Conversations
    | CopyingDrills
    | PassageConversations
    | FunctionCallConversations
    | ImportedConversations
    | Jsonl
    | CustomSource,
    Field(discriminator="kind"),
]
DpoSource = Annotated[FunctionCallConversations | Jsonl | CustomSource, Field(discriminator="kind")]
"""Sources of preferences: generated ones are right answers beside their labelled corruptions."""
