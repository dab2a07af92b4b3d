"""The `compression_eval` recipe: what readers make of a compressor's capsules, beside baselines and controls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ...data.options import Positive, Weight
from .compression import Reader
from .data import DataSource, numbered, source_conflicts
from .language.errors import Conflict
from .language.section import FolderName, Options, RecipeBase, Section
from .model import Engine, Model, TransformersEngine

COLUMNS = ("passage", "budget", "questions")
"""What rows need beside their prompt."""


class Baselines(Section):
    """Compressors to compare with, beside truncation and random sentences, which need no model."""

    base: Model | None = None
    """The model before training, with the compressor's engine: it writes the zero-shot summary and weighs words by
    their surprise (Selective Context, hf.co/papers/2310.06201). Null leaves both out."""
    llmlingua2: str | None = None
    """Folder with the weights of LLMLingua-2's token classifier (hf.co/papers/2403.12968); null leaves it out."""


class Latency(Section):
    """Timing of the compressor and of every reader, apart."""

    batches: list[Positive] = Field([1, 8, 64], min_length=1)
    """Passages handled together."""
    repeats: Positive = 5
    """Rounds of each; the median counts."""


class Prices(Section):
    """Prices for a million tokens."""

    stated: str = Field(min_length=1)
    """Where and when they were found, or that they are assumed."""
    currency: str = "USD"
    reader_input: Weight
    reader_cached_input: Weight | None = None
    """Of a prefix that the provider kept; null if it keeps none."""
    compressor_input: Weight
    compressor_output: Weight


class CompressionEvalRecipe(RecipeBase):
    """Everything one evaluation of a compressor is made of."""

    kind: Literal["compression_eval"]
    seed: int = Field(0, ge=0)
    """Of random facts and random sentences."""
    suite: FolderName = "compression"
    """Name of this set of passages on the board."""
    model: Model
    """The compressor."""
    engine: Engine = TransformersEngine(kind="transformers")
    max_tokens: Positive = 64
    """Most tokens that the compressor may write; above the budget, so that it can be seen to run over."""
    chat_template_kwargs: Options = Field(default_factory=dict)
    """More arguments for the compressor's chat template, those that it was trained with."""
    data: list[DataSource] = Field(min_length=1)
    readers: list[Reader] = Field(min_length=1)
    """The first one trained the compressor and counts the budget."""
    encoder: Model | None = None
    """Frozen model whose mean hidden states compare capsules with passages; null leaves it out."""
    baselines: Baselines = Baselines()
    latency: Latency | None = Latency()
    prices: Prices | None = None
    limit: Positive | None = None
    """Only the first passages."""

    def conflicts(self) -> Iterator[Conflict]:
        """Sources that are not passages with questions, and readers of one name."""
        yield from self.model.conflicts()
        yield from source_conflicts(numbered("data", self.data))
        for index, source in enumerate(self.data):
            missing = set(COLUMNS) - set(COLUMNS if source.columns is None else source.columns)
            if missing:
                found = f"`{source.kind}` has no {' or '.join(sorted(missing))}"
                yield Conflict((f"data.{index}.kind",), found, "a source of passages with questions")
        names = [reader.name or reader.model.id for reader in self.readers]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield Conflict((f"readers.{index}.name",), f"a second reader {name!r}", "names that differ")
