"""k-coverage: which inputs can be reached from the observed ones by substituting equivalent fragments.

Source: The Coverage Principle (arXiv 2505.20278v1), section 3; retitled in v2. Two fragments are k-equivalent when they
share at least k contexts with equal outputs and none with unequal ones. The vertices of the graph are all inputs, its
edges join inputs that differ by one k-equivalent fragment, and an input is covered when its component holds an observed
row. Coverage does not say which label follows (see `determined.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .legacy import legacy_cutoffs
from .observations import IntArray, Observations, Subset, as_queries, common_sizes, find_keys, row_keys
from .pairs import DEFAULT_CAPS, Caps, Pairs, PairsBySubset, fragment_pairs, pairs_of
from .search import Hubs, Linkage, search

Mode = Literal["definition", "one_step", "legacy"]
STEP_CELLS = 2_000_000
"""Substitutions looked up at once."""


@dataclass(frozen=True)
class Reach:
    """k-cutoffs [Q], 0 if never and `largest_k` for an observed query, and what the caps left undecided.

    Attributes:
        undecided: [Q] the search hit `Caps.vertices`; the cutoff is a lower bound.
        capped: Subsets whose pairs were capped; if there are any, all cutoffs are lower bounds.
    """

    cutoffs: IntArray
    undecided: NDArray[np.bool_]
    capped: tuple[Subset, ...]


def k_cutoffs(
    observations: Observations,
    queries: ArrayLike,
    subsets: Sequence[Subset] | None = None,
    largest_k: int = 20,
    mode: Mode = "definition",
    *,
    pairs: PairsBySubset | None = None,
    query_outputs: ArrayLike | None = None,
    caps: Caps = DEFAULT_CAPS,
) -> IntArray:
    """The highest k in 1..largest_k at which each query is covered, 0 if never; [Q]. Observed queries get `largest_k`.

    Queries are [Q, slots] codes, and unseen values are allowed. `subsets` are by default all proper ones; `pairs` are
    `all_pairs` of the same observations. Mode `definition` is the paper's closure over all of X^l, `one_step` a single
    substitution into an observed row, `legacy` the published script with its quirks (`legacy.py`): it alone takes, and
    requires, the `query_outputs` [Q], since no test label may enter coverage.

    Raises:
        ValueError: The queries do not fit the observations, or `query_outputs` not the mode.

    Warns:
        UserWarning: A cap was hit, so cutoffs are lower bounds; `reach` says which.
    """
    if query_outputs is None and mode == "legacy":
        raise ValueError("mode legacy: query_outputs are missing")
    if query_outputs is not None and mode != "legacy":
        raise ValueError(f"mode {mode}: query_outputs are only for legacy")
    pairs = pairs_of(observations, subsets, pairs, caps)
    if mode == "definition":
        result = reach(observations, queries, largest_k=largest_k, pairs=pairs, caps=caps)
        if result.undecided.any():
            warnings.warn(
                f"closure: {int(result.undecided.sum())} of {len(result.cutoffs)} cutoffs are lower bounds, the search"
                f" was stopped at {caps.vertices} inputs; raise Caps.vertices or use fewer subsets",
                stacklevel=2,
            )
        cutoffs = result.cutoffs
    elif query_outputs is None:
        cutoffs = _one_step(observations, as_queries(queries, observations), pairs, largest_k)
    else:
        cutoffs = legacy_cutoffs(observations, queries, query_outputs, pairs, range(1, largest_k + 1))
    capped = [subset for subset, found in pairs.items() if found.capped]
    if capped:
        warnings.warn(f"pairs of subsets {capped} were capped, cutoffs are lower bounds; raise Caps", stacklevel=2)
    return cutoffs


def covered(
    observations: Observations,
    queries: ArrayLike,
    k: int,
    subsets: Sequence[Subset] | None = None,
    mode: Mode = "definition",
    *,
    pairs: PairsBySubset | None = None,
    query_outputs: ArrayLike | None = None,
    caps: Caps = DEFAULT_CAPS,
) -> NDArray[np.bool_]:
    """Whether each query is covered at k; [Q]. Arguments, errors and warnings as in `k_cutoffs`."""
    if mode == "legacy" and query_outputs is not None:
        pairs = pairs_of(observations, subsets, pairs, caps)
        return legacy_cutoffs(observations, queries, query_outputs, pairs, (k,)) == k
    # With `largest_k` = k, stronger evidence counts as k, so this is one level of the sweep.
    cutoffs = k_cutoffs(observations, queries, subsets, k, mode, pairs=pairs, query_outputs=query_outputs, caps=caps)
    return cutoffs == k


def reach(
    observations: Observations,
    queries: ArrayLike,
    subsets: Sequence[Subset] | None = None,
    largest_k: int = 20,
    smallest_k: int = 1,
    *,
    pairs: PairsBySubset | None = None,
    caps: Caps = DEFAULT_CAPS,
) -> Reach:
    """`k_cutoffs` of mode `definition` with what the caps left undecided; cutoffs below `smallest_k` are 0.

    As k falls, the pairs with exactly this evidence join their classes, and only queries not covered yet are searched.
    """
    pairs = pairs_of(observations, subsets, pairs, caps)
    table = as_queries(queries, observations)
    sizes = common_sizes(observations, table)
    keys, first, inverse = np.unique(row_keys(table, sizes), return_index=True, return_inverse=True)
    table = table[first]
    cutoffs = np.where(find_keys(keys, np.sort(row_keys(observations.inputs, sizes))) >= 0, largest_k, 0)
    undecided = np.zeros(len(table), bool)
    linkages = [Linkage(found, largest_k) for found in pairs.values()]
    hubs: dict[Subset, Hubs] = {}
    for k in range(largest_k, smallest_k - 1, -1):
        open_queries = np.flatnonzero(cutoffs == 0)
        changed = [linkage for linkage in linkages if linkage.join(k)]
        if not len(open_queries) or not changed:
            continue
        hubs |= {linkage.pairs.subset: Hubs(observations, linkage, sizes) for linkage in changed}
        found, stopped = search(list(hubs.values()), table[open_queries], sizes, caps.vertices)
        cutoffs[open_queries[found]] = k
        undecided[open_queries[stopped]] = True
    capped = tuple(subset for subset, found in pairs.items() if found.capped)
    return Reach(cutoffs[inverse], undecided[inverse], capped)


def class_counts(observations: Observations, subset: Subset, k: int) -> int:
    """Number of classes of a subset's observed fragments under the closure of k-equivalence, with singletons."""
    linkage = Linkage(fragment_pairs(observations, subset), k)
    linkage.join(k)
    return len(np.unique(linkage.labels))


def _one_step(observations: Observations, queries: IntArray, pairs: PairsBySubset, largest_k: int) -> IntArray:
    """Largest evidence of a single substitution that turns each query into an observed row; [Q]."""
    sizes = common_sizes(observations, queries)
    observed = np.sort(row_keys(observations.inputs, sizes))
    cutoffs = np.where(find_keys(row_keys(queries, sizes), observed) >= 0, largest_k, 0)
    for subset, found in pairs.items():
        within = [sizes[slot] for slot in subset]
        fragment = find_keys(row_keys(queries[:, subset], within), row_keys(found.fragments, within))
        best = _best_partner(found, fragment, queries, observed, sizes)
        cutoffs = np.maximum(cutoffs, np.minimum(best, largest_k))
    return cutoffs


def _best_partner(
    pairs: Pairs, fragment: IntArray, queries: IntArray, observed: NDArray[Any], sizes: Sequence[int]
) -> IntArray:
    """Largest evidence between each query's fragment and one observed in the query's context; [Q]."""
    equivalent = pairs.disagree == 0
    left, right, agree = pairs.left[equivalent], pairs.right[equivalent], pairs.agree[equivalent]
    source, target = np.concatenate((left, right)), np.concatenate((right, left))
    order = np.argsort(source, kind="stable")
    target, evidence = target[order], np.concatenate((agree, agree))[order]
    starts = np.searchsorted(source[order], np.arange(len(pairs.fragments) + 1))
    best = np.zeros(len(queries), np.int64)
    counts = np.where(fragment >= 0, (starts[1:] - starts[:-1])[fragment], 0)
    step = max(1, int(STEP_CELLS // max(counts.mean(), 1))) if len(counts) else 1
    for low in range(0, len(queries), step):
        part = np.arange(low, min(low + step, len(queries)))
        origin = np.repeat(part, counts[part])
        within = np.arange(len(origin)) - np.repeat(np.cumsum(counts[part]) - counts[part], counts[part])
        place = starts[fragment[origin]] + within
        replaced = queries[origin]
        replaced[:, pairs.subset] = pairs.fragments[target[place]]
        hit = find_keys(row_keys(replaced, sizes), observed) >= 0
        np.maximum.at(best, origin[hit], evidence[place[hit]])
    return best
