"""`quince plan`: what a run will need, from the recipe alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..config.compression_eval import CompressionEvalRecipe
from ..config.coverage import CoverageRecipe
from ..config.dpo import DpoRecipe
from ..config.evaluation import EvalRecipe
from ..config.pipeline import PipelineRecipe
from ..config.pretrain import PretrainRecipe
from ..config.rlvr import RlvrRecipe
from ..config.sft import SftRecipe
from ..config.shapes import Shape, shape_of
from ..config.trainer_arguments import Target, trainer_value
from ..coverage.overview import plan_lines
from ..parts.units import readable
from ..run.launching import launch_command
from .generation import generation
from .gpus import DEFAULT, GPUS, Gpu
from .lines import Line, launch_lines, memory_lines, time_lines
from .seconds import work
from .training_memory import disk_text, pretrain_training, rlvr_training, saved_bytes, tuning_training

if TYPE_CHECKING:
    from ..config.data import Source
    from ..config.loaded import LoadedRecipe, Recipe
    from ..config.model import Model


def make_plan(loaded: LoadedRecipe[Recipe], gpu: str = DEFAULT, arguments: Sequence[str] = ()) -> str:
    """The plan as aligned lines of text; that of a pipeline is those of its stages.

    Args:
        loaded: From `load_recipe`.
        gpu: A name of `GPUS`.
        arguments: The recipe and the overrides as they were given, for the commands; without them the recipe's name.
    """
    blocks = [list(_lines(part, GPUS[gpu])) for part in loaded.parts()]
    commands = list(_commands(loaded, arguments or [loaded.name]))
    if isinstance(loaded.recipe, PipelineRecipe):
        blocks.append(commands)
    else:
        blocks[0] += commands
    return "\n\n".join(map(_aligned, blocks))


def _aligned(lines: Iterable[Line]) -> str:
    lines = list(lines)
    width = max(len(label) for label, _ in lines)
    return "\n".join(f"{label:<{width}}  {text}" for label, text in lines)


def _lines(loaded: LoadedRecipe[Recipe], gpu: Gpu) -> Iterator[Line]:
    recipe = loaded.recipe
    if isinstance(recipe, RlvrRecipe):
        return _rlvr(loaded, recipe, gpu)
    if isinstance(recipe, SftRecipe | DpoRecipe):
        return _tuning(loaded, recipe, gpu)
    if isinstance(recipe, CoverageRecipe):
        return plan_lines(loaded, recipe)
    if isinstance(recipe, CompressionEvalRecipe):
        return _compression_evaluation(loaded, recipe)
    if isinstance(recipe, PretrainRecipe):
        return _pretrain(loaded, recipe, gpu)
    if isinstance(recipe, EvalRecipe):
        return _evaluation(loaded, recipe)
    raise AssertionError("a pipeline is planned stage by stage")


def _rlvr(loaded: LoadedRecipe[Recipe], recipe: RlvrRecipe, gpu: Gpu) -> Iterator[Line]:
    shape = shape_of(recipe.model.id)
    yield "recipe", f"{loaded.name}: {recipe.description}"
    yield "model", _model_text(recipe.model, shape)
    yield from _batch(recipe)
    if shape is not None:
        training, engine = rlvr_training(recipe, shape), generation(recipe, shape)
        yield from memory_lines(training, engine, gpu)
        yield from launch_lines(training, engine, gpu, recipe.launch.processes)
        yield from time_lines(work(recipe), training, engine, gpu)
        yield "disk", disk_text(recipe.trainer, "rlvr", *saved_bytes(recipe.model, shape, recipe.launch))


def _tuning(loaded: LoadedRecipe[Recipe], recipe: SftRecipe | DpoRecipe, gpu: Gpu) -> Iterator[Line]:
    shape, kind, trainer = shape_of(recipe.model.id), recipe.kind, recipe.trainer
    rows = _rows([*getattr(recipe, "first", ()), *recipe.data])
    micro = trainer_value(trainer, "per_device_train_batch_size", kind)
    batch = micro * trainer_value(trainer, "gradient_accumulation_steps", kind) * recipe.launch.processes
    longest, packing = trainer_value(trainer, "max_length", kind), bool(trainer.get("packing"))
    unit = "pairs" if kind == "dpo" else "packs" if packing else "conversations"
    bound = f"at most {readable(batch * longest * (2 if kind == 'dpo' else 1), ' tokens')}" if longest else "any length"
    yield "recipe", f"{loaded.name}: {recipe.description}"
    yield "model", _model_text(recipe.model, shape)
    yield "data", f"{rows or 'all'} rows of {', '.join(source.kind for source in recipe.data)}"
    # How many conversations fit into a pack is known once they are tokens.
    yield "steps", _steps(trainer, kind, None if packing else rows, batch)
    yield "batch", f"{batch} {unit} a step, {micro} a micro-batch; {bound}"
    if shape is not None:
        training = tuning_training(recipe, shape, longest or shape.context)
        yield from memory_lines(training, None, gpu)
        yield from launch_lines(training, None, gpu, recipe.launch.processes)
        yield "disk", disk_text(trainer, kind, *saved_bytes(recipe.model, shape, recipe.launch))


def _pretrain(loaded: LoadedRecipe[Recipe], recipe: PretrainRecipe, gpu: Gpu) -> Iterator[Line]:
    sizes, trainer = recipe.architecture, recipe.trainer
    shape = Shape(
        hidden=sizes.hidden_size,
        layers=sizes.layers,
        heads=sizes.heads,
        kv_heads=sizes.kv_heads,
        head_dim=sizes.head_dim,
        intermediate=sizes.intermediate_size,
        vocab=recipe.tokenizer.vocab_size,
        context=sizes.max_positions,
        tied=True,
        query_key_norm=sizes.kind == "qwen3",
    )
    examples = sum(source.size or 1000 for source in recipe.mixture)
    batch = trainer_value(trainer, "per_device_train_batch_size", "pretrain") * recipe.launch.processes
    batch *= trainer_value(trainer, "gradient_accumulation_steps", "pretrain")
    yield "recipe", f"{loaded.name}: {recipe.description}"
    yield "model", f"Qwen3 architecture from scratch, {readable(shape.parameters, ' parameters')}"
    yield "data", f"{examples} conversations from {', '.join(source.kind for source in recipe.mixture)}"
    yield "steps", f"{_steps(trainer, 'pretrain', examples, batch)}, {batch} conversations each"
    # Lengths of generated conversations are known once they are tokens; this is what a row can have.
    yield from memory_lines(pretrain_training(recipe, shape, sizes.max_positions), None, gpu)
    yield "disk", disk_text(trainer, "pretrain", 12 * shape.parameters, 4 * shape.parameters)


def _evaluation(loaded: LoadedRecipe[Recipe], recipe: EvalRecipe) -> Iterator[Line]:
    yield "recipe", f"{loaded.name}: {recipe.description}"
    yield "model", _model_text(recipe.model, shape_of(recipe.model.id))
    yield "engine", recipe.engine.kind
    for suite in recipe.suites:
        sampling = suite.sampling
        limited = min(filter(None, (_rows(suite.data), recipe.limit)), default=None)
        count = f"{limited} questions" if limited else "all questions"
        answers = f"{count} x {sampling.n} answers of at most {sampling.max_tokens} tokens"
        tokens = f", at most {readable(limited * sampling.n * sampling.max_tokens, ' tokens')}" if limited else ""
        yield suite.name, f"{answers}{tokens}; Pass@{', '.join(map(str, suite.ks))}"
    if recipe.kl is not None:
        each = f"{recipe.kl.prompts} questions x {recipe.kl.samples} answers a suite, in both directions"
        yield "KL", f"against {recipe.kl.model.id}: {each}"
    for task in recipe.retention.tasks if recipe.retention else ():
        shots = "its own number of" if task.shots is None else task.shots
        count = f"{recipe.limit} documents" if recipe.limit else "all documents"
        yield task.name, f"lm-eval, {count}, {shots} examples in the prompt"


def _compression_evaluation(loaded: LoadedRecipe[Recipe], recipe: CompressionEvalRecipe) -> Iterator[Line]:
    limited = min(filter(None, (_rows(recipe.data), recipe.limit)), default=None)
    yield "recipe", f"{loaded.name}: {recipe.description}"
    yield "compressor", _model_text(recipe.model, shape_of(recipe.model.id))
    for reader in recipe.readers:
        text = _model_text(reader.model, shape_of(reader.model.id))
        yield "reader", f"{reader.name or reader.model.id}: {text}, {reader.engine.kind}"
    yield "capsules", f"{limited or 'all'} passages, at most {recipe.max_tokens} tokens written for each"
    if recipe.latency is not None:
        batches = ", ".join(map(str, recipe.latency.batches))
        yield "timing", f"batches of {batches}, {recipe.latency.repeats} rounds, for each reader"


def _batch(recipe: RlvrRecipe) -> Iterator[Line]:
    trainer, processes = recipe.trainer, recipe.launch.processes
    names = ("per_device_train_batch_size", "gradient_accumulation_steps")
    micro, accumulation = (trainer_value(trainer, name) for name in names)
    group, longest = trainer_value(trainer, "num_generations"), trainer_value(trainer, "max_completion_length")
    answers = micro * accumulation * processes
    reuse = (trainer.get("steps_per_generation") or accumulation) // accumulation
    rows = _rows(recipe.data)
    steps = _steps(trainer, "rlvr", rows and rows * group, answers)
    yield "steps", f"{steps}; new answers every {reuse} step{'s' if reuse > 1 else ''}"
    yield "batch", f"{answers // group} prompts x {group} answers a step, {micro} a micro-batch"
    yield "tokens", f"at most {readable(answers * longest, ' tokens')} generated and trained on a step"
    if recipe.divergence.rehearses:
        stored = recipe.rehearsal.batch_size
        yield "rehearsal", f"{stored} stored answers a step, {stored / (answers + stored):.1%} of the sequences"


def _rows(sources: Sequence[Source]) -> int | None:
    """Rows of all sources together; None where the size of one is not known."""
    sizes = [source.size for source in sources]
    return None if None in sizes else sum(filter(None, sizes))


def _model_text(model: Model, shape: Shape | None) -> str:
    adapter = "" if model.adapter.kind == "none" else f", {model.adapter.kind} of rank {model.adapter.rank}"
    if shape is None:
        return f"{model.id}, {model.dtype}{adapter}; its shape is not known here, so no memory is predicted"
    return f"{model.id}, {readable(shape.parameters, ' parameters')}, {model.dtype}{adapter}"


def _steps(trainer: dict[str, Any], target: Target, examples: int | None, batch: int) -> str:
    limit, epochs = trainer_value(trainer, "max_steps", target), trainer_value(trainer, "num_train_epochs", target)
    if limit > 0:
        return f"{limit} optimizer steps"
    if examples is None:
        return f"{epochs:g} epochs of all rows"
    return f"{max(1, int(examples * epochs) // batch)} optimizer steps ({epochs:g} epochs)"


def _commands(loaded: LoadedRecipe[Recipe], arguments: Sequence[str]) -> Iterator[Line]:
    recipe, words = loaded.recipe, shlex.join(arguments)
    if getattr(recipe, "split", None) is not None:
        yield "split", f"quince split {words}   (train does it first if it is missing)"
    yield "command", f"quince {'eval' if recipe.kind.endswith('eval') else 'train'} {words}"
    launch = getattr(recipe, "launch", None)
    if launch is not None and (command := launch_command(launch, arguments)):
        yield "which runs", shlex.join(command)
