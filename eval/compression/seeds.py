"""Several runs of one recipe as one: the same passages, compressors trained from different seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from statistics import median
from typing import Any

import numpy as np

from .costs import Timing
from .results import Results


class SeedsError(ValueError):
    """Runs that are not of the same passages and readers."""


def pool(runs: Sequence[Results]) -> Results:
    """Return the mean over runs of what each passage's capsule is worth; intervals of it are about other passages.

    What is counted over capsules (budget, ends, the compressor's tokens) is counted over those of all runs.
    """
    first = runs[0]
    if any((run.ids, run.readers, run.sources) != (first.ids, first.readers, first.sources) for run in runs):
        raise SeedsError("runs of several seeds · passages, readers or sources differ · evaluate all with one recipe")
    counted: dict[str, Any] = {name: list(chain.from_iterable(getattr(run, name) for run in runs)) for name in _COUNTED}
    return replace(
        first,
        right=_means(runs, lambda run: run.right),
        tokens=_means(runs, lambda run: run.tokens),
        grounded=[_mean_known(values) for values in zip(*(run.grounded for run in runs), strict=True)],
        similarity=np.mean([run.similarity for run in runs], axis=0).tolist() if first.similarity else [],
        **counted,
        timings={reader: _timings([run.timings[reader] for run in runs]) for reader in first.timings},
        notes=list(dict.fromkeys(note for run in runs for note in run.notes)),
    )


_COUNTED = ("budgets", "written", "stopped", "compressor_read", "compressor_written")


def over_seeds(runs: Sequence[Results], of: Callable[[Results], Any]) -> tuple[float, float] | None:
    """Return the smallest and the largest estimate of a measure among runs; None if a run has none."""
    estimates = [interval.estimate for run in runs if (interval := of(run)) is not None]
    return (min(estimates), max(estimates)) if len(estimates) == len(runs) else None


def _means(runs: Sequence[Results], of: Callable[[Results], dict[str, dict[str, list]]]) -> dict[str, dict[str, list]]:
    return {
        source: {reader: np.mean([of(run)[source][reader] for run in runs], axis=0).tolist() for reader in by_reader}
        for source, by_reader in of(runs[0]).items()
    }


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _timings(runs: Sequence[list[Timing]]) -> list[Timing]:
    return [
        Timing(same[0].batch, *(median(getattr(t, name) for t in same) for name in ("compress", "full", "capsule")))
        for same in zip(*runs, strict=True)
    ]
