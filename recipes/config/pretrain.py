"""The `pretrain` recipe: a small model from scratch, from generated text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ...data.options import Positive, PositiveFloat
from .data import PretrainSource
from .language.errors import Conflict
from .language.section import Options, RecipeBase, Section
from .model import Launch


class Architecture(Section):
    """Family and sizes of the model."""

    kind: Literal["qwen3", "lfm2"] = "qwen3"
    """`lfm2` has a short convolution in every other layer in place of attention (hf.co/papers/2511.23404)."""
    hidden_size: Positive = 128
    layers: Positive = 4
    heads: Positive = 4
    kv_heads: Positive = 2
    head_dim: Positive = 32
    """Of `qwen3`; in `lfm2` the heads share `hidden_size`."""
    intermediate_size: Positive = 384
    max_positions: Positive = 2048


class Tokenizer(Section):
    """A tokenizer trained on the mixture: byte-level BPE, or one token for each word and mark."""

    kind: Literal["bpe", "words"] = "bpe"
    vocab_size: Positive = 3072
    """Special tokens included."""
    rows_per_source: Positive = 2000
    """Rows of each source that the tokenizer is trained on."""


class PretrainRecipe(RecipeBase):
    """Everything one pretraining run is made of."""

    kind: Literal["pretrain"]
    architecture: Architecture = Architecture()
    tokenizer: Tokenizer = Tokenizer()
    mixture: list[PretrainSource] = Field(min_length=1)
    launch: Launch = Launch()
    muon_learning_rate: PositiveFloat = 0.02
    """Of the layers' weight matrices, which Muon trains; AdamW's is `trainer.learning_rate`."""
    trainer: Options = Field(default_factory=dict)
    """Fields of transformers' `TrainingArguments` under their own names."""

    def conflicts(self) -> Iterator[Conflict]:
        """Heads that do not divide."""
        yield from self.launch.conflicts()
        sizes = self.architecture
        if sizes.heads % sizes.kv_heads:
            valid = [str(number) for number in range(1, sizes.heads + 1) if sizes.heads % number == 0]
            fields = ("architecture.kv_heads", "architecture.heads")
            yield Conflict(fields, f"{sizes.kv_heads} do not divide {sizes.heads} heads", f"one of {', '.join(valid)}")
