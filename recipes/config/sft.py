"""The `sft` recipe: supervised fine-tuning on conversations, with a loss on what the assistant writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from .data import HeldOut, SftSource, numbered, source_conflicts
from .language.errors import Conflict
from .language.section import Options, RecipeBase
from .model import AdamW, Launch, Model, Optimizer
from .shapes import shape_of
from .trainer_arguments import trainer_value


class TuningRecipe(RecipeBase):
    """What SFT and DPO share."""

    model: Model
    launch: Launch = Launch()
    trainer: Options = Field(default_factory=dict)
    """Fields of TRL's configuration under their own names."""

    def conflicts(self) -> Iterator[Conflict]:
        """Lengths beyond the model's context, files that are not there."""
        yield from self.model.conflicts()
        yield from self.launch.conflicts()
        length = trainer_value(self.trainer, "max_length", "dpo" if self.kind == "dpo" else "sft")
        fields = ("trainer.max_length", "trainer.packing")
        if length is None and self.trainer.get("packing"):
            yield Conflict(fields, "null, and packing fills sequences of that length", "a number of tokens")
        shape = shape_of(self.model.id)
        # A packed sequence holds several conversations, each counted from position 0.
        if shape and isinstance(length, int) and length > shape.context and not self.trainer.get("packing"):
            found = f"{length} tokens are more than the model's context"
            yield Conflict(("trainer.max_length", "model.id"), found, f"at most {shape.context}")


class HeldOutConversations(HeldOut):
    """Conversations whose loss is measured while training."""

    data: list[SftSource] = Field(min_length=1)


class SftRecipe(TuningRecipe):
    """Everything one SFT run is made of.

    The loss is on the assistant's text, its calls and the token that ends its turn; never on prompts, tools or tool
    results. With `trainer.packing` several conversations share a sequence of `trainer.max_length` tokens, and each
    sees only itself.
    """

    kind: Literal["sft"]
    data: list[SftSource] = Field(min_length=1)
    first: list[SftSource] = Field(default_factory=list)
    """Conversations that come before those of `data`: the first part of a curriculum."""
    shuffle: bool = True
    """Mix the rows of `data` at random; false keeps each source's order, for a curriculum within it."""
    too_long: Literal["drop", "truncate", "refuse"] = "drop"
    """Conversations of more than `trainer.max_length` tokens: left out or cut at the end, counted; or an error."""
    held_out: HeldOutConversations | None = None
    """Also measure the loss on rows that are not trained on."""
    optimizer: Optimizer = AdamW()

    def conflicts(self) -> Iterator[Conflict]:
        """See the base; also optimizers and orders that exclude each other."""
        yield from super().conflicts()
        yield from self.launch.optimizer_conflicts(self.optimizer)
        held_out = numbered("held_out.data", self.held_out.data if self.held_out else [])
        yield from source_conflicts(numbered("data", self.data) | numbered("first", self.first) | held_out)
        strategy = self.trainer.get("train_sampling_strategy")
        if (self.first or not self.shuffle) and strategy not in (None, "sequential"):
            found = f"{strategy!r} changes the order that `first` and `shuffle: false` ask for"
            yield Conflict(("trainer.train_sampling_strategy", "shuffle"), found, "sequential, or neither of them")
        if self.optimizer.kind != "muon":
            return
        if self.model.adapter.kind != "none":
            found = f"`muon` with an adapter of kind `{self.model.adapter.kind}`"
            yield Conflict(("optimizer.kind", "model.adapter.kind"), found, "optimizer: {kind: adamw}, or no adapter")
        if "optim" in self.trainer:
            found = "set beside `optimizer: {kind: muon}`"
            yield Conflict(("trainer.optim", "optimizer.kind"), found, "one of the two")
