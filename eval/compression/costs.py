"""Time and money that compressing costs and saves, and the reads after which it has paid for itself."""

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
    """Median seconds for one batch of passages.

    Attributes:
        compress: Until the compressor has written the capsules.
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
    """Return the fewest reads from which on an expense made once has paid for itself; None if a read is not cheaper.

    The smallest n >= 1 with `once + n * after <= first + (n - 1) * before`, in any unit; `first` is the first read
    without the expense, where a prefix is not cached yet.
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
    """Time the three kinds of work on the same items in turn, so that a busy machine slows all of them alike.

    One more round for each size comes first and is not counted; a batch larger than the items takes some twice.
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


@dataclass(frozen=True)
class Prices:
    """Prices for a million tokens.

    Attributes:
        stated: Source and date of the prices, or that they are assumed.
        reader_cached_input: Tokens that the reader has read before and its provider kept; null if it keeps none.
    """

    stated: str
    currency: str
    reader_input: float
    reader_cached_input: float | None
    compressor_input: float
    compressor_output: float


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of one passage: passage and capsule as the reader counts, the rest as the compressor counts."""

    passage: float
    capsule: float
    compressor_read: float
    compressor_written: float


@dataclass(frozen=True)
class Costs:
    """Money for one passage; question and answer are left out, since they cost the same in all cases.

    `cached` is a read of the full passage from the cache, None if there is none; a capsule is never read from the
    cache, since providers do not keep prefixes this short.
    """

    compress: float
    full: float
    cached: float | None
    capsule: float

    def after(self, reads: int) -> tuple[float, float | None, float]:
        """The full passage at the list price, from the cache after the first read, and the capsule with its writing."""
        cached = None if self.cached is None else self.full + (reads - 1) * self.cached
        return reads * self.full, cached, self.compress + reads * self.capsule

    @property
    def reads_to_pay(self) -> int | None:
        """Reads from which on the capsule is cheaper than the list price; None if it never is."""
        return reads_to_pay(self.compress, self.full, self.capsule)

    @property
    def reads_to_pay_cached(self) -> int | None:
        """Reads from which on the capsule is cheaper than a cached prefix; None: it never is, or nothing is cached."""
        if self.cached is None:
            return None
        return reads_to_pay(self.compress, self.cached, self.capsule, first=self.full)


def costs(prices: Prices, lengths: Lengths) -> Costs:
    """Return the money for one passage, in the currency of the prices."""
    cached = prices.reader_cached_input
    written = lengths.compressor_read * prices.compressor_input + lengths.compressor_written * prices.compressor_output
    return Costs(
        compress=written / 1e6,
        full=lengths.passage * prices.reader_input / 1e6,
        cached=None if cached is None else lengths.passage * cached / 1e6,
        capsule=lengths.capsule * prices.reader_input / 1e6,
    )


def cost_rows(of: Costs, reads: Sequence[int]) -> list[tuple[int, float, float | None, float]]:
    """Return `(reads, full, cached, capsule)`, each for a thousand passages."""
    money = [(n, of.after(n)) for n in reads]
    return [(n, 1e3 * full, cached and 1e3 * cached, 1e3 * capsule) for n, (full, cached, capsule) in money]
