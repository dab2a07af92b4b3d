"""The `coverage` recipe: small models from scratch on compositional data, one for each size of the training set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ...data.compositional import FamilyName, TablesName
from ...data.options import Positive, Share
from .language.errors import Conflict
from .language.section import Options, RecipeBase, Section


class CompositionalData(Section):
    """What is composed, and how many rows of it are trained on."""

    family: FamilyName = "two_hop"
    values: int = Field(20, ge=2)
    """Values a slot can take, |X|."""
    rows: list[Positive] = Field([3000], min_length=1)
    """Sizes of the training set, N; a model of its own is trained on each."""
    tables: TablesName = "random"
    target: Literal["direct", "cot", "filler"] = "direct"
    """What is written: the answer, the bridge values before it, or a filler token in their place."""
    seen: float = Field(0.7, gt=0, le=1)
    """Share of each table's entries that training rows may use."""
    test_size: Positive = 2000
    """Held-out rows of each type, at most."""
    validation: float = Field(0.2, ge=0, lt=1)
    """Share of the held-out rows of the first type that decides when to stop; they are not tested on."""


class ProbeArchitecture(Section):
    """Sizes of the GPT-2 architecture (pre-norm, tied embeddings, no dropout) with a token for each value."""

    layers: Positive = 2
    width: Positive = 64
    heads: Positive = 4


class Stop(Section):
    """When training ends before `trainer.max_steps`."""

    accuracy: Share = 0.99
    """Of validation rows."""
    evaluations: Positive = 2
    """So many in a row have to reach it."""


class CoverageRecipe(RecipeBase):
    """Everything a study of what a model composes is made of."""

    kind: Literal["coverage"]
    seed: int = Field(0, ge=0)
    """Of tables, rows, weights and order."""
    data: CompositionalData = CompositionalData()
    architecture: ProbeArchitecture = ProbeArchitecture()
    loss: Literal["cross_entropy", "stablemax"] = "cross_entropy"
    """`stablemax` keeps gradients where softmax rounds to one (arXiv 2501.04697)."""
    gradient: Literal["plain", "perpendicular"] = "plain"
    """`perpendicular` takes out of each weight's gradient the part along the weight (arXiv 2501.04697)."""
    evaluate_every: Positive = 250
    """Steps between measurements of accuracy by type and by k-cutoff."""
    stop: Stop = Stop()
    processes: Positive = 2
    """Models trained at the same time, one thread each."""
    trainer: Options = Field(default_factory=dict)
    """Fields of transformers' `TrainingArguments` under their own names."""

    def conflicts(self) -> Iterator[Conflict]:
        """Sizes that do not divide, data that has no such target or tables, no end."""
        sizes, data = self.architecture, self.data
        if sizes.width % sizes.heads:
            valid = ", ".join(str(number) for number in range(1, sizes.width + 1) if sizes.width % number == 0)
            fields = ("architecture.heads", "architecture.width")
            yield Conflict(fields, f"{sizes.heads} do not divide a width of {sizes.width}", f"one of {valid}")
        if data.tables == "same_f12" and data.family == "non_tree":
            found = "one table for two and for three arguments"
            yield Conflict(("data.tables", "data.family"), found, "another family, or tables of another kind")
        if data.target != "direct" and data.family == "one_hop":
            yield Conflict(("data.target", "data.family"), "no bridge values in one_hop", "target: direct")
        if len(set(data.rows)) < len(data.rows):
            yield Conflict(("data.rows",), "a size twice", "sizes that differ")
        if self.trainer.get("max_steps", -1) < 1:
            yield Conflict(("trainer.max_steps",), "no end", "the most steps a model is trained for")
