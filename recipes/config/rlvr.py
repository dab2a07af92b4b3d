"""The `rlvr` recipe: reinforcement learning from verifiable rewards that keeps diversity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ...data.options import Positive, Share
from ..methods.advantages import ADVANTAGES, Group, PassAtK, Pkpo
from ..methods.divergences import DIVERGENCES, NoDivergence, RehearsalTerm
from ..methods.options import schema_of
from .compression import Objective, PolicyGradient, Reader, reader_conflicts
from .data import DataSource, HeldOut, numbered
from .language.errors import Conflict
from .language.section import LongPrompts, Options, RecipeBase, Section
from .model import AdamW, Engine, Launch, Model, Optimizer, TransformersEngine
from .rewards import Reward, judging_conflicts
from .shapes import shape_of
from .trainer_arguments import trainer_value


class Split(Section):
    """Which prompts the initial policy already solves (temperature 1, nothing truncated).

    A prompt is near-perfect when at least `threshold` of `rollouts` answers are right. Its fresh,
    confirmed answers are stored for rehearsal; all other prompts are for exploration.
    """

    train_on: Literal["all", "exp"] = "exp"
    """Whether RL trains on every prompt or only on those that are not near-perfect."""
    rollouts: Positive = 8
    threshold: Positive = 6
    confirm: bool = True
    """Draw fresh answers for the store and keep only right ones, so that luck does not select."""
    samples_per_prompt: Positive = 1
    """Answers stored for each near-perfect prompt."""
    all_wrong: Literal["keep", "drop"] = "keep"
    """Whether RL keeps prompts that no rollout solved."""
    max_tokens: Positive | None = None
    """Longest answer; null takes `trainer.max_completion_length`."""
    engine: Engine = TransformersEngine(kind="transformers")


class Rehearsal(Section):
    """How stored answers enter a training step."""

    batch_size: Positive = 16
    """Stored answers per optimizer step, all processes together."""
    seed: int = 0
    data: list[DataSource] = Field(default_factory=list)
    """Old skills to keep: prompts of which right answers are stored and rehearsed, but that RL never trains on."""


class HeldOutPrompts(HeldOut):
    """Prompts whose reward and Pass@k are measured while training, sampled as in training."""

    data: list[DataSource] = Field(min_length=1)
    samples: Positive = 4
    """Completions for each prompt."""
    ks: list[Positive] = Field([1], min_length=1)
    """The k of each Pass@k. The best model is the one with the highest first of them, or with the highest reward where
    the recipe does not say which reward is the verifier."""


def _with_kind(value: Any) -> Any:
    """Let `advantage: {skip_zero_variance: false}` mean the usual kind."""
    return {"kind": "group"} | value if isinstance(value, dict) else value


if TYPE_CHECKING:
    from ..methods.advantages import Advantage
    from ..methods.divergences import Divergence
else:
    Advantage = Annotated[schema_of(ADVANTAGES), BeforeValidator(_with_kind)]
    Divergence = schema_of(DIVERGENCES)


class RlvrRecipe(RecipeBase):
    """Everything one RLVR run is made of."""

    kind: Literal["rlvr"]
    model: Model
    data: list[DataSource] = Field(min_length=1)
    rewards: list[Reward] = Field(min_length=1)
    readers: list[Reader] = Field(default_factory=list)
    """Frozen models for rewards that ask what a reader makes of an answer."""
    encoder: Model | None = None
    """Frozen model for rewards that compare meanings, through its mean hidden state."""
    objective: Objective = PolicyGradient()
    split: Split | None = None
    rehearsal: Rehearsal = Rehearsal()
    divergence: Divergence = NoDivergence()
    advantage: Advantage = Group()
    verifier: int | str | list[int | str] | None = None
    """The reward whose verdicts say which completions are correct, by its place or its kind (several, where each judges
    rows of its own); null takes the only one that is not `format`, `length` or `capsule`."""
    held_out: HeldOutPrompts | None = None
    """Also measure reward and Pass@k on prompts that are not trained on."""
    optimizer: Optimizer = AdamW()
    share_prompts: bool = False
    """Read the prompt of a group once in a training step: cheaper where prompts are long and answers short. For models
    that fit one device, without gradient checkpointing."""
    max_grader_errors: Share = 0.05
    """Share of judgements, over the last ten rollout batches, that may fail before the run stops; 1 never stops."""
    max_unjudgeable: Share = 0.1
    """Share of the rows that may be left out because their own gold answer is not judged right."""
    long_prompts: LongPrompts = "refuse"
    """What to do with prompts that leave no room for an answer in the model's context."""
    launch: Launch = Launch()
    trainer: Options = Field(default_factory=dict)
    """Fields of TRL's `GRPOConfig` under their own names."""

    def conflicts(self) -> Iterator[Conflict]:
        """Numbers that do not fit together, rewards that do not fit their rows, files that are not there."""
        yield from self.model.conflicts()
        yield from self.launch.conflicts()
        yield from self.launch.optimizer_conflicts(self.optimizer)
        for check in _CHECKS:
            yield from check(self)
        rewards = {f"rewards.{index}": reward for index, reward in enumerate(self.rewards)}
        yield from reader_conflicts(rewards, bool(self.readers), self.encoder is not None)
        sources = numbered("data", self.data) | numbered("rehearsal.data", self.rehearsal.data)
        sources |= numbered("held_out.data", self.held_out.data if self.held_out else [])
        yield from judging_conflicts(sources, "rewards", self.rewards)


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


def _groups(recipe: RlvrRecipe) -> Iterator[Conflict]:
    trainer, processes = recipe.trainer, recipe.launch.processes
    group = trainer_value(trainer, "num_generations")
    batch = trainer_value(trainer, "per_device_train_batch_size")
    if trainer.get("generation_batch_size") or not _counts(group, batch):
        return
    name, steps = _steps_per_generation(recipe)
    total = batch * steps * processes
    if total % group:
        step = group // math.gcd(group, steps * processes)
        yield Conflict(
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


def _pass_at_k(recipe: RlvrRecipe) -> Iterator[Conflict]:
    group = trainer_value(recipe.trainer, "num_generations")
    advantage = recipe.advantage
    if isinstance(advantage, (PassAtK, Pkpo)) and _counts(group) and advantage.k > group:
        yield Conflict(
            ("advantage.k", "trainer.num_generations"),
            f"k = {advantage.k} with groups of {group} answers",
            f"at most num_generations = {group}",
        )


def _split(recipe: RlvrRecipe) -> Iterator[Conflict]:
    split = recipe.split
    if split is not None and split.threshold > split.rollouts:
        yield Conflict(
            ("split.threshold", "split.rollouts"),
            f"{split.threshold} right answers of {split.rollouts}",
            f"at most rollouts = {split.rollouts}",
        )
    if split is None and recipe.divergence.rehearses:
        yield Conflict(
            ("divergence", "split"),
            f"`{recipe.divergence.kind}` needs stored completions, and there is no `split`",
            "add `split: {rollouts: 8, threshold: 6}`",
        )


def _rehearsal(recipe: RlvrRecipe) -> Iterator[Conflict]:
    accumulation = trainer_value(recipe.trainer, "gradient_accumulation_steps")
    step = recipe.launch.processes * (accumulation if _counts(accumulation) else 1)
    rows = recipe.rehearsal.batch_size
    if recipe.divergence.rehearses and rows % step:
        yield Conflict(
            ("rehearsal.batch_size", "launch.processes", "trainer.gradient_accumulation_steps"),
            f"{rows} rows for {recipe.launch.processes} processes x {accumulation} accumulation steps",
            nearest_multiples(rows, step),
        )


def _held_out(recipe: RlvrRecipe) -> Iterator[Conflict]:
    section = recipe.held_out
    if section is not None and max(section.ks) > section.samples:
        found = f"Pass@{max(section.ks)} from {section.samples} completions"
        yield Conflict(("held_out.ks", "held_out.samples"), found, f"k of at most {section.samples}")


def _dropout(recipe: RlvrRecipe) -> Iterator[Conflict]:
    dropout = getattr(recipe.model.adapter, "dropout", 0.0)
    if recipe.divergence.rehearses and dropout and not recipe.trainer.get("disable_dropout"):
        found = f"{dropout}, and with dropout the policy would not be the one whose completions are stored"
        yield Conflict(("model.adapter.dropout", "divergence"), found, "0, or trainer.disable_dropout: true")


def _top_k(recipe: RlvrRecipe) -> Iterator[Conflict]:
    term = recipe.divergence
    if not isinstance(term, RehearsalTerm) or (term.estimator == "top_k") == (term.top_k is not None):
        return
    if term.top_k is None:
        yield Conflict(("divergence.top_k", "divergence.estimator"), "missing", "a count, for `estimator: top_k`")
    else:
        found = f"{term.top_k} with `estimator: {term.estimator}`"
        yield Conflict(("divergence.top_k", "divergence.estimator"), found, "only with `estimator: top_k`")


def _verifier(recipe: RlvrRecipe) -> Iterator[Conflict]:
    kinds = [reward.kind for reward in recipe.rewards]
    choices = ", ".join(f"{place} ({kind})" for place, kind in enumerate(kinds))
    named = recipe.verifier if isinstance(recipe.verifier, list) else [recipe.verifier]
    if unknown := [name for name in named if name is not None and name not in (*kinds, *range(len(kinds)))]:
        yield Conflict(("verifier",), f"{unknown[0]!r} is none of the rewards", f"one of {choices}, or its kind")
    elif recipe.advantage.reads_correctness and not verifiers(recipe):
        found = f"`{recipe.advantage.kind}` needs to know which completions are correct, and several rewards could say"
        yield Conflict(("verifier", "advantage", "rewards"), found, f"`verifier: ` and one of {choices}")


def _losses(recipe: RlvrRecipe) -> Iterator[Conflict]:
    term, temperature = recipe.divergence, trainer_value(recipe.trainer, "temperature")
    if isinstance(term, RehearsalTerm) and term.estimator == "sampled" and temperature not in (1, None):
        yield Conflict(
            ("trainer.temperature", "divergence.estimator"),
            f"{temperature} with stored completions, which are samples of temperature 1",
            "1, or `estimator: full` or `top_k`, which sum over the vocabulary instead of sampling it",
        )
    high = trainer_value(recipe.trainer, "epsilon_high")
    if trainer_value(recipe.trainer, "loss_type") == "cispo" and (high is None or high < 1):
        yield Conflict(
            ("trainer.epsilon_high", "trainer.loss_type"),
            f"{high} with `loss_type: cispo`, where it is the largest ratio itself: every ratio would be cut",
            "at least 1; 5 is usual",
        )


def _lengths(recipe: RlvrRecipe) -> Iterator[Conflict]:
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
                yield Conflict((field, "model.id", "trainer.vllm_max_model_length"), found, f"less than {limit}")


def _vllm(recipe: RlvrRecipe) -> Iterator[Conflict]:
    trainer, processes = recipe.trainer, recipe.launch.processes
    size = trainer_value(trainer, "vllm_tensor_parallel_size")
    colocated = trainer_value(trainer, "use_vllm") and trainer_value(trainer, "vllm_mode") == "colocate"
    if colocated and _counts(size) and processes % size:
        valid = [str(number) for number in range(1, processes + 1) if processes % number == 0]
        yield Conflict(
            ("trainer.vllm_tensor_parallel_size", "launch.processes"),
            f"{size} GPUs to each engine do not divide {processes} processes",
            f"one of {', '.join(valid)}",
        )


def _row_order(recipe: RlvrRecipe) -> Iterator[Conflict]:
    """Rewards that would pay for a wrong direction of ORDER BY."""
    for index, reward in enumerate(recipe.rewards):
        if reward.kind != "sql_execution" or (options := reward.arguments())["strict"]:
            continue
        rule = options["semantics"] or ("bird" if any(source.kind == "bird" for source in recipe.data) else None)
        if rule in ("bird", "set", "bag"):
            found = f"false, and `{rule}` pays for rows in a wrong order"
            yield Conflict((f"rewards.{index}.strict",), found, "true; or semantics: spider or ordered")


def _counts(*values: object) -> bool:
    """Whether all are positive integers; anything else is another check's matter."""
    return all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in values)


def _objective(recipe: RlvrRecipe) -> Iterator[Conflict]:
    if recipe.objective.kind != "capsulator":
        return
    for index, source in enumerate(recipe.data):
        if source.columns is not None and "passage" not in source.columns:
            where = (f"data.{index}.kind", "objective.kind")
            yield Conflict(where, f"`capsulator` repeats passages, `{source.kind}` has none", "a source of passages")
    if recipe.divergence.kind != "none":
        found = f"a divergence `{recipe.divergence.kind}` beside `capsulator`"
        yield Conflict(("divergence.kind", "objective.kind"), found, "divergence: {kind: none}")


def _shared(recipe: RlvrRecipe) -> Iterator[Conflict]:
    if not recipe.share_prompts:
        return
    if trainer_value(recipe.trainer, "gradient_checkpointing") is not False:
        where = ("share_prompts", "trainer.gradient_checkpointing")
        yield Conflict(where, "prompts stay in a cache, which checkpointing drops", "gradient_checkpointing: false")
    if recipe.objective.kind == "capsulator":
        found = "`capsulator` has no log-probs to share prompts for"
        yield Conflict(("share_prompts", "objective.kind"), found, "share_prompts: false")


_CHECKS: tuple[Callable[[RlvrRecipe], Iterator[Conflict]], ...] = (
    _groups,
    _pass_at_k,
    _split,
    _rehearsal,
    _dropout,
    _held_out,
    _top_k,
    _verifier,
    _losses,
    _lengths,
    _vllm,
    _row_order,
    _objective,
    _shared,
)
