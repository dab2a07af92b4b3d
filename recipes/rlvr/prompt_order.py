"""Which prompts come when, by the place in the run alone, so that a resumed run sees what it would have seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from trl.trainer.utils import RepeatSampler

EPOCH_STRIDE = 1_000_003
"""Added to the seed once an epoch; far from the small numbers that people choose as seeds."""


class EpochSampler(RepeatSampler):
    """TRL's sampler, each epoch's order drawn from seed and epoch.

    TRL draws all epochs from one generator, which a resumed run starts anew.

    Args:
        epoch: The current epoch, read when an epoch begins.
        **kwargs: Arguments of `RepeatSampler`.
    """

    def __init__(self, epoch: Callable[[], int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:
            self.generator.manual_seed(self.seed + EPOCH_STRIDE * self._epoch())
        yield from super().__iter__()


def reserve_prompts(seed: int, step: int, draw: int, count: int, rows: int) -> np.ndarray:
    """Indices of `count` prompts out of `rows`, different ones as long as there are enough.

    Args:
        seed: Of the run.
        step: Micro-batches done.
        draw: Which draw of this step.
        count: For all processes together.
        rows: Prompts there are.
    """
    return np.resize(np.random.default_rng((seed, step, draw)).permutation(rows), count)
