"""Whether a recipe has the frozen models and the rows that its rewards and its objective ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from .language.finding import Finding
from .rewards import Capsule, RewardSpec
from .trainer_arguments import trainer_value

if TYPE_CHECKING:
    from .rlvr import RlvrRecipe


def compression_checks(recipe: RlvrRecipe) -> Iterator[Finding]:
    """Everything about readers, encoders, the objective and shared prompts that does not fit together."""
    rewards = {f"rewards.{index}": reward for index, reward in enumerate(recipe.rewards)}
    yield from reader_checks(rewards, bool(recipe.readers), recipe.encoder is not None)
    if recipe.objective.kind == "capsulator":
        yield from _objective(recipe)
    if recipe.share_prompts:
        yield from _shared(recipe)


def reader_checks(rewards: Mapping[str, RewardSpec], readers: bool, encoder: bool) -> Iterator[Finding]:
    """Rewards that ask frozen models which are not there, and readers that nobody asks.

    Args:
        rewards: By the field that each stands in.
        readers: Whether the recipe names any.
        encoder: Whether it names one.
    """
    reads = {field: reward for field, reward in rewards.items() if isinstance(reward, Capsule)}
    if reads and not readers:
        where = (f"{next(iter(reads))}.kind", "readers")
        yield Finding(where, "`capsule` asks a reader, and there is none", "`readers: [{model: {id: ...}}]`")
    if readers and not reads:
        where = ("readers", next(iter(rewards), "suites").partition(".")[0])
        yield Finding(where, "no reward asks a reader", "a reward `capsule`, or no `readers`")
    compares = [field for field, reward in reads.items() if reward.semantics]
    if compares and not encoder:
        where = (f"{compares[0]}.semantics", "encoder")
        yield Finding(where, "meanings are compared, and there is no encoder", "`encoder: {id: ...}`, or semantics: 0")


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
