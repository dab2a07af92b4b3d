"""Rough seconds of an RLVR step by phase, from assumed efficiencies: they show which phase dominates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config.trainer_arguments import trainer_value
from .generation import Generation
from .gpus import Gpu
from .memory import Training

if TYPE_CHECKING:
    from ..config.rlvr import RlvrRecipe

TRAINING_EFFICIENCY = 0.35
"""Share of a GPU's peak that forward and backward passes reach."""
DECODING_EFFICIENCY = 0.5
"""Share of its memory bandwidth that decoding reaches."""
SEQUENCES_AT_ONCE = 256
"""vLLM's default limit of sequences in a batch."""
JUDGING = {"math": 0.012, "sql_execution": 0.002}
"""CPU seconds of judging an answer, as measured on a common machine; other kinds take `QUICK_JUDGING`."""
QUICK_JUDGING = 0.0005


@dataclass(frozen=True)
class Work:
    """What a step of an RLVR recipe computes, on all GPUs together.

    Attributes:
        answers: Rollouts of an optimizer step.
        stored: Stored answers of an optimizer step.
        scored_again: Whether the sampling policy's log-probs are computed by a forward pass.
        judged: CPU seconds of judging one answer.
    """

    answers: int
    stored: int
    scored_again: bool
    judged: float


def work(recipe: RlvrRecipe) -> Work:
    """Translate the recipe's batch and rewards."""
    trainer = recipe.trainer
    accumulation = trainer_value(trainer, "gradient_accumulation_steps")
    reuse = (trainer.get("steps_per_generation") or accumulation) // accumulation
    return Work(
        answers=trainer_value(trainer, "per_device_train_batch_size") * accumulation * recipe.launch.processes,
        stored=recipe.rehearsal.batch_size if recipe.divergence.rehearses else 0,
        scored_again=bool(trainer_value(trainer, "use_vllm")) or reuse > 1,
        judged=sum(JUDGING.get(reward.kind, QUICK_JUDGING) for reward in recipe.rewards),
    )


def forward_flops(training: Training, prompt: int, completion: int) -> float:
    """Operations of one forward pass over one row; only its completion goes through the output layer."""
    shape, tokens = training.shape, prompt + completion
    attention = 2 * shape.layers * shape.heads * shape.head_dim * tokens**2  # half of the square is masked
    return 2 * shape.linear_parameters * tokens + 2 * shape.vocab * shape.hidden * completion + attention


def phases(work: Work, training: Training, generation: Generation, gpu: Gpu) -> dict[str, float]:
    """Seconds of each phase of an optimizer step, for prompts and answers of full length."""
    gpus, speed = training.processes, TRAINING_EFFICIENCY * gpu.flops
    forward = forward_flops(training, generation.prompt, generation.completion)
    # A backward pass takes two forward passes, one if only an adapter is trained; checkpointing one more.
    passes = 1 + (2 if training.full else 1) + training.checkpointing
    prompts = forward_flops(training, generation.prompt, 0) * work.answers / generation.group
    seconds = {"generate": prompts / speed / gpus + _decode(work.answers, generation, gpus, gpu)}
    seconds["reward"] = work.judged * work.answers / gpus
    if work.scored_again:
        seconds["old log-probs"] = work.answers * forward / speed / gpus
    if training.reference:
        seconds["reference"] = work.answers * forward / speed / gpus
    seconds["update"] = (work.answers + work.stored) * passes * forward / speed / gpus
    return seconds


def _decode(answers: int, generation: Generation, gpus: int, gpu: Gpu) -> float:
    """Decoding reads the weights once a token for the whole batch, and each sequence's keys and values."""
    engines = max(1, gpus // generation.tensor_parallel)
    each = answers / engines
    room = generation.at_once(gpu.memory) if generation.engine != "transformers" else each
    at_once = max(1.0, min(each, room, SEQUENCES_AT_ONCE))
    cached = generation.prompt + generation.completion / 2
    read = 2 * generation.shape.parameters + at_once * cached * generation.token_bytes
    token = read / (generation.tensor_parallel * DECODING_EFFICIENCY * gpu.bandwidth)
    return each / at_once * generation.completion * token
