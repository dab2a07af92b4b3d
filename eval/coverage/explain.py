"""Why a query has its verdict: the rows that witness each substitution, or what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike

from .determined import Determined
from .observations import Observations, Subset
from .pairs import DEFAULT_CAPS, Caps, PairsBySubset


@dataclass(frozen=True)
class Step:
    """One substitution on the way from the query to an observed row.

    Attributes:
        subset: Positions that are replaced.
        source, target: Values before and after.
        evidence: Shared contexts with equal output, none unequal.
        witnesses: Pairs of rows (indices into `Observations.inputs`), of the source's side and of the target's side,
            equal in context and output.
    """

    subset: Subset
    source: tuple[int, ...]
    target: tuple[int, ...]
    evidence: int
    witnesses: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Attempt:
    """The best that one subset offers for a query that is not reached.

    Attributes:
        subset: Positions.
        fragment: The query's values there.
        seen: Rows that carry the fragment; 0 means that nothing in the data says what it is like.
        target: The most alike fragment that was observed in the query's context, None if there is none.
        row: The row that carries the target in the query's context, None if there is none.
        agree, disagree: Shared contexts of fragment and target with equal and unequal outputs.
    """

    subset: Subset
    fragment: tuple[int, ...]
    seen: int
    target: tuple[int, ...] | None
    row: int | None
    agree: int
    disagree: int


@dataclass(frozen=True)
class Explanation:
    """A verdict on one query.

    Attributes:
        verdict: `seen`; `covered` or `determined` (by mode); `ambiguous` (subsets give different outputs);
            `new-primitive` (no fragment of the query that could be replaced was ever seen); else `uncovered`.
        label: The output that follows, None if none does. A covered query need not have one.
        row: The observed row at the end of the steps, None if none is reached.
        steps: Substitutions from the query to `row`.
        missing: For an unreached query, the best attempt of each subset, best first.
    """

    verdict: Literal["seen", "covered", "determined", "ambiguous", "new-primitive", "uncovered"]
    label: int | None
    row: int | None
    steps: tuple[Step, ...]
    missing: tuple[Attempt, ...]


def explain(
    observations: Observations,
    query: ArrayLike,
    k: int,
    mode: Literal["definition", "determined"] = "determined",
    subsets: Sequence[Subset] | None = None,
    *,
    pairs: PairsBySubset | None = None,
    determined: Determined | None = None,
    caps: Caps = DEFAULT_CAPS,
) -> Explanation:
    """Explain the verdict on one query.

    Args:
        observations: The observed set.
        query: [slots] codes.
        k: Evidence asked for.
        mode: Closure of the definition, or determined coverage.
        subsets: Family of fragments; by default all proper subsets.
        pairs: `all_pairs` of the same observations and subsets, if at hand.
        determined: A result of `determine` with the same k and subsets (any queries), if at hand.
        caps: Bounds on memory.
    """
    raise NotImplementedError
