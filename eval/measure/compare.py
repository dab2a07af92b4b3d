"""Models on the same problems: paired differences, what was kept, what was newly solved, and ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike

from .metrics import per_problem
from .problems import Problem, clusters_of
from .statistics import (
    Clusters,
    Interval,
    StatisticsError,
    bounded_mean,
    holm,
    minimum_detectable_difference,
    paired_difference,
)


@dataclass(frozen=True)
class KeepExplore:
    """Shares with intervals over problems, None where there is no problem of the kind.

    Of what the base solves the share still solved, and of what it does not solve the share newly solved; `base_solved`
    is the expected number of problems that it solves.
    """

    keep: Interval | None
    explore: Interval | None
    base_solved: float
    problems: int


def keep_explore(base_solved: ArrayLike, solved: ArrayLike, clusters: Clusters = None) -> KeepExplore:
    """Compare what two models solve of the same problems.

    By problem, whether a model solves it or the probability that it does (its Pass@k). Probabilities give expected
    shares, sum(base * new) / sum(base), which do not depend on the luck of one draw of k samples; the two models'
    samples must be independent of each other.
    """
    base, new = np.asarray(base_solved, dtype=np.float64), np.asarray(solved, dtype=np.float64)
    if base.shape != new.shape:
        raise StatisticsError(f"keep/explore: {base.shape} and {new.shape} are not the same problems")
    keep, explore = (bounded_mean(new, clusters, w) if w.sum() > 0 else None for w in (base, 1 - base))
    return KeepExplore(keep, explore, float(base.sum()), len(base))


@dataclass(frozen=True)
class Comparison:
    """What changed from a base model to another one.

    Differences are other minus base by metric, over the problems for which both have it; `detectable` is the smallest
    true difference that as many problems would show with 80 % power, `kept` is by k.
    """

    differences: dict[str, Interval]
    detectable: dict[str, float]
    kept: dict[int, KeepExplore]
    problems: int
    unmatched: int


def compare(base: Sequence[Problem], other: Sequence[Problem], ks: Sequence[int]) -> Comparison:
    """Compare two models problem by problem, over the problems of both."""
    pairs = matched(base, other)
    before = per_problem([b for b, _ in pairs], ks)
    after = per_problem([o for _, o in pairs], ks)
    clusters = clusters_of([b for b, _ in pairs])
    differences, detectable, kept = {}, {}, {}
    for name in (name for name in before if name in after):
        both = np.flatnonzero(~np.isnan(before[name]) & ~np.isnan(after[name]))
        labels = None if clusters is None else [clusters[i] for i in both]
        a, b = before[name][both], after[name][both]
        if len(both):
            differences[name] = paired_difference(a, b, labels)
            if isfinite(least := minimum_detectable_difference(b - a, clusters=labels)):
                detectable[name] = least
        if (k := name.removeprefix("pass@")) != name:
            kept[int(k)] = keep_explore(a, b, labels)
    unmatched = len(base) + len(other) - 2 * len(pairs)
    return Comparison(differences, detectable, kept, len(pairs), unmatched)


def matched(base: Sequence[Problem], other: Sequence[Problem]) -> list[tuple[Problem, Problem]]:
    """Pair the problems of two models by id; two that ask something else are not the same problem."""
    theirs = {(p.id, p.question): p for p in other}
    return [(p, theirs[p.id, p.question]) for p in base if (p.id, p.question) in theirs]


def ranks(
    values: Mapping[str, Mapping[str, float]], clusters: Mapping[str, str | None] | None = None, level: float = 0.95
) -> dict[str, int]:
    """Rank models, best first: one more than the number of models that are shown to be better.

    Every two models are compared, and the p-values of all pairs are corrected together by Holm's method: of equal
    models, however many, a board shows more than one rank with a chance of at most 1 - level.

    `values` are `{model: {problem id: value}}`, higher is better; ranks are over the problems that all models have.
    """
    shared = sorted(set.intersection(*(set(column) for column in values.values()))) if values else []
    labels = [(clusters.get(i), None if clusters.get(i) else i) for i in shared] if clusters else None
    columns = {model: np.array([column[i] for i in shared]) for model, column in values.items()}
    above: Counter[str] = Counter()
    pairs = list(combinations(columns, 2)) if shared else []
    changes = [paired_difference(columns[a], columns[b], labels) for a, b in pairs]
    for (a, b), change, p_value in zip(pairs, changes, holm([c.p_value or 0.0 for c in changes]), strict=True):
        if p_value < 1 - level:
            above[b if change.estimate < 0 else a] += 1
    order = sorted(columns, key=lambda model: (-columns[model].mean() if shared else 0.0, model))
    return {model: 1 + above[model] for model in order}
