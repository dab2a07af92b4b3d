"""The `sft` recipe: supervised fine-tuning on conversations, with a loss on what the assistant writes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .language.section import Options, Section
from .model import Launch, Model
from .optimizer import AdamW, Optimizer
from .sft_data import SftSource


class SftRecipe(Section):
    """Everything one SFT run is made of.

    The loss is on the assistant's text, its calls and the token that ends its turn; never on prompts, tools or tool
    results. With `trainer.packing` several conversations share a sequence of `trainer.max_length` tokens, and each
    sees only itself.
    """

    kind: Literal["sft"]
    description: str = ""
    seed: int = Field(0, ge=0)
    output_dir: str
    model: Model
    data: list[SftSource] = Field(min_length=1)
    first: list[SftSource] = Field(default_factory=list)
    """Conversations that come before those of `data`: the first part of a curriculum."""
    shuffle: bool = True
    """Mix the rows of `data` at random; false keeps each source's order, for a curriculum within it."""
    too_long: Literal["drop", "truncate", "refuse"] = "drop"
    """Conversations of more than `trainer.max_length` tokens: left out or cut at the end, counted; or an error."""
    optimizer: Optimizer = AdamW()
    launch: Launch = Launch()
    trainer: Options = Field(default_factory=dict)
    """Fields of TRL's `SFTConfig` under their own names."""
