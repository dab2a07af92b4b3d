"""Which figure of a request separates right from wrong answers: k-cutoff, evidence, t-way coverage, n-gram overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..coverage.observations import IntArray
from ..measure.statistics import Interval
from .nearest_rows import ngram_overlap, t_way
from .slot_analysis import Analysis

FloatArray = NDArray[np.float64]

REFERENCE = "k-cutoff"
"""The figure that the others are compared with."""
DRAWS = 400


@dataclass(frozen=True)
class Predictor:
    """How well a figure predicts which requests the model answers correctly.

    Attributes:
        auc: Probability that a right answer has a larger figure than a wrong one, ties counting half, with a bootstrap
            interval; None without right and wrong answers.
        auc_unseen: The same among what is not `seen`.
        behind: The area of the k-cutoff minus this one, paired; None as for `auc`, and for the k-cutoff itself.
        behind_unseen: The same among what is not `seen`.
    """

    name: str
    auc: Interval | None
    auc_unseen: Interval | None
    behind: Interval | None = None
    behind_unseen: Interval | None = None


def figures(found: Analysis) -> dict[str, FloatArray]:
    """Figures that may predict whether a whole answer is right, `[requests]` each; larger should mean better."""
    return {
        REFERENCE: found.cutoffs.astype(float),
        "one-step cutoff": found.smallest("one_step").astype(float),
        "evidence": found.evidence.astype(float),
        "status": -found.worst.astype(float),
        "2-way coverage": t_way(found.train, found.test, 2),
        "3-way coverage": t_way(found.train, found.test, 3),
        "n-gram overlap": ngram_overlap(found.train.texts, found.test.texts),
    }


def output_figures(found: Analysis) -> dict[str, FloatArray]:
    """Figures that may predict whether one output is right, `[requests, outputs]` each.

    t-way coverage looks at the output's relevant slots only, so that it knows as much of the schema as verdicts do.
    """
    overlap = ngram_overlap(found.train.texts, found.test.texts)
    made = {
        name: np.stack([getattr(verdicts, field) for verdicts in found.verdicts], axis=1).astype(float)
        for name, field in ((REFERENCE, "cutoffs"), ("one-step cutoff", "one_step"), ("evidence", "evidence"))
    }
    covered = {
        f"{t}-way coverage": np.stack([t_way(found.train, found.test, t, p.slots) for p in found.components], axis=1)
        for t in (2, 3)
    }
    status = {"status": -found.statuses.astype(float)}
    return made | status | covered | {"n-gram overlap": np.tile(overlap[:, None], len(found.components))}


def compare(
    figures: Mapping[str, FloatArray], right: FloatArray, unseen: NDArray[np.bool_], clusters: IntArray
) -> tuple[Predictor, ...]:
    """Areas under the curve, and their differences to that of the k-cutoff.

    Only answers in the same column are compared: a figure need not know that one output is harder than another.

    All are `[requests, columns]`: the figures, the shares of right answers (NaN without an answer) and what is not
    `seen`. The bootstrap draws clusters, whose numbers are `[requests]`.
    """
    size = int(clusters.max()) + 1
    drawn = np.random.default_rng(0).multinomial(size, np.full(size, 1 / size), size=DRAWS)
    # The first row is the sample itself.
    weights = np.concatenate([np.ones((1, len(clusters))), drawn[:, clusters].astype(float)])
    both = {
        name: [areas(values, part, weights) for part in (right, np.where(unseen, right, np.nan))]
        for name, values in figures.items()
    }
    made = []
    for name, own in both.items():
        ahead = [None, None] if name == REFERENCE else [a - b for a, b in zip(both[REFERENCE], own, strict=True)]
        made.append(Predictor(name, *map(_interval, own), *map(_interval, ahead)))
    return tuple(made)


def auc(figure: FloatArray, right: FloatArray) -> float:
    """Chance that a right answer has the larger figure, ties half; accuracies between 0 and 1 count as weights."""
    return float(areas(figure[:, None], right[:, None], np.ones((1, len(right))))[0])


def areas(figure: FloatArray, right: FloatArray, weights: FloatArray) -> FloatArray:
    """Areas under the curve of answers compared within columns, `[draws]`, for several weightings of the requests.

    `figure` and `right` are `[requests, columns]` as in `compare`, `weights` are `[draws, requests]`. NaN where nothing
    is right or nothing is wrong.
    """
    won, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for column in range(right.shape[1]):
        rows = np.flatnonzero(~np.isnan(right[:, column]))
        values, place = np.unique(figure[rows, column], return_inverse=True)
        of = np.eye(len(values))[place]
        good, bad = ((weights[:, rows] * share) @ of for share in (right[rows, column], 1 - right[rows, column]))
        below = np.cumsum(bad, axis=1) - bad
        won += (good * (below + bad / 2)).sum(axis=1)
        pairs += good.sum(axis=1) * bad.sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def _interval(values: FloatArray | None) -> Interval | None:
    if values is None or np.isnan(values[0]):
        return None
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return Interval(float(values[0]), float(low), float(high), 0.95)
