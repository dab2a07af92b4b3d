"""Checks that look at several fields at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from ...data.chat.renderer import shipped_templates, template_file
from .compression_checks import reader_checks
from .compression_eval import CompressionEvalRecipe, compression_eval_checks
from .coverage import CoverageRecipe, coverage_checks
from .data import Source
from .dpo import DpoRecipe
from .evaluation import EvalRecipe
from .judging_checks import judging_checks, plugin_checks
from .language.finding import Finding
from .pretrain import PretrainRecipe
from .rlvr import RlvrRecipe
from .rlvr_checks import rlvr_checks
from .sft import SftRecipe
from .tuning_checks import tuning_checks


def cross_checks(recipe: BaseModel) -> Iterator[Finding]:
    """Everything in a recipe that is right alone and wrong together."""
    yield from _template(recipe)
    yield from _sharded_optimizer(recipe)
    if isinstance(recipe, RlvrRecipe):
        yield from rlvr_checks(recipe)
        sources = _numbered("data", recipe.data) | _numbered("rehearsal.data", recipe.rehearsal.data)
        yield from judging_checks(sources, "rewards", recipe.rewards)
        yield from plugin_checks(
            list(sources.items()) + [(f"rewards.{index}", item) for index, item in enumerate(recipe.rewards)]
        )
    elif isinstance(recipe, EvalRecipe):
        yield from _eval_checks(recipe)
    elif isinstance(recipe, CompressionEvalRecipe):
        yield from compression_eval_checks(recipe)
        yield from plugin_checks(list(_numbered("data", recipe.data).items()))
    elif isinstance(recipe, SftRecipe | DpoRecipe):
        yield from tuning_checks(recipe)
    elif isinstance(recipe, PretrainRecipe):
        yield from _pretrain_checks(recipe)
    elif isinstance(recipe, CoverageRecipe):
        yield from coverage_checks(recipe)


def _numbered(field: str, sources: Sequence[Source]) -> dict[str, Source]:
    return {f"{field}.{index}": source for index, source in enumerate(sources)}


def _template(recipe: BaseModel) -> Iterator[Finding]:
    name = getattr(getattr(recipe, "model", None), "chat_template", None)
    if name is not None and template_file(name) is None:
        allowed = f"a Jinja file, or one of {', '.join(shipped_templates())}"
        yield Finding(("model.chat_template",), f"no such file {name!r}", allowed)


def _sharded_optimizer(recipe: BaseModel) -> Iterator[Finding]:
    optimizer, launch = getattr(recipe, "optimizer", None), getattr(recipe, "launch", None)
    if getattr(optimizer, "kind", "") == "muon" and launch and launch.accelerate_config in ("fsdp2", "zero2", "zero3"):
        found = f"`muon`, which takes whole matrices, with shards by `{launch.accelerate_config}`"
        yield Finding(("optimizer.kind", "launch.accelerate_config"), found, "optimizer: {kind: adamw}, or ddp")


def _eval_checks(recipe: EvalRecipe) -> Iterator[Finding]:
    if recipe.kl is not None and recipe.engine.kind != "transformers":
        found = f"a divergence measured with `{recipe.engine.kind}`"
        yield Finding(("kl", "engine.kind"), found, "engine.kind: transformers, or kl: null")
    if not recipe.suites and recipe.retention is None:
        yield Finding(
            ("suites", "retention"), "nothing to evaluate", "at least one suite, or `retention: {tasks: [...]}`"
        )
    rewards = {f"suites.{index}.reward": suite.reward for index, suite in enumerate(recipe.suites)}
    yield from reader_checks(rewards, bool(recipe.readers), recipe.encoder is not None)
    for index, suite in enumerate(recipe.suites):
        here = f"suites.{index}"
        if max(suite.ks) > suite.sampling.n:
            found = f"Pass@{max(suite.ks)} from n = {suite.sampling.n} answers"
            yield Finding((f"{here}.ks", f"{here}.sampling.n"), found, f"k of at most {suite.sampling.n}")
        # Some file systems take capitals for small letters.
        if suite.name.casefold() in [other.name.casefold() for other in recipe.suites[:index]]:
            yield Finding((f"{here}.name",), f"a second suite {suite.name!r}", "names that differ")
        sources = _numbered(f"{here}.data", suite.data)
        if suite.holdout is not None:
            sources |= _numbered(f"{here}.holdout.data", suite.holdout.data)
        yield from judging_checks(sources, f"{here}.reward", [suite.reward])
        yield from plugin_checks([*sources.items(), (f"{here}.reward", suite.reward)])


def _pretrain_checks(recipe: PretrainRecipe) -> Iterator[Finding]:
    sizes = recipe.architecture
    if sizes.heads % sizes.kv_heads:
        valid = [str(number) for number in range(1, sizes.heads + 1) if sizes.heads % number == 0]
        found = f"{sizes.kv_heads} do not divide {sizes.heads} heads"
        fields = ("architecture.kv_heads", "architecture.heads")
        yield Finding(fields, found, f"one of {', '.join(valid)}")
