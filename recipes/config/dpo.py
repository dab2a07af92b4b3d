"""The `dpo` recipe: learn from pairs of a better and a worse answer (hf.co/papers/2305.18290)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from .data import DpoSource, HeldOut, numbered, source_conflicts
from .language.errors import Conflict
from .sft import TuningRecipe


class HeldOutPairs(HeldOut):
    """Pairs whose loss is measured while training."""

    data: list[DpoSource] = Field(min_length=1)


class DpoRecipe(TuningRecipe):
    """Everything one DPO run is made of.

    With an adapter the reference is the model without it; otherwise a frozen copy of the start.
    """

    kind: Literal["dpo"]
    data: list[DpoSource] = Field(min_length=1)
    held_out: HeldOutPairs | None = None
    """Also measure the loss, and how often the better answer is preferred, on pairs that are not trained on."""

    def conflicts(self) -> Iterator[Conflict]:
        """See the base."""
        yield from super().conflicts()
        held_out = numbered("held_out.data", self.held_out.data if self.held_out else [])
        yield from source_conflicts(numbered("data", self.data) | held_out)
        if not self.trainer.get("sync_ref_model"):
            return
        fields = ("trainer.sync_ref_model", "model.adapter.kind", "trainer.precompute_ref_log_probs")
        if self.model.adapter.kind != "none" or self.trainer.get("precompute_ref_log_probs"):
            yield Conflict(fields, "true, and there is no reference model of its own", "all weights, computed live")
