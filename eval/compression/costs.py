"""What reading and compressing cost at stated prices; a capsule also has to beat the price of a cached prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .latency import reads_to_pay


@dataclass(frozen=True)
class Prices:
    """Prices for a million tokens.

    Attributes:
        stated: Where and when the prices were found, or that they are assumed.
        currency: Their unit.
        reader_input: Tokens that the reader reads.
        reader_cached_input: Tokens that it has read before and that its provider kept; null if it keeps none.
        compressor_input: Tokens that the compressor reads.
        compressor_output: Tokens that it writes.
    """

    stated: str
    currency: str
    reader_input: float
    reader_cached_input: float | None
    compressor_input: float
    compressor_output: float


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of one passage.

    Attributes:
        passage: As the reader counts.
        capsule: As the reader counts.
        compressor_read: The compressor's prompt, as it counts.
        compressor_written: What it wrote, as it counts.
    """

    passage: float
    capsule: float
    compressor_read: float
    compressor_written: float


@dataclass(frozen=True)
class Costs:
    """Money for one passage that is read some number of times; question and answer, equal in all, are left out.

    Attributes:
        compress: Once, for writing the capsule.
        full: A read of the full passage.
        cached: A read of the full passage from the cache; None if there is none.
        capsule: A read of the capsule; never from the cache, since providers do not keep prefixes this short.
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
