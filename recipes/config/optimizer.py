"""The `optimizer:` section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .language.section import PositiveFloat, Section


class AdamW(Section):
    """The optimizer that `trainer.optim` names, AdamW unless it is set."""

    kind: Literal["adamw"] = "adamw"


class Muon(Section):
    """Muon for the layers' weight matrices, AdamW for the rest; fewer steps for small models."""

    kind: Literal["muon"]
    learning_rate: PositiveFloat = 0.02
    """Of the matrices that Muon trains; AdamW's is `trainer.learning_rate`."""


Optimizer = Annotated[AdamW | Muon, Field(discriminator="kind")]
