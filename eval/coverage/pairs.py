"""Which fragments behave alike: shared contexts with equal and unequal outputs, by a sparse join."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .observations import IntArray, Observations, Subset


@dataclass(frozen=True)
class Caps:
    """Bounds on memory. What a bound cut off is reported by `Pairs.capped` and `Reach.undecided`.

    Attributes:
        bucket: Most fragments of one (context, output) that are compared with each other.
        pairs: Most pairs of one subset that the join may hold; buckets are thinned until they fit.
        vertices: Most inputs outside the observed set that a closure search may visit.
    """

    bucket: int = 4096
    pairs: int = 20_000_000
    vertices: int = 20_000_000


DEFAULT_CAPS = Caps()


@dataclass(frozen=True)
class Capped:
    """What the caps cut off in the join of one subset.

    Attributes:
        bucket: The bound on fragments of a bucket that was in force.
        buckets: Buckets that were thinned to it.
        fragments: Memberships of fragments in buckets that were left out.
    """

    bucket: int
    buckets: int
    fragments: int


@dataclass(frozen=True)
class Pairs:
    """Pairs of observed fragments of one subset with at least one shared context of equal output.

    Counts are exact for every listed pair, also where a cap was in force: a cap can leave a pair out, it cannot make
    one look better than it is.

    Attributes:
        subset: Positions of the fragments.
        fragments: [F, |I|] observed fragments in lexicographic order.
        left, right: [P] indices into `fragments`, left < right.
        agree: [P] shared contexts with equal outputs, >= 1.
        disagree: [P] shared contexts with unequal outputs.
        capped: What the caps cut off, None if nothing.
    """

    subset: Subset
    fragments: IntArray
    left: IntArray
    right: IntArray
    agree: IntArray
    disagree: IntArray
    capped: Capped | None = None


PairsBySubset = Mapping[Subset, Pairs]


def fragment_pairs(observations: Observations, subset: Subset, caps: Caps = DEFAULT_CAPS) -> Pairs:
    """Count agreements and disagreements of the fragments of one subset by a sparse join on (context, output)."""
    raise NotImplementedError


def all_pairs(
    observations: Observations, subsets: Sequence[Subset] | None = None, caps: Caps = DEFAULT_CAPS
) -> PairsBySubset:
    """`fragment_pairs` of each subset (default: every proper subset)."""
    raise NotImplementedError
