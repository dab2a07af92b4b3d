"""Seconds of the compressor and of readers, measured apart, and when compressing has paid for itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from math import ceil
from statistics import median
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Timing:
    """Median seconds for one batch.

    Attributes:
        batch: Passages handled together.
        compress: Until the compressor has written the capsules of the batch.
        full: Until a reader has answered one question on each full passage.
        capsule: The same on the capsules.
    """

    batch: int
    compress: float
    full: float
    capsule: float

    @property
    def ratio(self) -> float:
        """How many times faster the reader is with capsules; the compressor's time is not in it."""
        return self.full / self.capsule

    @property
    def reads_to_pay(self) -> int | None:
        """Reads of one capsule after which compressing has saved time; None if it never does."""
        return reads_to_pay(self.compress, self.full, self.capsule)

    def share_after(self, reads: int) -> float:
        """Time for compressing once and reading that often, as a share of reading the full passage that often."""
        return (self.compress + reads * self.capsule) / (reads * self.full)


def reads_to_pay(once: float, before: float, after: float, first: float | None = None) -> int | None:
    """Return the fewest reads from which on an expense made once has paid for itself.

    Args:
        once: The expense, in any unit: seconds, money.
        before: Of a read without it.
        after: Of a read with it.
        first: Of the first read without it, where that differs from the later ones: a prefix that is not cached yet.

    Returns:
        The smallest n >= 1 with `once + n * after <= first + (n - 1) * before`; None if a read with it is not cheaper.
    """
    if before <= after:
        return None
    needed = (once + before - (before if first is None else first)) / (before - after)
    return max(1, ceil(needed - 1e-9))  # 3.0000000001 reads are 3


def time_batches(
    items: Sequence[Item],
    batches: Sequence[int],
    repeats: int,
    compress: Callable[[Sequence[Item]], object],
    full: Callable[[Sequence[Item]], object],
    capsule: Callable[[Sequence[Item]], object],
    clock: Callable[[], float] = time.perf_counter,
) -> list[Timing]:
    """Time the three kinds of work on the same items, one after the other, so that a busy machine slows all alike.

    Args:
        items: Passages; a batch larger than their number takes some twice.
        batches: Sizes.
        repeats: Rounds per size, each on other items; one more before them is not counted.
        compress: Writes the capsules of a batch.
        full: Reads its full passages.
        capsule: Reads its capsules.
        clock: Seconds.
    """
    timings = []
    for batch in batches:
        source = cycle(items)
        rounds = []
        for _ in range(repeats + 1):
            taken = list(islice(source, batch))
            rounds.append([_seconds(work, taken, clock) for work in (compress, full, capsule)])
        timings.append(Timing(batch, *(median(column) for column in zip(*rounds[1:], strict=True))))
    return timings


def _seconds(work: Callable[[Sequence[Item]], object], items: Sequence[Item], clock: Callable[[], float]) -> float:
    started = clock()
    work(items)
    return clock() - started
