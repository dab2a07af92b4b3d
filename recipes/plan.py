"""`quince plan`: what a run will need, from the recipe alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import yaml

from .config.compression_eval import CompressionEvalRecipe
from .config.coverage import CoverageRecipe
from .config.dpo import DpoRecipe
from .config.evaluation import EvalRecipe
from .config.library import accelerate_config
from .config.pipeline import PipelineRecipe
from .config.pretrain import PretrainRecipe
from .config.rlvr import JensenShannonDefinition, ReverseKLRollouts, RlvrRecipe
from .config.rlvr_checks import rehearses
from .config.sft import SftRecipe
from .config.shapes import Shape, shape_of
from .config.trainer import Target, trainer_value
from .coverage.overview import plan_lines
from .launching import launch_command
from .memory import Training, readable

if TYPE_CHECKING:
    from .config import LoadedRecipe
    from .config.model import Launch, Model

ASSUMED_PROMPT_TOKENS = 512
"""Prompt length where nothing in the recipe bounds it."""

Line = tuple[str, str]


_HOW_TO_START = ("split", "command", "which runs")


def make_plan(loaded: LoadedRecipe) -> str:
    """The plan as aligned lines of text; that of a pipeline is those of its stages."""
    if not isinstance(loaded.recipe, PipelineRecipe):
        return _aligned(_lines(loaded))
    stages = [_aligned(line for line in _lines(part) if line[0] not in _HOW_TO_START) for part in loaded.parts()]
    return "\n\n".join([*stages, _aligned([("command", f"quince train {loaded.name}")])])


def _aligned(lines: Iterable[Line]) -> str:
    lines = list(lines)
    width = max(len(label) for label, _ in lines)
    return "\n".join(f"{label:<{width}}  {text}" for label, text in lines)


def _lines(loaded: LoadedRecipe) -> Iterator[Line]:
    recipe = loaded.recipe
    if isinstance(recipe, RlvrRecipe):
        return _rlvr(loaded, recipe)
    if isinstance(recipe, SftRecipe | DpoRecipe):
        return _tuning(loaded, recipe)
    if isinstance(recipe, CoverageRecipe):
        return plan_lines(loaded, recipe)
    if isinstance(recipe, CompressionEvalRecipe):
        return _compression_evaluation(loaded, recipe)
    return _pretrain(loaded, recipe) if isinstance(recipe, PretrainRecipe) else _evaluation(loaded, recipe)


def _rlvr(loaded: LoadedRecipe, recipe: RlvrRecipe) -> Iterator[Line]:
    shape = shape_of(recipe.model.id)
    yield "recipe", f"{loaded.name}: {recipe.description}"
    yield "model", _model_text(recipe.model, shape)
    yield from _batch(recipe)
    if shape is not None:
        yield from _memory(recipe, _training(recipe, shape))
        yield "disk", _disk(recipe.trainer, "rlvr", _checkpoint_bytes(recipe.model, shape))
    yield from _commands(loaded, recipe.launch)


def _tuning(loaded: LoadedRecipe, recipe: SftRecipe | DpoRecipe) -> Iterator[Line]:
    shape, kind, trainer = shape_of(recipe.model.id), recipe.kind, recipe.trainer
    sizes = [source.size for source in (*getattr(recipe, "first", ()), *recipe.data)]
    rows = sum(size for size in sizes if size) if None not in sizes else None
    micro = _value(trainer, "per_device_train_batch_size", kind)
    batch = micro * _value(trainer, "gradient_accumulation_steps", kind) * recipe.launch.processes
    longest, packing = _value(trainer, "max_length", kind), bool(trainer.get("packing"))
    unit = "pairs" if kind == "dpo" else "packs" if packing else "conversations"
    bound = f"at most {readable(batch * longest * (2 if kind == 'dpo' else 1), ' tokens')}" if longest else "any length"
    yield "recipe", f"{loaded.name}: {recipe.description}"
    yield "model", _model_text(recipe.model, shape)
    yield "data", f"{rows or 'all'} rows of {', '.join(source.kind for source in recipe.data)}"
    # How many conversations fit into a pack is known once they are tokens.
    yield "steps", _steps(trainer, kind, None if packing else rows, batch)
    yield "batch", f"{batch} {unit} a step, {micro} a micro-batch; {bound}"
    if shape is not None:
        training = _tuning_memory(recipe, shape, longest or shape.context)
        yield "memory", _parts(training)
        yield "", f"for sequences of {longest or shape.context} tokens"
        yield "disk", _disk(trainer, kind, _checkpoint_bytes(recipe.model, shape))
    yield from _commands(loaded, recipe.launch)


def _tuning_memory(recipe: SftRecipe | DpoRecipe, shape: Shape, length: int) -> Training:
    pairs = isinstance(recipe, DpoRecipe)
    return Training(
        shape=shape,
        weight_bytes=_weight_bytes(recipe.model),
        trainable=_trainable(recipe.model, shape),
        sharded_over=recipe.launch.processes if _is_sharded(recipe.launch) else 1,
        rows=_value(recipe.trainer, "per_device_train_batch_size", recipe.kind) * (2 if pairs else 1),
        prompt_tokens=length,
        completion_tokens=0,  # TRL's fused output head keeps no logits
        checkpointing=bool(_value(recipe.trainer, "gradient_checkpointing", recipe.kind)),
        reference=pairs,
    )


def _pretrain(loaded: LoadedRecipe, recipe: PretrainRecipe) -> Iterator[Line]:
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
    )
    examples = sum(source.size for source in recipe.mixture)
    batch = _value(trainer, "per_device_train_batch_size", "pretrain") * recipe.launch.processes
    batch *= _value(trainer, "gradient_accumulation_steps", "pretrain")
    yield "recipe", f"{loaded.name}: {recipe.description}"
    yield "model", f"Qwen3 architecture from scratch, {readable(shape.parameters, ' parameters')}"
    yield "data", f"{examples} conversations from {', '.join(source.kind for source in recipe.mixture)}"
    yield "steps", f"{_steps(trainer, 'pretrain', examples, batch)}, {batch} conversations each"
    yield "disk", _disk(trainer, "pretrain", 12 * shape.parameters)
    yield from _commands(loaded, recipe.launch)


def _evaluation(loaded: LoadedRecipe, recipe: EvalRecipe) -> Iterator[Line]:
    yield "recipe", f"{loaded.name}: {recipe.description}"
    yield "model", _model_text(recipe.model, shape_of(recipe.model.id))
    yield "engine", recipe.engine.kind
    for suite in recipe.suites:
        sampling = suite.sampling
        rows = [source.size for source in suite.data]
        known = sum(size for size in rows if size) if None not in rows else None
        limited = min(filter(None, (known, recipe.limit)), default=None)
        count = f"{limited} questions" if limited else "all questions"
        answers = f"{count} x {sampling.n} answers of at most {sampling.max_tokens} tokens"
        tokens = f", at most {readable(limited * sampling.n * sampling.max_tokens, ' tokens')}" if limited else ""
        yield suite.name, f"{answers}{tokens}; Pass@{', '.join(map(str, suite.ks))}"
    if recipe.kl is not None:
        each = f"{recipe.kl.prompts} questions x {recipe.kl.samples} answers a suite, in both directions"
        yield "KL", f"against {recipe.kl.model.id}: {each}"
    yield "command", f"quince eval {loaded.name}"


def _compression_evaluation(loaded: LoadedRecipe, recipe: CompressionEvalRecipe) -> Iterator[Line]:
    sizes = [source.size for source in recipe.data]
    known = sum(size for size in sizes if size) if None not in sizes else None
    limited = min(filter(None, (known, recipe.limit)), default=None)
    yield "recipe", f"{loaded.name}: {recipe.description}"
    yield "compressor", _model_text(recipe.model, shape_of(recipe.model.id))
    for reader in recipe.readers:
        text = _model_text(reader.model, shape_of(reader.model.id))
        yield "reader", f"{reader.name or reader.model.id}: {text}, {reader.engine.kind}"
    yield "capsules", f"{limited or 'all'} passages, at most {recipe.max_tokens} tokens written for each"
    if recipe.latency is not None:
        batches = ", ".join(map(str, recipe.latency.batches))
        yield "timing", f"batches of {batches}, {recipe.latency.repeats} rounds, for each reader"
    yield "command", f"quince eval {loaded.name}"


def _batch(recipe: RlvrRecipe) -> Iterator[Line]:
    trainer, processes = recipe.trainer, recipe.launch.processes
    micro, accumulation = (
        _value(trainer, "per_device_train_batch_size"),
        _value(trainer, "gradient_accumulation_steps"),
    )
    group, longest = _value(trainer, "num_generations"), _value(trainer, "max_completion_length")
    answers = micro * accumulation * processes
    reuse = (trainer.get("steps_per_generation") or accumulation) // accumulation
    sizes = [source.size for source in recipe.data]
    rows = sum(size for size in sizes if size) if None not in sizes else None
    steps = _steps(trainer, "rlvr", rows and rows * group, answers)
    yield "steps", f"{steps}; new answers every {reuse} step{'s' if reuse > 1 else ''}"
    yield "batch", f"{answers // group} prompts x {group} answers a step, {micro} a micro-batch"
    yield "tokens", f"at most {readable(answers * longest, ' tokens')} generated and trained on a step"
    if rehearses(recipe):
        stored = recipe.rehearsal.batch_size
        yield (
            "rehearsal",
            f"{stored} stored answers a step, {stored / (answers + stored):.1%} of the sequences",
        )


def _training(recipe: RlvrRecipe, shape: Shape) -> Training:
    trainer = recipe.trainer
    limit = _value(trainer, "vllm_max_model_length")
    completion = _value(trainer, "max_completion_length")
    return Training(
        shape=shape,
        weight_bytes=_weight_bytes(recipe.model),
        trainable=_trainable(recipe.model, shape),
        sharded_over=recipe.launch.processes if _is_sharded(recipe.launch) else 1,
        rows=_value(trainer, "per_device_train_batch_size"),
        prompt_tokens=limit - completion if limit else ASSUMED_PROMPT_TOKENS,
        completion_tokens=completion,
        checkpointing=bool(_value(trainer, "gradient_checkpointing")),
        reference=isinstance(recipe.divergence, (ReverseKLRollouts, JensenShannonDefinition)),
    )


def _weight_bytes(model: Model) -> float:
    return 0.5 if model.adapter.kind == "qlora" else {"float32": 4.0}.get(model.dtype, 2.0)


def _trainable(model: Model, shape: Shape) -> int:
    return shape.parameters if model.adapter.kind == "none" else shape.lora_parameters(model.adapter.rank)


def _parts(training: Training) -> str:
    """All of the memory of a process, and what it is made of."""
    parts = {
        "weights": training.weights,
        "gradients": training.gradients,
        "Adam": training.optimizer,
        "reference copy": training.reference_copy,
        "activations (rough)": training.activations,
    }
    named = ", ".join(f"{name} {readable(size)}" for name, size in parts.items() if size)
    return f"{readable(sum(parts.values()))} a process: {named}"


def _memory(recipe: RlvrRecipe, training: Training) -> Iterator[Line]:
    yield "memory", _parts(training)
    prompt = f"prompts of {training.prompt_tokens} tokens and full-length answers"
    yield "", f"for {prompt}" + ("" if recipe.trainer.get("vllm_max_model_length") else " (prompts assumed)")
    if _value(recipe.trainer, "use_vllm") and _value(recipe.trainer, "vllm_mode") == "colocate":
        share = _value(recipe.trainer, "vllm_gpu_memory_utilization")
        yield "", f"and {share:.0%} of each GPU for vLLM"


def _model_text(model: Model, shape: Shape | None) -> str:
    adapter = "" if model.adapter.kind == "none" else f", {model.adapter.kind} of rank {model.adapter.rank}"
    if shape is None:
        return f"{model.id}, {model.dtype}{adapter}; its shape is not known here, so no memory is predicted"
    return f"{model.id}, {readable(shape.parameters, ' parameters')}, {model.dtype}{adapter}"


def _steps(trainer: dict[str, Any], target: Target, examples: int | None, batch: int) -> str:
    limit, epochs = _value(trainer, "max_steps", target), _value(trainer, "num_train_epochs", target)
    if limit > 0:
        return f"{limit} optimizer steps"
    if examples is None:
        return f"{epochs:g} epochs of all rows"
    return f"{max(1, int(examples * epochs) // batch)} optimizer steps ({epochs:g} epochs)"


def _checkpoint_bytes(model: Model, shape: Shape) -> float:
    """Trained weights and two moments, each as precise as the weights."""
    if model.adapter.kind != "none":
        return 12.0 * shape.lora_parameters(model.adapter.rank)
    return 3 * {"float32": 4.0}.get(model.dtype, 2.0) * shape.parameters


def _disk(trainer: dict[str, Any], target: Target, checkpoint: float) -> str:
    if _value(trainer, "save_strategy", target) == "no":
        return f"{readable(checkpoint / 3)} for the final model"
    limit = _value(trainer, "save_total_limit", target)
    kept = f"{limit} checkpoints" if limit else "every checkpoint"
    size = readable(checkpoint * (limit or 1) + checkpoint / 3)
    return f"{size} for {kept} of {readable(checkpoint)} and the final model"


def _is_sharded(launch: Launch) -> bool:
    config = launch.accelerate_config and accelerate_config(launch.accelerate_config)
    if not config:
        return False
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    return settings.get("distributed_type") in ("FSDP", "DEEPSPEED")


def _commands(loaded: LoadedRecipe, launch: Launch) -> Iterator[Line]:
    if getattr(loaded.recipe, "split", None) is not None:
        yield "split", f"quince split {loaded.name}   (train does it first if it is missing)"
    yield "command", f"quince train {loaded.name}"
    if command := launch_command(launch, [loaded.name]):
        yield "which runs", " ".join(command)


def _value(trainer: dict[str, Any], name: str, target: Target = "rlvr") -> Any:
    return trainer_value(trainer, name, target)
