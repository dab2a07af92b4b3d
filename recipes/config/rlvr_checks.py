"""Arithmetic of an `rlvr` recipe: groups, batches, splits, lengths, with the nearest valid values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from ..methods.advantages import PassAtK, Pkpo
from ..methods.divergences import RehearsalTerm
from .compression_checks import compression_checks
from .language.finding import Finding
from .language.library import accelerate_config
from .rewards import SqlExecution
from .rlvr import RlvrRecipe
from .shapes import shape_of
from .trainer_arguments import trainer_value


def rlvr_checks(recipe: RlvrRecipe) -> Iterator[Finding]:
    """Everything in an `rlvr` recipe whose numbers do not fit together."""
    for check in _CHECKS:
        yield from check(recipe)


def verifiers(recipe: RlvrRecipe) -> list[int]:
    """Places of the rewards whose verdicts say what is correct; empty where the recipe does not say which."""
    kinds = [reward.kind for reward in recipe.rewards]
    if recipe.verifier is None:
        found = [place for place, kind in enumerate(kinds) if kind not in _SHAPING] or [*range(len(kinds))]
        return found if len(found) == 1 else []
    named = recipe.verifier if isinstance(recipe.verifier, list) else [recipe.verifier]
    return sorted({place for place, kind in enumerate(kinds) if place in named or kind in named})


_SHAPING = ("format", "length", "capsule")
"""Rewards that say how good a completion is, not whether it is correct; the verifier only where there is no other."""


def nearest_multiples(value: int, step: int) -> str:
    """The multiples of `step` around `value`: `4 or 8`."""
    below = value // step * step
    return f"{below} or {below + step}" if below > 0 else str(step)


def _groups(recipe: RlvrRecipe) -> Iterator[Finding]:
    trainer, processes = recipe.trainer, recipe.launch.processes
    group = trainer_value(trainer, "num_generations")
    batch = trainer_value(trainer, "per_device_train_batch_size")
    if trainer.get("generation_batch_size") or not _counts(group, batch):
        return
    name, steps = _steps_per_generation(recipe)
    total = batch * steps * processes
    if total % group:
        step = group // math.gcd(group, steps * processes)
        yield Finding(
            (
                "trainer.per_device_train_batch_size",
                "trainer.num_generations",
                f"trainer.{name}",
                "launch.processes",
            ),
            f"{batch} x {steps} ({name}) x {processes} (processes) = {total} answers hold no whole number of "
            f"groups of {group}",
            f"{nearest_multiples(batch, step)}, or num_generations that divides {total}",
        )


def _steps_per_generation(recipe: RlvrRecipe) -> tuple[str, int]:
    steps = trainer_value(recipe.trainer, "steps_per_generation")
    if _counts(steps):
        return "steps_per_generation", steps
    steps = trainer_value(recipe.trainer, "gradient_accumulation_steps")
    return "gradient_accumulation_steps", steps if _counts(steps) else 1


def _pass_at_k(recipe: RlvrRecipe) -> Iterator[Finding]:
    group = trainer_value(recipe.trainer, "num_generations")
    advantage = recipe.advantage
    if isinstance(advantage, (PassAtK, Pkpo)) and _counts(group) and advantage.k > group:
        yield Finding(
            ("advantage.k", "trainer.num_generations"),
            f"k = {advantage.k} with groups of {group} answers",
            f"at most num_generations = {group}",
        )


def _split(recipe: RlvrRecipe) -> Iterator[Finding]:
    split = recipe.split
    if split is not None and split.threshold > split.rollouts:
        yield Finding(
            ("split.threshold", "split.rollouts"),
            f"{split.threshold} right answers of {split.rollouts}",
            f"at most rollouts = {split.rollouts}",
        )
    if split is None and recipe.divergence.rehearses:
        yield Finding(
            ("divergence", "split"),
            f"`{recipe.divergence.kind}` needs stored completions, and there is no `split`",
            "add `split: {rollouts: 8, threshold: 6}`",
        )


def _rehearsal(recipe: RlvrRecipe) -> Iterator[Finding]:
    accumulation = trainer_value(recipe.trainer, "gradient_accumulation_steps")
    step = recipe.launch.processes * (accumulation if _counts(accumulation) else 1)
    rows = recipe.rehearsal.batch_size
    if recipe.divergence.rehearses and rows % step:
        yield Finding(
            ("rehearsal.batch_size", "launch.processes", "trainer.gradient_accumulation_steps"),
            f"{rows} rows for {recipe.launch.processes} processes x {accumulation} accumulation steps",
            nearest_multiples(rows, step),
        )


def _top_k(recipe: RlvrRecipe) -> Iterator[Finding]:
    term = recipe.divergence
    if not isinstance(term, RehearsalTerm) or (term.estimator == "top_k") == (term.top_k is not None):
        return
    if term.top_k is None:
        yield Finding(("divergence.top_k", "divergence.estimator"), "missing", "a count, for `estimator: top_k`")
    else:
        found = f"{term.top_k} with `estimator: {term.estimator}`"
        yield Finding(("divergence.top_k", "divergence.estimator"), found, "only with `estimator: top_k`")


def _verifier(recipe: RlvrRecipe) -> Iterator[Finding]:
    kinds = [reward.kind for reward in recipe.rewards]
    choices = ", ".join(f"{place} ({kind})" for place, kind in enumerate(kinds))
    named = recipe.verifier if isinstance(recipe.verifier, list) else [recipe.verifier]
    if unknown := [name for name in named if name is not None and name not in (*kinds, *range(len(kinds)))]:
        yield Finding(("verifier",), f"{unknown[0]!r} is none of the rewards", f"one of {choices}, or its kind")
    elif recipe.advantage.reads_correctness and not verifiers(recipe):
        found = f"`{recipe.advantage.kind}` needs to know which completions are correct, and several rewards could say"
        yield Finding(("verifier", "advantage", "rewards"), found, f"`verifier: ` and one of {choices}")


def _losses(recipe: RlvrRecipe) -> Iterator[Finding]:
    term, temperature = recipe.divergence, trainer_value(recipe.trainer, "temperature")
    if isinstance(term, RehearsalTerm) and term.estimator == "sampled" and temperature not in (1, None):
        yield Finding(
            ("trainer.temperature", "divergence.estimator"),
            f"{temperature} with stored completions, which are samples of temperature 1",
            "1, or `estimator: full` or `top_k`, which sum over the vocabulary instead of sampling it",
        )
    high = trainer_value(recipe.trainer, "epsilon_high")
    if trainer_value(recipe.trainer, "loss_type") == "cispo" and (high is None or high < 1):
        yield Finding(
            ("trainer.epsilon_high", "trainer.loss_type"),
            f"{high} with `loss_type: cispo`, where it is the largest ratio itself: every ratio would be cut",
            "at least 1; 5 is usual",
        )


def _lengths(recipe: RlvrRecipe) -> Iterator[Finding]:
    shape = shape_of(recipe.model.id)
    engine = trainer_value(recipe.trainer, "vllm_max_model_length")
    limits = {"the model's context": shape.context if shape else None}
    limits["vllm_max_model_length"] = engine
    lengths = {"trainer.max_completion_length": trainer_value(recipe.trainer, "max_completion_length")}
    if recipe.split is not None:
        lengths["split.max_tokens"] = recipe.split.max_tokens
    for field, length in lengths.items():
        for name, limit in limits.items():
            if _counts(length, limit) and length >= limit:
                found = f"{length} leaves no room for a prompt in {name} of {limit}"
                yield Finding((field, "model.id", "trainer.vllm_max_model_length"), found, f"less than {limit}")


def _vllm(recipe: RlvrRecipe) -> Iterator[Finding]:
    trainer, processes = recipe.trainer, recipe.launch.processes
    size = trainer_value(trainer, "vllm_tensor_parallel_size")
    colocated = trainer_value(trainer, "use_vllm") and trainer_value(trainer, "vllm_mode") == "colocate"
    if colocated and _counts(size) and processes % size:
        valid = [str(number) for number in range(1, processes + 1) if processes % number == 0]
        yield Finding(
            ("trainer.vllm_tensor_parallel_size", "launch.processes"),
            f"{size} GPUs to each engine do not divide {processes} processes",
            f"one of {', '.join(valid)}",
        )


def _files(recipe: RlvrRecipe) -> Iterator[Finding]:
    config = recipe.launch.accelerate_config
    if config is not None and accelerate_config(config) is None:
        yield Finding(("launch.accelerate_config",), f"no such file {config!r}", "a path, or a shipped name")


def _row_order(recipe: RlvrRecipe) -> Iterator[Finding]:
    """Rewards that would pay for a wrong direction of ORDER BY."""
    for index, reward in enumerate(recipe.rewards):
        if not isinstance(reward, SqlExecution) or reward.strict:
            continue
        rule = reward.semantics or ("bird" if any(source.kind == "bird" for source in recipe.data) else None)
        if rule in ("bird", "set", "bag"):
            found = f"false, and `{rule}` pays for rows in a wrong order"
            yield Finding((f"rewards.{index}.strict",), found, "true; or semantics: spider or ordered")


def _counts(*values: object) -> bool:
    """Whether all are positive integers; anything else is another check's matter."""
    return all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in values)


_CHECKS: tuple[Callable[[RlvrRecipe], Iterator[Finding]], ...] = (
    _groups,
    _pass_at_k,
    _split,
    _rehearsal,
    _top_k,
    _verifier,
    _losses,
    _lengths,
    _vllm,
    _files,
    _row_order,
    compression_checks,
)
