"""From answers to numbers: one value per problem and metric, then means with intervals over problems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...rewards.base import OUTCOMES
from .diversity import entropy
from .problems import Answer, Problem, clusters_of
from .statistics import Interval, bounded_mean, pass_at_k

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
        clusters: Groups of problems, where those are the unit of the interval.
    """

    name: str
    unit: Unit
    interval: Interval
    problems: int
    clusters: int | None = None

    @property
    def over(self) -> str:
        """The units of the interval."""
        return units(self.clusters)


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
    for name, column in per_problem(problems, ks).items():
        known = np.flatnonzero(~np.isnan(column))
        if known.size:
            labels = None if clusters is None else [clusters[i] for i in known]
            values = column[known]
            interval = bounded_mean(values, labels, None, bounds_of(name, values, problems), level)
            groups = None if labels is None else len(set(labels))
            metrics[name] = Metric(name, unit_of(name), interval, len(values), groups)
    return metrics


def bounds_of(name: str, values: NDArray[np.float64], problems: Sequence[Problem]) -> tuple[float, float]:
    """Return the smallest and the largest value that a metric is taken to have of a problem.

    Of rewards those of the answers at hand, with 0 and 1. Of what has no upper bound twice the largest value at hand:
    few problems do not show the largest ones.
    """
    if unit_of(name) == "proportion":
        return 0.0, 1.0
    if unit_of(name) == "reward":
        rewards = [a.value for p in problems for a in p.answers if a.value is not None]
        return min(0.0, *rewards), max(1.0, *rewards)
    return 0.0, 2 * float(values.max()) or 1.0


def units(clusters: int | None) -> str:
    """Say what an interval is over."""
    return "problems" if clusters is None else f"{clusters} cluster{'s' if clusters != 1 else ''} of problems"


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
    answer = problem.greedy
    return np.nan if answer is None or answer.value is None else float(answer.correct)


def _each(problems: Sequence[Problem], value: Callable[[Problem], float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if (v := value(p)) is None else v for p in problems], dtype=np.float64)


def _weighted(problem: Problem, value: Callable[[Answer], float | None]) -> float | None:
    """Mean over the samples for which a value exists; None if there are none."""
    pairs = [(v, a.count) for a in problem.answers if (v := value(a)) is not None]
    return sum(v * c for v, c in pairs) / sum(c for _, c in pairs) if pairs else None
