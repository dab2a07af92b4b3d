"""Which launch of a recipe fits on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .generation import Generation
from .gpus import USABLE, Gpu
from .memory import LAUNCHES, LaunchKind, Training


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
