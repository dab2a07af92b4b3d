"""Arithmetic of `sft` and `dpo` recipes: lengths, optimizers, files."""

from __future__ import annotations

from collections.abc import Iterator

from .dpo import DpoRecipe
from .judging_checks import plugin_checks
from .language.finding import Finding
from .language.library import accelerate_config
from .sft import SftRecipe
from .shapes import shape_of
from .trainer_arguments import trainer_value


def tuning_checks(recipe: SftRecipe | DpoRecipe) -> Iterator[Finding]:
    """Everything in an `sft` or `dpo` recipe that is right alone and wrong together."""
    yield from _lengths(recipe)
    if isinstance(recipe, SftRecipe):
        yield from _optimizer(recipe)
        yield from _order(recipe)
    config = recipe.launch.accelerate_config
    if config is not None and accelerate_config(config) is None:
        yield Finding(("launch.accelerate_config",), f"no such file {config!r}", "a path, or a shipped name")
    yield from plugin_checks([(f"data.{index}", source) for index, source in enumerate(recipe.data)])


def _lengths(recipe: SftRecipe | DpoRecipe) -> Iterator[Finding]:
    length = trainer_value(recipe.trainer, "max_length", recipe.kind)
    fields = ("trainer.max_length", "trainer.packing")
    if length is None and recipe.trainer.get("packing"):
        yield Finding(fields, "null, and packing fills sequences of that length", "a number of tokens")
    shape = shape_of(recipe.model.id)
    # A packed sequence holds several conversations, each counted from position 0.
    if shape and isinstance(length, int) and length > shape.context and not recipe.trainer.get("packing"):
        found = f"{length} tokens are more than the model's context"
        yield Finding(("trainer.max_length", "model.id"), found, f"at most {shape.context}")


def _optimizer(recipe: SftRecipe) -> Iterator[Finding]:
    if recipe.optimizer.kind != "muon":
        return
    if recipe.model.adapter.kind != "none":
        found = f"`muon` with an adapter of kind `{recipe.model.adapter.kind}`"
        yield Finding(("optimizer.kind", "model.adapter.kind"), found, "optimizer: {kind: adamw}, or no adapter")
    if "optim" in recipe.trainer:
        yield Finding(("trainer.optim", "optimizer.kind"), "set beside `optimizer: {kind: muon}`", "one of the two")


def _order(recipe: SftRecipe) -> Iterator[Finding]:
    strategy = recipe.trainer.get("train_sampling_strategy")
    if (recipe.first or not recipe.shuffle) and strategy not in (None, "sequential"):
        found = f"{strategy!r} changes the order that `first` and `shuffle: false` ask for"
        yield Finding(("trainer.train_sampling_strategy", "shuffle"), found, "sequential, or neither of them")
