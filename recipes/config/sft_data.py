"""The `data:` section of `sft` recipes: sources of whole conversations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .data import CustomSource, Jsonl, Source
from .function_calling_data import ImportedConversations
from .section import Positive, Share


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


class FunctionCallConversations(Source):
    """Generated tool use in several languages: calls, questions for missing values, refusals, answers."""

    kind: Literal["function_calls"]
    split: Literal["train"] = "train"
    languages: list[str] = Field(["en", "bg"], min_length=1)
    """Languages of the users."""
    scenarios: list[str] | dict[str, float] | None = None
    """Names of scenarios, or their shares; null takes all in their usual shares."""
    min_tools: int = Field(1, ge=0)
    """Fewest tools listed in a prompt."""
    max_tools: int = Field(8, ge=0)
    """Most tools listed in a prompt."""
    masking: Share = 0.0
    """Probability that the names of a row's tools and parameters are made up, so that they have to be read."""
    masking_start: Share | None = None
    """That probability in the first row, from where it grows; null: the same in all rows."""
    descriptions: Literal["en", "target", "mixed"] = "en"
    """Language of tool descriptions; `target` is that of the user."""
    name_style: Literal["snake", "mixed"] = "snake"
    noise: Share = 0.0
    """Probability of slips in a user's text."""
    requests: Positive = 1
    """Most requests in one conversation; all but the last are carried out."""


SftSource = Annotated[
    Conversations | CopyingDrills | FunctionCallConversations | ImportedConversations | Jsonl | CustomSource,
    Field(discriminator="kind"),
]
DpoSource = Annotated[FunctionCallConversations | Jsonl | CustomSource, Field(discriminator="kind")]
"""Sources of preferences: generated ones are right answers beside their labelled corruptions."""
