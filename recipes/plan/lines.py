"""What `plan` prints about memory, launches and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..parts.units import readable
from .generation import Generation
from .gpus import USABLE, Gpu
from .memory import LAUNCHES, LaunchKind, Training
from .seconds import Work, phases


@dataclass(frozen=True)
class Fit:
    """One launch on one kind of GPU.

    Attributes:
        launch: How the model is spread.
        needed: Bytes on each GPU, at the worst moment.
        fits: Whether they are there.
    """

    launch: LaunchKind
    needed: float
    fits: bool


def needed(training: Training, generation: Generation | None, gpu: Gpu) -> float:
    """Bytes on each GPU: while it trains, or while it generates, whatever is more."""
    if generation is None:
        return training.peak
    while_training = training.peak + generation.held_while_training(gpu.memory)
    return max(while_training, training.static + generation.held_while_generating(gpu.memory))


def fits(training: Training, generation: Generation | None, gpu: Gpu, processes: int) -> Iterator[Fit]:
    """Every launch, from the simplest on; with one process there is nothing to spread."""
    for launch in LAUNCHES if processes > 1 else LAUNCHES[:1]:
        spread = training.under(launch, 1 if launch == "single" else processes)
        total = needed(spread, generation, gpu)
        yield Fit(launch, total, total <= USABLE * gpu.memory)


Line = tuple[str, str]


def memory_lines(training: Training, generation: Generation | None, gpu: Gpu) -> Iterator[Line]:
    """The most that a process holds at a time, and what it is made of."""
    parts = {
        "weights": training.weights,
        "gradients": training.gradients,
        "Adam": training.optimizer,
        "reference copy": training.reference_copy,
        "gathered layers": training.gathered,
        "activations": training.activations,
        "logits": training.logits,
    }
    named = ", ".join(f"{name} {readable(size)}" for name, size in parts.items() if size)
    yield "memory", f"{readable(training.peak)} a process at its peak; {named}"
    longest = max(part.tokens for part in training.passes)
    rows = " + ".join(str(part.rows) for part in training.passes)
    yield "", f"for a micro-batch of {rows} rows of {longest} tokens"
    if generation is not None and generation.engine == "colocate":
        yield from _engine(training, generation, gpu)
    elif generation is not None and generation.engine == "transformers":
        yield "", f"while generating {readable(generation.wanted_cache)} for keys and values instead of activations"


def _engine(training: Training, generation: Generation, gpu: Gpu) -> Iterator[Line]:
    cache, room = generation.cache(gpu.memory), generation.at_once(gpu.memory)
    sleeps = "given back while the policy is trained" if generation.sleeps else "kept while the policy is trained"
    yield "vLLM", f"{generation.share:.0%} of each GPU, {sleeps}: weights {readable(generation.weights)}"
    yield "", f"and {readable(cache)} for keys and values, {room:.0f} answers of full length at once"
    if cache == 0:
        yield "", "too little for its weights: raise vllm_gpu_memory_utilization or vllm_tensor_parallel_size"


def launch_lines(training: Training, generation: Generation | None, gpu: Gpu, processes: int) -> Iterator[Line]:
    """Which launches fit; that of the recipe is marked."""
    limit = f"{readable(USABLE * gpu.memory)} of {readable(gpu.memory)}"
    count = f"{processes} x " if processes > 1 else ""
    total = needed(training, generation, gpu)
    verdict = "fits" if total <= USABLE * gpu.memory else "does not fit"
    yield "fits?", f"{training.launch} {verdict} on {count}{gpu.name}: {readable(total)} of the {limit} planned with"
    if processes > 1:
        each = fits(training, generation, gpu, processes)
        yield "", ", ".join(f"{fit.launch} {readable(fit.needed)} {'yes' if fit.fits else 'no'}" for fit in each)


def time_lines(work: Work, training: Training, generation: Generation, gpu: Gpu) -> Iterator[Line]:
    """Shares of a step, an estimate that nothing has confirmed."""
    seconds = phases(work, training, generation, gpu)
    total = sum(seconds.values())
    shares = ", ".join(f"{name} {part / total:.0%}" for name, part in seconds.items())
    yield "time", f"estimate, full-length answers: {shares} of {total:.3g} s a step"
