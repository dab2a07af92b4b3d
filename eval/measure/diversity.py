"""What a model can still do in more than one way, and what it lost against another model."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .statistics import Clusters, Interval, StatisticsError, bounded_mean, mean

if TYPE_CHECKING:
    from ..engines.base import Completion, Engine


@dataclass(frozen=True)
class KeepExplore:
    """Shares with intervals over problems, None where there is no problem of the kind.

    Attributes:
        keep: Of what the base solves, the share still solved.
        explore: Of what the base does not solve, the share newly solved.
        base_solved: Expected number of problems the base solves.
        problems: Number of problems.
    """

    keep: Interval | None
    explore: Interval | None
    base_solved: float
    problems: int


def keep_explore(base_solved: ArrayLike, solved: ArrayLike, clusters: Clusters = None) -> KeepExplore:
    """Compare what two models solve of the same problems.

    Args:
        base_solved: Per problem, whether the base solves it, or the probability that it does (its Pass@k).
        solved: The same for the other model.
        clusters: Label of each problem's group.

    Probabilities give expected shares, sum(base * new) / sum(base), which do not depend on the luck of one
    draw of k samples; the two models' samples must be independent of each other.
    """
    base, new = np.asarray(base_solved, dtype=np.float64), np.asarray(solved, dtype=np.float64)
    if base.shape != new.shape:
        raise StatisticsError(f"keep/explore: {base.shape} and {new.shape} are not the same problems")
    keep, explore = (bounded_mean(new, clusters, w) if w.sum() > 0 else None for w in (base, 1 - base))
    return KeepExplore(keep, explore, float(base.sum()), len(base))


def entropy(counts: Iterable[float]) -> float:
    """Return the plug-in entropy of counts, in nats; 0 for no counts."""
    positive = np.asarray([c for c in counts if c > 0], dtype=np.float64)
    if positive.size == 0:
        return 0.0
    shares = positive / positive.sum()
    return float(max(0.0, -(shares * np.log(shares)).sum()))


def effective_number(counts: Iterable[float]) -> float:
    """Return exp(entropy): how many equally common kinds would be as varied."""
    return float(np.exp(entropy(counts)))


def idiom_entropy(solutions: Sequence[Mapping[Hashable, int]]) -> float | None:
    """Return the mean entropy (nats) of correct solutions, over the problems with at least one.

    Args:
        solutions: Per problem, how often each canonical form was given by a correct sample.

    Problems without a correct sample are left out, since they say nothing about variety; None if there are
    no others.
    """
    each = [entropy(counts.values()) for counts in solutions if counts]
    return float(np.mean(each)) if each else None


def sampled_kl(
    prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[Completion]], sampler: Engine, other: Engine
) -> Interval:
    """Estimate KL(sampler || other) per completion, in nats, from completions of the sampler.

    Args:
        prompts: Token ids.
        answers: Completions per prompt, drawn at temperature 1 and top_p 1: only then is the mean of
            log-ratios an unbiased estimate of the divergence.
        sampler: The model that gave the answers.
        other: The model it is compared with. The vocabularies must be the same.

    Both models score the completions, so that rounding differences between generation and scoring, and
    between engines, do not enter. The interval is over prompts.
    """
    pairs = [(p, c.token_ids) for p, own in zip(prompts, answers, strict=True) for c in own]
    given, ids = [p for p, _ in pairs], [c for _, c in pairs]
    ratios = [sum(a) - sum(b) for a, b in zip(sampler.score(given, ids), other.score(given, ids), strict=True)]
    sizes = [len(own) for own in answers]
    return mean([float(np.mean(part)) for part in np.split(np.asarray(ratios), np.cumsum(sizes)[:-1])])
