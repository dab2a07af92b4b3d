"""Two models on the same problems: paired differences, what was kept, what was found, and shared ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .diversity import KeepExplore, keep_explore
from .metrics import per_problem
from .problems import Problem, clusters_of
from .statistics import Interval, minimum_detectable_difference, paired_difference, paired_shares


@dataclass(frozen=True)
class Comparison:
    """What changed from a base model to another one.

    Attributes:
        differences: Other minus base by metric, over the problems for which both have it.
        detectable: Smallest true difference that as many problems would show with 80 % power, by metric.
        kept: Keep and explore by k.
        problems: Problems that both answered.
        unmatched: Problems that only one of them answered.
    """

    differences: dict[str, Interval]
    detectable: dict[str, float]
    kept: dict[int, KeepExplore]
    problems: int
    unmatched: int


def compare(base: Sequence[Problem], other: Sequence[Problem], ks: Sequence[int]) -> Comparison:
    """Compare two models problem by problem; problems are matched by id."""
    theirs = {p.id: p for p in other}
    pairs = [(p, theirs[p.id]) for p in base if p.id in theirs]
    before = per_problem([b for b, _ in pairs], ks)
    after = per_problem([o for _, o in pairs], ks)
    clusters = clusters_of([b for b, _ in pairs])
    differences, detectable = {}, {}
    for name in before.keys() & after.keys():
        both = ~np.isnan(before[name]) & ~np.isnan(after[name])
        a, b = before[name][both], after[name][both]
        labels = _held(clusters, both)
        if len(a):
            differences[name] = difference(a, b, labels)
        if len(a if labels is None else set(labels)) > 1:
            detectable[name] = minimum_detectable_difference(b - a, clusters=labels)
    kept = {}
    for k in ks:
        a, b = before[f"pass@{k}"], after[f"pass@{k}"]
        both = ~np.isnan(a) & ~np.isnan(b)
        kept[k] = keep_explore(a[both], b[both])
    unmatched = len(base) + len(other) - 2 * len(pairs)
    return Comparison(differences, detectable, kept, len(pairs), unmatched)


def ranks(
    values: Mapping[str, Mapping[str, float]], clusters: Mapping[str, str | None] | None = None
) -> dict[str, int]:
    """Rank models, best first, never inside the noise.

    Args:
        values: `{model: {problem id: value}}`, higher is better, the same problems for all.
        clusters: `{problem id: cluster}` of problems that come in groups.

    Models go from best to worst by mean; one gets a new rank only when its paired difference to the best
    model of the current rank excludes 0. Ties are therefore shown as ties, and a rank says "not shown to be
    worse than the first of this rank".
    """
    shared = sorted(set.intersection(*(set(column) for column in values.values()))) if values else []
    labels = [clusters.get(i) or i for i in shared] if clusters and any(clusters.values()) else None
    columns = {model: np.array([column[i] for i in shared]) for model, column in values.items()}
    order = sorted(columns, key=lambda model: (-columns[model].mean() if shared else 0.0, model))
    result: dict[str, int] = {}
    leader: str | None = None
    for place, model in enumerate(order, start=1):
        if leader is None:
            leader, result[model] = model, place
        elif not shared or difference(columns[leader], columns[model], labels).contains(0.0):
            result[model] = result[leader]
        else:
            leader, result[model] = model, place
    return result


def difference(a: NDArray[np.float64], b: NDArray[np.float64], clusters: list[str] | None) -> Interval:
    """Return mean(b - a) over the same problems, with its interval and p-value.

    Newcombe's interval where every value is 0 or 1: a bootstrap of few changes would be too sure of them.
    """
    if clusters is None and np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all():
        return paired_shares(a, b)
    return paired_difference(a, b, clusters=clusters)


def _held(clusters: Sequence[str] | None, which: NDArray[np.bool_]) -> list[str] | None:
    """Labels of the problems that are looked at."""
    return None if clusters is None else [label for label, held in zip(clusters, which, strict=True) if held]
