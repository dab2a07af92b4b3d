"""Estimates and their uncertainty. The unit is the problem: samples of one problem are not independent.

Where problems come in groups (questions on one database, on one passage), every function of values takes `clusters`,
one label a problem, and the group becomes the unit. Fewer than `LEAST_UNITS` of them give an estimate without an
interval. Coverage of every interval by number of units is measured in `docs/results/intervals.md`.

Sources: unbiased Pass@k from Chen et al. 2021 (arXiv 2107.03374, section 2.1); errors by problem and by cluster,
paired differences and power after Miller 2024 (arXiv 2411.00640); intervals after Agresti and Coull 1998 (The American
Statistician 52:119); several comparisons after Holm 1979 (Scandinavian Journal of Statistics 6:65).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, ndtri, stdtr, stdtrit

Clusters = Sequence[Hashable] | None
Array = NDArray[np.float64]

LEAST_UNITS = 3
"""Problems or clusters below which no interval is given."""
_EQUAL = 1e-12
"""Differences up to this size are rounding."""


class StatisticsError(ValueError):
    """An estimate that the data at hand cannot give."""


@dataclass(frozen=True)
class Interval:
    """An estimate with a two-sided interval.

    Attributes:
        estimate: The value on all problems.
        level: Coverage that the ends aim at.
        p_value: Two-sided, for a difference of 0; None where nothing is compared.
        refused: Why there is no interval; its ends are then infinite.
    """

    estimate: float
    low: float
    high: float
    level: float
    p_value: float | None = None
    refused: str = ""

    def contains(self, value: float) -> bool:
        """Whether a value lies between the ends."""
        return self.low <= value <= self.high

    @property
    def drawn(self) -> tuple[float, float]:
        """Ends for a chart: both are the estimate where there is no interval."""
        return (self.estimate, self.estimate) if self.refused else (self.low, self.high)

    def as_dict(self) -> dict[str, float | str | None]:
        """Return plain data for JSON."""
        return {key: None if value in (inf, -inf) else value for key, value in asdict(self).items()}


def pass_at_k(n: ArrayLike, correct: ArrayLike, k: ArrayLike) -> Array:
    """Estimate the chance that at least one of k fresh samples is correct, without bias.

    1 - C(n - c, k) / C(n, k), through logarithms of the gamma function, so that it is exact to about 1e-12
    and needs no loop. The arguments broadcast: `n[:, None], correct[:, None], ks` gives `[problems, ks]`.

    `n` samples are judged and `correct` of them correct, per problem.

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


def bounded_mean(
    values: ArrayLike,
    clusters: Clusters = None,
    weights: ArrayLike | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
) -> Interval:
    """Return a mean over problems of values between two bounds, such as shares, with its interval.

    Agresti and Coull's interval, taken from right or wrong to all values: z²/2 pseudo-problems are added at each
    bound, and the interval is mean ± z (1 + 1/4n) standard errors of what results, so that neither few problems nor
    equal ones claim certainty. The factor 1 + 1/4n is ours, for fewer than 20 problems. Of clusters, each weighs by its
    size w, the pseudo-clusters by Σw² / Σw, and n is Kish's effective number (Σw)² / Σw².

    A mean with weights is a ratio, Σ(weight value) / Σ weight; `bounds` are the smallest and largest value possible.

    Raises:
        StatisticsError: There are no problems, or values lie outside of the bounds.
    """
    values, (lowest, highest) = np.asarray(values, dtype=np.float64), bounds
    if values.size and not lowest - 1e-9 <= values.min() <= values.max() <= highest + 1e-9:
        raise StatisticsError(f"interval: values from {values.min():g} to {values.max():g} do not lie in {bounds}")
    each = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    (sums, _), (masses, _) = _units(each * values, clusters), _units(each, clusters)
    total = masses.sum()
    if not total > 0:
        raise StatisticsError("interval: there are no problems, or all weights are 0")
    estimate = float(sums.sum() / total)
    if refused := _too_few(int((masses > 0).sum()), clusters):
        return Interval(estimate, -inf, inf, level, refused=refused)
    pseudo, mass = _pseudo(level), float((masses**2).sum() / total)
    units = total / mass
    grown = total + 2 * pseudo * mass
    centre = (sums.sum() + pseudo * mass * (lowest + highest)) / grown
    squares = ((sums - centre * masses) ** 2).sum()
    squares += pseudo * mass**2 * ((lowest - centre) ** 2 + (highest - centre) ** 2)
    half = _half(float(squares / grown**2), units, pseudo)
    return Interval(estimate, max(lowest, float(centre) - half), min(highest, float(centre) + half), level)


def proportion(successes: float, trials: float, level: float = 0.95) -> Interval:
    """Return a proportion of independent trials with the interval of `bounded_mean`; of one or two it is 0 to 1."""
    if trials < 1 or not 0 <= successes <= trials:
        raise StatisticsError(f"proportion: 0 <= successes <= trials and trials >= 1; got {successes} of {trials}")
    if trials < LEAST_UNITS:
        return Interval(successes / trials, 0.0, 1.0, level)
    pseudo = _pseudo(level)
    centre = (successes + pseudo) / (trials + 2 * pseudo)
    half = _half(centre * (1 - centre) / (trials + 2 * pseudo), trials, pseudo)
    return Interval(successes / trials, max(0.0, centre - half), min(1.0, centre + half), level)


def _pseudo(level: float) -> float:
    """Pseudo-problems at each bound, z²/2."""
    return float(ndtri(0.5 + level / 2)) ** 2 / 2


def _half(variance: float, units: float, pseudo: float) -> float:
    """Half of an interval from the variance of a mean over units and pseudo-units."""
    grown = units + 2 * pseudo
    return sqrt(2 * pseudo * variance * grown / (grown - 1)) * (1 + 1 / (4 * units))


def mean(values: ArrayLike, clusters: Clusters = None, level: float = 0.95) -> Interval:
    """Return a mean over problems of values without bounds, `[problems]`, with Student's interval."""
    values = np.asarray(values, dtype=np.float64)
    if not values.size:
        raise StatisticsError("interval: there are no problems")
    estimate, units = float(values.mean()), len(_units(values, clusters)[0])
    if refused := _too_few(units, clusters):
        return Interval(estimate, -inf, inf, level, refused=refused)
    half = float(stdtrit(units - 1, 0.5 + level / 2)) * standard_error(values, clusters)
    return Interval(estimate, estimate - half, estimate + half, level)


def standard_error(values: ArrayLike, clusters: Clusters = None) -> float:
    """Return the standard error of a mean over problems, `[problems]`; with clusters, between clusters.

    Miller 2024, section 2.2, with the factor c / (c - 1) for c clusters, so that clusters of one problem each give
    the usual error.

    Raises:
        StatisticsError: There are fewer than two problems or clusters.
    """
    sums, sizes = _units(np.asarray(values, dtype=np.float64), clusters)
    if len(sums) < 2:
        unit = "problems" if clusters is None else "clusters"
        raise StatisticsError(f"standard error: needs 2 {unit}, got {len(sums)}")
    squares = float(((sums - sums.sum() / sizes.sum() * sizes) ** 2).sum())
    return sqrt(len(sums) / (len(sums) - 1) * squares) / float(sizes.sum())


def paired_difference(a: ArrayLike, b: ArrayLike, clusters: Clusters = None, level: float = 0.95) -> Interval:
    """Return mean(b - a) over the same problems, `[problems]` each, with an interval and a two-sided p.

    Pairing removes the spread between easy and hard problems, which both share. Student's t, whose standard error
    counts one unit more than there are: one that differs as much as the largest of them, in either direction. Without
    it, five problems that differ by the same amount, or one large cluster, would seem certain. Nor is p smaller than
    2 / 2^m for m units that differ, where an exact test ends. p < 1 - level if and only if the interval leaves out 0.

    Raises:
        StatisticsError: The two differ in length, or are empty.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or not a.size:
        raise StatisticsError(f"paired difference: {a.shape} and {b.shape} are not the same problems")
    difference = b - a
    sums, sizes = _units(difference, clusters)
    estimate, units, total = float(difference.mean()), len(sums), float(sizes.sum())
    if refused := _too_few(units, clusters):
        return Interval(estimate, -inf, inf, level, 1.0, refused)
    spread, largest = _spread(sums, sizes)
    error = sqrt((units + 1) / units * (spread + largest**2)) / total
    differing = np.count_nonzero(np.abs(sums) > _EQUAL)
    p_value = min(1.0, max(2 * float(stdtr(units - 1, -abs(estimate) / error)), 2.0 ** (1 - differing)))
    half = float(stdtrit(units - 1, 0.5 + level / 2)) * error
    half = max(half, abs(estimate)) if p_value >= 1 - level else half
    furthest = 1.0 if min(a.min(), b.min()) >= 0 and max(a.max(), b.max()) <= 1 else inf
    return Interval(estimate, max(-furthest, estimate - half), min(furthest, estimate + half), level, p_value)


def minimum_detectable_difference(
    differences: ArrayLike, power: float = 0.8, level: float = 0.95, clusters: Clusters = None
) -> float:
    """Return the smallest true mean difference that as many problems would show with this power.

    Only the spread of the differences `[problems]` is read; the test is `paired_difference` at this level. Infinity
    where so few problems or clusters show no difference at all.
    """
    sums, sizes = _units(np.asarray(differences, dtype=np.float64), clusters)
    units, total, size = len(sums), float(sizes.sum()), float(sizes.max(initial=0))
    if _too_few(units, clusters) or 2.0 ** (1 - units) >= 1 - level:
        return inf
    quantiles = float(stdtrit(units - 1, 0.5 + level / 2) + stdtrit(units - 1, power))
    spread, largest = _spread(sums - sums.sum() / total * sizes, sizes)
    # A difference d adds to the largest unit too: (d total / quantiles)² units / (units + 1) = spread + (largest + d)².
    rate = (total / quantiles) ** 2 * units / (units + 1) - size**2
    if rate <= 0:
        return inf
    step = largest * size
    return (step + sqrt(step**2 + rate * (spread + largest**2))) / rate


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number: the chance of any false one below a bound is at most that bound."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return corrected.tolist()


def _units(values: Array, clusters: Clusters) -> tuple[Array, Array]:
    """Return sums and sizes of clusters, `[clusters]` each; without labels, of each problem."""
    if clusters is None:
        return values, np.ones(len(values))
    if len(clusters) != len(values):
        raise StatisticsError(f"clusters: {len(clusters)} labels for {len(values)} problems; give one a problem")
    number = {label: index for index, label in enumerate(dict.fromkeys(clusters))}
    of = [number[label] for label in clusters]
    sums, sizes = np.bincount(of, values, len(number)), np.bincount(of, minlength=len(number))
    return sums.astype(np.float64), sizes.astype(np.float64)


def _spread(sums: Array, sizes: Array) -> tuple[float, float]:
    """Return the squared deviations of units from their mean, and the sum that is farthest from 0.

    Where all sums are 0, a unit that differs by 1 on each of its problems, which is the most that shares can.
    """
    squares = ((sums - sums.sum() / sizes.sum() * sizes) ** 2).sum()
    largest = np.abs(sums).max()
    return float(squares), float(largest if largest > _EQUAL else sizes.max())


def _too_few(units: int, clusters: Clusters) -> str:
    """Say why so many units give no interval; empty if they do."""
    unit = "problem" if clusters is None else "cluster"
    return "" if units >= LEAST_UNITS else f"no interval from {units} {unit}{'s' if units != 1 else ''}"
