"""The `pretrain` recipe: a small Qwen3-architecture model from scratch, from generated text."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .data import Demonstrations
from .model import Launch
from .section import Options, Positive, PositiveFloat, Section


class Architecture(Section):
    """Sizes of the Qwen3 architecture."""

    hidden_size: Positive = 128
    layers: Positive = 4
    heads: Positive = 4
    kv_heads: Positive = 2
    head_dim: Positive = 32
    intermediate_size: Positive = 384
    max_positions: Positive = 2048


class Tokenizer(Section):
    """A byte-level BPE tokenizer trained on the mixture."""

    vocab_size: Positive = 3072
    """Special tokens included."""
    rows_per_source: Positive = 2000
    """Rows of each source that the tokenizer is trained on."""


class PretrainRecipe(Section):
    """Everything one pretraining run is made of."""

    kind: Literal["pretrain"]
    description: str = ""
    seed: int = Field(0, ge=0)
    output_dir: str
    architecture: Architecture = Architecture()
    tokenizer: Tokenizer = Tokenizer()
    mixture: list[Demonstrations] = Field(min_length=1)
    launch: Launch = Launch()
    muon_learning_rate: PositiveFloat = 0.02
    """Of the layers' weight matrices, which Muon trains; AdamW's is `trainer.learning_rate`."""
    trainer: Options = Field(default_factory=dict)
    """Fields of transformers' `TrainingArguments` under their own names."""
