"""Estimates and their uncertainty. The unit is the problem: samples of one problem are not independent.

Where problems come in groups (questions on one database, on one passage), every function of values takes
`clusters`, one label a problem, and the group becomes the unit.

Sources: unbiased Pass@k from Chen et al. 2021 (arXiv 2107.03374, section 2.1); errors by problem and by cluster,
paired differences and power after Miller 2024 (arXiv 2411.00640); shares of the same problems after McNemar 1947 and
Newcombe 1998 (Statistics in Medicine 17:2635).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln
from scipy.stats import binomtest, norm

Clusters = Sequence[Hashable] | None


class StatisticsError(ValueError):
    """An estimate that the data at hand cannot give."""


@dataclass(frozen=True)
class Interval:
    """An estimate with a two-sided interval.

    Attributes:
        estimate: The value on all problems.
        low: Lower end.
        high: Upper end.
        level: Coverage that the ends aim at.
        p_value: Two-sided, for a difference of 0; None where nothing is compared.
    """

    estimate: float
    low: float
    high: float
    level: float
    p_value: float | None = None

    def contains(self, value: float) -> bool:
        """Whether a value lies between the ends."""
        return self.low <= value <= self.high

    def as_dict(self) -> dict[str, float | None]:
        """Return plain data for JSON."""
        return asdict(self)


def pass_at_k(n: ArrayLike, correct: ArrayLike, k: ArrayLike) -> NDArray[np.float64]:
    """Estimate the chance that at least one of k fresh samples is correct, without bias.

    1 - C(n - c, k) / C(n, k), through logarithms of the gamma function, so that it is exact to about 1e-12
    and needs no loop. The arguments broadcast: `n[:, None], correct[:, None], ks` gives `[problems, ks]`.

    Args:
        n: Samples judged, per problem.
        correct: Correct ones among them.
        k: Budget of samples.

    Raises:
        StatisticsError: k is larger than n (the estimator does not exist), or correct is not in [0, n].
    """
    n, correct, k = (np.asarray(x, dtype=np.float64) for x in (n, correct, k))
    if n.size and k.size and k.max() > n.min():
        raise StatisticsError(
            f"pass@k: k = {int(k.max())} needs at least {int(k.max())} judged samples of every problem, "
            f"a problem has {int(n.min())}; sample more or drop this k"
        )
    if k.size and k.min() < 1:
        raise StatisticsError(f"pass@k: k starts at 1, got {int(k.min())}")
    if np.any((correct < 0) | (correct > n)):
        raise StatisticsError("pass@k: the number of correct samples lies between 0 and n")
    wrong = n - correct
    # log C(wrong, k) - log C(n, k); where wrong < k the first binomial is 0 and the estimate 1.
    safe = np.maximum(wrong, k)
    log_all_wrong = gammaln(safe + 1) - gammaln(safe - k + 1) - gammaln(n + 1) + gammaln(n - k + 1)
    estimate = np.where(wrong < k, 1.0, -np.expm1(np.minimum(log_all_wrong, 0.0)))
    return np.where(correct == 0, 0.0, estimate)  # exactly, where rounding would leave 1e-16


def wilson(successes: float, trials: float, level: float = 0.95) -> Interval:
    """Return Wilson's score interval of a share: for one sample a problem, where it keeps its coverage."""
    if trials < 1 or not 0 <= successes <= trials:
        raise StatisticsError(f"wilson: 0 <= successes <= trials and trials >= 1; got {successes} of {trials}")
    z = norm.ppf(0.5 + level / 2)
    share = successes / trials
    spread = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / spread
    half = z / spread * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return Interval(share, max(0.0, float(centre - half)), min(1.0, float(centre + half)), level)


def wilson_clustered(values: ArrayLike, clusters: Clusters, level: float = 0.95) -> Interval:
    """Return Wilson's interval of a share of problems that come in groups; `values` is `[problems]` of 0 and 1.

    The trials are the effective number: as many independent problems as would give the standard error between
    clusters (Korn and Graubard 1998, Survey Methodology 24:193), never more than there are problems. Where all
    values are equal that error is unknown, and the clusters are counted.
    """
    values = np.asarray(values, dtype=np.float64)
    problems = _at_least_one(len(values))
    if clusters is None:
        return wilson(int(values.sum()), problems, level)
    share, groups = float(values.mean()), len(set(clusters))
    error = standard_error(values, clusters) if groups > 1 and 0 < share < 1 else 0.0
    trials = max(1.0, problems * min(1.0, standard_error(values) / error) ** 2) if error else float(groups)
    return replace(wilson(share * trials, trials, level), estimate=share)


def standard_error(values: ArrayLike, clusters: Clusters = None) -> float:
    """Return the standard error of a mean over problems, `[problems]`; with clusters, between clusters.

    Miller 2024, section 2.2, with the factor c / (c - 1) for c clusters, so that clusters of one problem each give
    the usual error.

    Raises:
        StatisticsError: There are fewer than two problems or clusters.
    """
    values = np.asarray(values, dtype=np.float64)
    sums, _ = _summed((values - values.mean())[:, None] if len(values) else values[:, None], clusters)
    groups = len(sums)
    if groups < 2:
        unit = "problems" if clusters is None else "clusters"
        raise StatisticsError(f"standard error: needs 2 {unit}, got {groups}")
    return float(np.sqrt(groups / (groups - 1) * (sums**2).sum()) / len(values))


def bootstrap_means(
    values: ArrayLike, draws: int = 1_000, seed: int = 0, clusters: Clusters = None
) -> NDArray[np.float64]:
    """Return means of problems drawn with replacement, `[draws, ...]` for `values[problems, ...]`.

    A draw is a vector of multinomial counts, so that a whole table of metrics is resampled by one product. With
    clusters a draw takes whole clusters, and its mean is over the problems in them.
    """
    values = np.asarray(values, dtype=np.float64)
    problems = _at_least_one(len(values))
    sums, sizes = _summed(values.reshape(problems, -1), clusters)
    counts = _resamples(len(sums), draws, seed)
    return (counts @ sums / (counts @ sizes)[:, None]).reshape(draws, *values.shape[1:])


def bootstrap_mean(
    values: ArrayLike, draws: int = 1_000, seed: int = 0, level: float = 0.95, clusters: Clusters = None
) -> Interval:
    """Return the mean over problems with a percentile bootstrap interval; `values` is `[problems]`."""
    values = np.asarray(values, dtype=np.float64)
    low, high = _ends(bootstrap_means(values, draws, seed, clusters), level)
    return Interval(float(values.mean()), low, high, level)


def paired_difference(
    a: ArrayLike, b: ArrayLike, draws: int = 1_000, seed: int = 0, level: float = 0.95, clusters: Clusters = None
) -> Interval:
    """Return mean(b - a) over the same problems, `[problems]` each, with an interval and a two-sided p.

    Pairing removes the spread between easy and hard problems, which both share. The p-value is the share
    of bootstrap differences, shifted to mean 0, at least as far from 0 as the one observed (with the +1
    of Davison and Hinkley, so that it is never 0).

    Raises:
        StatisticsError: The two differ in length: they are not the same problems.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise StatisticsError(f"paired difference: {a.shape} and {b.shape} are not the same problems")
    difference = b - a
    means = bootstrap_means(difference, draws, seed, clusters)
    estimate = float(difference.mean())
    low, high = _ends(means, level)
    # The slack keeps rounding from counting a draw equal to the estimate as nearer to 0.
    beyond = int((np.abs(means - estimate) >= abs(estimate) - 1e-12).sum())
    return Interval(estimate, low, high, level, (beyond + 1) / (draws + 1))


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p-value of McNemar's test: of the problems that one of two models solves.

    If neither were better, each such problem would be a fair coin; the ones that both or none solve say nothing.
    """
    if min(only_a, only_b) < 0:
        raise StatisticsError(f"mcnemar: counts are at least 0; got {only_a} and {only_b}")
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def paired_shares(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Interval:
    """Return share(b) - share(a) over the same problems with Newcombe's interval and McNemar's exact p-value.

    For answers that are right or wrong, `[problems]` each. Unlike a bootstrap it claims no certainty where few
    problems agree. Newcombe's method 10: Wilson's intervals of the two shares, joined with the correlation of
    the pairs after a correction for continuity.

    Raises:
        StatisticsError: The two differ in length, or are empty.
    """
    a, b = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if a.shape != b.shape or not a.size:
        raise StatisticsError(f"paired shares: {a.shape} and {b.shape} are not the same problems")
    both, only_a, only_b, neither = (int(x.sum()) for x in (a & b, a & ~b, ~a & b, ~a & ~b))
    first, second = (wilson(int(x.sum()), a.size, level) for x in (a, b))
    agreement = both * neither - only_a * only_b
    if agreement > 0:
        agreement = max(agreement - a.size / 2, 0.0)
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    phi = agreement / np.sqrt(margins) if margins else 0.0
    difference = second.estimate - first.estimate
    below = _joined(second.estimate - second.low, first.high - first.estimate, phi)
    above = _joined(second.high - second.estimate, first.estimate - first.low, phi)
    low, high = max(-1.0, difference - below), min(1.0, difference + above)
    return Interval(difference, low, high, level, mcnemar(only_a, only_b))


def _joined(x: float, y: float, correlation: float) -> float:
    return float(np.sqrt(max(0.0, x * x - 2 * correlation * x * y + y * y)))


def minimum_detectable_difference(
    differences: ArrayLike, power: float = 0.8, level: float = 0.95, clusters: Clusters = None
) -> float:
    """Return the smallest true mean difference that as many problems would show with this power.

    Args:
        differences: Paired differences, `[problems]`; only their spread is read.
        power: Chance of finding it.
        level: 1 minus the two-sided error rate.
        clusters: Label of each problem's group.

    Raises:
        StatisticsError: There are fewer than two problems or clusters.
    """
    return float((norm.ppf(0.5 + level / 2) + norm.ppf(power)) * standard_error(differences, clusters))


def _summed(values: NDArray[np.float64], clusters: Clusters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sums and sizes of clusters, `[clusters, columns]` and `[clusters]`; without labels, of each problem."""
    if clusters is None:
        return values, np.ones(len(values))
    if len(clusters) != len(values):
        raise StatisticsError(f"clusters: {len(clusters)} labels for {len(values)} problems; give one a problem")
    number = {label: index for index, label in enumerate(dict.fromkeys(clusters))}
    of = np.array([number[label] for label in clusters], dtype=np.intp)
    sums = np.zeros((len(number), values.shape[1]))
    np.add.at(sums, of, values)
    return sums, np.bincount(of, minlength=len(number)).astype(np.float64)


@lru_cache(maxsize=2)
def _resamples(units: int, draws: int, seed: int) -> NDArray[np.float64]:
    """Return how often each unit is drawn, `[draws, units]`; kept, since many metrics share it."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(units, np.full(units, 1 / units), size=draws).astype(np.float64)


def _ends(means: NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def _at_least_one(problems: int) -> int:
    if problems < 1:
        raise StatisticsError("bootstrap: there are no problems to draw from")
    return problems
