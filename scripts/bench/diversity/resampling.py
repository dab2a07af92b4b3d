"""Results of the diversity bench as arrays, and what resampling says about their means.

Runs of one setting differ by seed, problems differ in difficulty, and both would be others in a repetition. So both
are resampled, each with replacement, and every setting of a comparison sees the same draw: comparisons are paired.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quince.eval.measure.statistics import Interval

Array = NDArray[np.float64]
METRICS = ("pass@1", "pass@4", "pass@16", "pass@64", "greedy", "distinct_correct", "idiom_entropy")
SUITES = {"in_domain": "in-domain", "cross_domain": "cross-domain", "old_skill": "old skill"}
DRAWS = 2_000
LEVEL = 0.95


class ResultsError(ValueError):
    """Result files that do not belong together."""


@dataclass(frozen=True)
class Setting:
    """One method at one strength, over its seeds; values by suite and metric, `[seeds, problems]`, NaN if undefined."""

    method: str
    weight: float | None  # Strength of its remedy, None where it has none
    recipe: str | None  # What it was trained by, None for the base
    seeds: tuple[int, ...]  # In rising order
    cpu_seconds: float  # Mean training cost of a run
    values: dict[str, dict[str, Array]]

    @property
    def label(self) -> str:
        """Method and strength, as tables name it."""
        return self.method if self.weight is None else f"{self.method} {self.weight:g}"

    def of(self, suite: str, metric: str, seeds: Sequence[int]) -> Array:
        """Values of some seeds, `[seeds, problems]`."""
        return self.values[suite][metric][[self.seeds.index(seed) for seed in seeds]]


def read_settings(results: Path, order: Sequence[tuple[str, float | None]]) -> list[Setting]:
    runs: dict[tuple[str, float | None], list[dict[str, Any]]] = {}
    for path in sorted(results.glob("*.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        runs.setdefault((run["method"], run["weight"]), []).append(run)
    if not runs:
        raise ResultsError(f"{results}: no result files (*.json); train and evaluate some runs first")
    known = [key for key in order if key in runs]
    return [_setting(runs[key]) for key in (*known, *(key for key in runs if key not in known))]


def _setting(runs: list[dict[str, Any]]) -> Setting:
    first, *_ = runs = sorted(runs, key=lambda run: run["seed"])
    cost = float(np.mean([run["train_cpu_seconds"] for run in runs]))
    values = {suite: {metric: _table(runs, suite, metric) for metric in METRICS} for suite in SUITES}
    seeds = tuple(run["seed"] for run in runs)
    return Setting(first["method"], first["weight"], first.get("recipe"), seeds, cost, values)


def _table(runs: list[dict[str, Any]], suite: str, metric: str) -> Array:
    rows = [run["suites"][suite][metric] for run in runs]
    if len({len(row) for row in rows}) > 1:
        sizes = ", ".join(f"{run['name']} {len(row)}" for run, row in zip(runs, rows, strict=True))
        raise ResultsError(f"{suite} {metric}: not the same problems ({sizes}); delete the old results and run again")
    return np.array(rows, dtype=np.float64)


@dataclass(frozen=True)
class Resampled:
    """The data as they are (draw 0) and resampled (the others); equal for all settings that are compared."""

    seeds: tuple[int, ...]  # Those that are resampled
    seed_counts: Array  # How often each draw has each seed, `[1 + draws, seeds]`
    problem_counts: dict[str, Array]  # The same for problems, per suite `[1 + draws, problems]`

    def means(self, setting: Setting, suite: str, metric: str) -> Array:
        """Mean over seeds and problems, `[1 + draws]`; problems without a value are left out."""
        values = setting.of(suite, metric, self.seeds)
        defined = ~np.isnan(values)
        counts = self.problem_counts[suite]
        total = (counts @ np.where(defined, values, 0.0).T * self.seed_counts).sum(axis=1)
        weight = (counts @ defined.T.astype(np.float64) * self.seed_counts).sum(axis=1)
        return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)


def resample(settings: Sequence[Setting], draws: int = DRAWS) -> Resampled | None:
    """Draw seeds and problems once for settings that are to be compared; None if they share no seed."""
    seeds = tuple(seed for seed in settings[0].seeds if all(seed in other.seeds for other in settings))
    if not seeds:
        return None
    # A generator per suite: the problems of two suites are drawn independently, whatever their numbers.
    sizes = [settings[0].values[suite]["pass@1"].shape[1] for suite in SUITES]
    problems = {suite: _counts(size, draws, 1 + i) for i, (suite, size) in enumerate(zip(SUITES, sizes, strict=True))}
    return Resampled(seeds, _counts(len(seeds), draws, 0), problems)


@cache
def _counts(size: int, draws: int, seed: int) -> Array:
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=draws)
    return np.concatenate([np.ones((1, size)), drawn])


def interval(values: Array) -> Interval | None:
    """Estimate (draw 0) with the percentile interval of the other draws; None where it is not defined."""
    if np.isnan(values[0]):
        return None
    low, high = np.nanquantile(values[1:], [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return Interval(float(values[0]), float(low), float(high), LEVEL)


def average(setting: Setting, suite: str, metric: str) -> Interval | None:
    """Mean of a setting over its seeds and problems; None where the metric is defined for no problem."""
    drawn = resample([setting])
    return interval(drawn.means(setting, suite, metric)) if drawn else None


def difference(setting: Setting, other: Setting | None, suite: str, metric: str) -> Interval | None:
    together = resample([setting, other]) if other and setting is not other else None
    if together is None:
        return None
    return interval(together.means(setting, suite, metric) - together.means(other, suite, metric))


def interpolate(x: Array, y: Array, at: Array) -> Array:
    """Height of the line through points `[points, draws]` at `at [draws]`; level beyond its ends."""
    columns, order = np.arange(x.shape[1]), np.argsort(x, axis=0)
    return np.array([np.interp(at[c], x[order[:, c], c], y[order[:, c], c]) for c in columns])


def sweep(settings: Sequence[Setting], method: str) -> list[Setting]:
    return sorted((s for s in settings if s.method == method and s.weight is not None), key=lambda s: s.weight or 0.0)


def find(settings: Sequence[Setting], method: str) -> Setting | None:
    return next((s for s in settings if s.method == method), None)
