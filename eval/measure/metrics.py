"""Metrics of a suite: one value per problem, then means with intervals over problems.

Pass@k, reward, variety, length and outcomes come from the samples; divergences from a reference need samples of their
own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ...data.chat.renderer import render_prompts
from ...data.rows import Row
from ...rewards.base import OUTCOMES
from ..engines.base import Sampling
from .problems import Answer, Problem, clusters_of
from .statistics import Interval, bounded_mean, mean, pass_at_k

if TYPE_CHECKING:
    from ..engines.base import Engine

Unit = Literal["proportion", "reward", "solutions", "nats", "tokens"]
MODEL_REFERENCE = "kl/model_reference"
REFERENCE_MODEL = "kl/reference_model"
KL_METRICS = (MODEL_REFERENCE, REFERENCE_MODEL)


@dataclass(frozen=True)
class Metric:
    """A mean over problems with its interval; `clusters` counts groups of problems, where those are its unit.

    Problems without enough judged samples are left out, and where it is about correct ones, those without a correct
    one.
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


def entropy(counts: Iterable[float]) -> float:
    """Return the plug-in entropy of counts, in nats; 0 for no counts."""
    positive = np.asarray([c for c in counts if c > 0], dtype=np.float64)
    if positive.size == 0:
        return 0.0
    shares = positive / positive.sum()
    return float(max(0.0, -(shares * np.log(shares)).sum()))


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


def reference_kl(
    rows: Sequence[Row],
    model: Engine,
    reference: Engine,
    samples: int,
    max_tokens: int,
    seed: int,
    longest: int | None = None,
) -> dict[str, Metric]:
    """Estimate KL(model || reference) and KL(reference || model), in nats per completion, with intervals over prompts.

    The first is large where the model writes what the reference would not, the second where the model no longer writes
    what the reference does. Each is the mean log-ratio of completions drawn at temperature 1 and top_p 1, which makes
    it unbiased; it covers what is written up to `max_tokens`. Both models score the completions, so that rounding
    differences between generation and scoring, and between engines, cancel.

    Rows are rendered with the model's chat template. The reference has the same vocabulary; the same engine gives
    exactly 0, without any work. `samples` are per problem and direction; prompts are cut to `longest` tokens on their
    left.
    """
    if model is reference:
        return {name: Metric(name, "nats", Interval(0.0, 0.0, 0.0, 0.95), len(rows)) for name in KL_METRICS}
    prompts = render_prompts(rows, model.tokenizer, longest=longest)
    sampling = Sampling(samples, max_tokens=max_tokens, seed=seed)
    given = [prompt for prompt in prompts for _ in range(samples)]
    metrics = {}
    for name, sampler, other in ((MODEL_REFERENCE, model, reference), (REFERENCE_MODEL, reference, model)):
        ids = [c.token_ids for completions in sampler.generate(prompts, sampling) for c in completions]
        scored = zip(sampler.score(given, ids), other.score(given, ids), strict=True)
        ratios = np.array([sum(own) - sum(theirs) for own, theirs in scored]).reshape(len(prompts), samples)
        metrics[name] = Metric(name, "nats", mean(ratios.mean(1)), len(prompts))
    return metrics


def spread_rows(rows: Sequence[Row], count: int) -> list[Row]:
    """Return at most so many rows, evenly spread: neighbours often share a database or a template."""
    count = min(count, len(rows))
    return [rows[i * len(rows) // count] for i in range(count)]


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
