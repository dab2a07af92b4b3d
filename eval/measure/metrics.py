"""From answers to numbers: one value per problem and metric, then means with intervals over problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...rewards.base import OUTCOMES
from .diversity import entropy
from .problems import Problem, clusters_of
from .statistics import Interval, bootstrap_mean, pass_at_k, wilson_clustered

Unit = Literal["proportion", "reward", "solutions", "nats", "tokens"]


@dataclass(frozen=True)
class Metric:
    """A mean over problems.

    Attributes:
        name: Such as "pass@4".
        unit: Of the values.
        interval: Mean and its interval.
        problems: Problems for which it is defined; the others had too few judged samples, or no correct one
            where the metric is about correct ones.
        method: How the interval was made.
        clusters: Groups of problems, where those are the unit of the interval.
    """

    name: str
    unit: Unit
    interval: Interval
    problems: int
    method: Literal["bootstrap", "wilson"] = "bootstrap"
    clusters: int | None = None


def per_problem(problems: Sequence[Problem], ks: Sequence[int]) -> dict[str, NDArray[np.float64]]:
    """Return `{metric: [problems]}`, NaN where a metric is not defined for a problem."""
    n = np.array([p.n for p in problems])
    drawn = np.array([p.drawn for p in problems])
    correct = np.array([p.correct for p in problems])
    columns = {f"pass@{k}": _pass_at(n, correct, k) for k in ks}
    if any(p.greedy for p in problems):
        columns["greedy"] = np.array([_greedy(p) for p in problems])
    columns["mean_reward"] = _each(problems, lambda p: _weighted(p, lambda a: a.value))
    columns["distinct_correct"] = _each(problems, lambda p: len(p.solutions))
    columns["idiom_entropy"] = _each(problems, lambda p: entropy(p.solutions.values()) if p.solutions else None)
    columns["tokens"] = _each(problems, lambda p: _weighted(p, lambda a: a.tokens))
    columns["truncated"] = _each(problems, lambda p: _weighted(p, lambda a: float(a.truncated)))
    for outcome in OUTCOMES:
        columns[f"outcome/{outcome}"] = np.array([p.outcomes[outcome] for p in problems]) / drawn
    return columns


def measure(problems: Sequence[Problem], ks: Sequence[int], level: float = 0.95) -> dict[str, Metric]:
    """Return every metric that is defined for at least one problem."""
    clusters = clusters_of(problems)
    metrics = {}
    for name, values in per_problem(problems, ks).items():
        known = ~np.isnan(values)
        if known.any():
            labels = None if clusters is None else [c for c, k in zip(clusters, known, strict=True) if k]
            metrics[name] = _metric(name, values[known], labels, level)
    return metrics


def _metric(name: str, values: NDArray[np.float64], clusters: list[str] | None, level: float) -> Metric:
    """Wilson's interval where every value is 0 or 1: a bootstrap of equal values would claim certainty."""
    unit, groups = unit_of(name), None if clusters is None else len(set(clusters))
    if unit == "proportion" and np.isin(values, (0.0, 1.0)).all():
        return Metric(name, unit, wilson_clustered(values, clusters, level), len(values), "wilson", groups)
    return Metric(name, unit, bootstrap_mean(values, level=level, clusters=clusters), len(values), "bootstrap", groups)


def unit_of(name: str) -> Unit:
    """Return the unit of a metric's values."""
    others: dict[str, Unit] = {
        "mean_reward": "reward",
        "distinct_correct": "solutions",
        "idiom_entropy": "nats",
        "tokens": "tokens",
    }
    return others.get(name, "proportion")


def _pass_at(n: NDArray[np.int64], correct: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    values = np.full(len(n), np.nan)
    enough = n >= k
    values[enough] = pass_at_k(n[enough], correct[enough], k)
    return values


def _greedy(problem: Problem) -> float:
    judged = problem.greedy is not None and problem.greedy.value is not None
    return float(problem.greedy.correct) if judged else np.nan


def _each(problems: Sequence[Problem], value) -> NDArray[np.float64]:
    return np.array([np.nan if (v := value(p)) is None else v for p in problems], dtype=np.float64)


def _weighted(problem: Problem, value) -> float | None:
    """Mean over the samples for which a value exists; None if there are none."""
    pairs = [(value(a), a.count) for a in problem.answers if value(a) is not None]
    return sum(v * c for v, c in pairs) / sum(c for _, c in pairs) if pairs else None
