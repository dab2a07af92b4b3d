"""The `dpo` recipe: learn from pairs of a better and a worse answer (hf.co/papers/2305.18290)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .language.section import Options, Section
from .model import Launch, Model
from .sft_data import DpoSource


class DpoRecipe(Section):
    """Everything one DPO run is made of.

    With an adapter the reference is the model without it; otherwise a frozen copy of the start.
    """

    kind: Literal["dpo"]
    description: str = ""
    seed: int = Field(0, ge=0)
    output_dir: str
    model: Model
    data: list[DpoSource] = Field(min_length=1)
    launch: Launch = Launch()
    trainer: Options = Field(default_factory=dict)
    """Fields of TRL's `DPOConfig` under their own names."""
