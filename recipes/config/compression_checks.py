"""Whether an `rlvr` recipe has the frozen models and the rows that its rewards and its objective ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .finding import Finding
from .rewards import Capsule
from .trainer import trainer_value

if TYPE_CHECKING:
    from .rlvr import RlvrRecipe


def compression_checks(recipe: RlvrRecipe) -> Iterator[Finding]:
    """Everything about readers, encoders, the objective and shared prompts that does not fit together."""
    reads = [index for index, reward in enumerate(recipe.rewards) if isinstance(reward, Capsule)]
    if reads and not recipe.readers:
        where = (f"rewards.{reads[0]}.kind", "readers")
        yield Finding(where, "`capsule` asks a reader, and there is none", "`readers: [{model: {id: ...}}]`")
    if recipe.readers and not reads:
        yield Finding(("readers", "rewards"), "no reward asks a reader", "a reward `capsule`, or no `readers`")
    compares = [index for index in reads if recipe.rewards[index].semantics]
    if compares and recipe.encoder is None:
        where = (f"rewards.{compares[0]}.semantics", "encoder")
        yield Finding(where, "meanings are compared, and there is no encoder", "`encoder: {id: ...}`, or semantics: 0")
    if recipe.objective.kind == "capsulator":
        yield from _objective(recipe)
    if recipe.share_prompts:
        yield from _shared(recipe)


def _objective(recipe: RlvrRecipe) -> Iterator[Finding]:
    for index, source in enumerate(recipe.data):
        if source.columns is not None and "passage" not in source.columns:
            where = (f"data.{index}.kind", "objective.kind")
            yield Finding(where, f"`capsulator` repeats passages, `{source.kind}` has none", "a source of passages")
    if recipe.divergence.kind != "none":
        found = f"a divergence `{recipe.divergence.kind}` beside `capsulator`"
        yield Finding(("divergence.kind", "objective.kind"), found, "divergence: {kind: none}")


def _shared(recipe: RlvrRecipe) -> Iterator[Finding]:
    if trainer_value(recipe.trainer, "gradient_checkpointing") is not False:
        where = ("share_prompts", "trainer.gradient_checkpointing")
        yield Finding(where, "prompts are kept in a cache, and checkpointing drops it", "gradient_checkpointing: false")
    if recipe.objective.kind == "capsulator":
        found = "`capsulator` has no log-probs to share prompts for"
        yield Finding(("share_prompts", "objective.kind"), found, "share_prompts: false")
