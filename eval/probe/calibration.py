"""Do statuses and k-cutoffs say anything about a model: its accuracy by status, by cutoff, and against baselines.

Coverage is necessary at most: without this page no verdict promises accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ..problems import Problem
from ..records import find_records, read_record
from ..statistics import Interval, bootstrap_mean, wilson
from .analysis import Analysis
from .baselines import ngram_overlap, t_way
from .schema import ProbeError
from .statuses import STATUSES, SWEEP

FloatArray = NDArray[np.float64]

BINS = (0, 1, 2, 3, 5, 9, 17, 33, SWEEP)
"""Where a bin of k-cutoffs begins; the last one holds what was seen."""


@dataclass(frozen=True)
class Predictor:
    """How well a figure tells the requests that the model answers.

    Attributes:
        name: Of the figure.
        auc: Chance that a right answer has the larger figure, ties half, with a bootstrap interval; None without right
            and wrong answers.
        unseen: The same among requests that are not `seen`; None without right and wrong ones there.
    """

    name: str
    auc: Interval | None
    unseen: Interval | None


@dataclass(frozen=True)
class Calibration:
    """A model's accuracy on judged requests.

    Attributes:
        model: Name of the model.
        requests: Requests with an answer.
        unmatched: Requests of the analysis without one.
        statuses: Accuracy by status.
        outputs: The same by output and status of that output.
        cutoffs: Accuracy by bin of the k-cutoff.
        counts: Requests of each status and bin.
        predictors: What tells right answers from wrong ones.
    """

    model: str
    requests: int
    unmatched: int
    statuses: dict[str, Interval]
    outputs: dict[str, dict[str, Interval]]
    cutoffs: dict[str, Interval]
    counts: dict[str, int]
    predictors: tuple[Predictor, ...]


def read_answers(folders: Sequence[Path]) -> tuple[str, dict[str, float]]:
    """Accuracy by row id of one model: greedy answers, else the share of right samples.

    Raises:
        RecordError: A folder holds no record.
        ProbeError: The records are of several models.
    """
    records = [read_record(folder) for folder in find_records(folders)]
    models = sorted({record.settings.model_name for record in records})
    if len(models) > 1:
        raise ProbeError(f"calibrate · found records of {', '.join(models)} · give those of one model")
    answers = [(problem.id, _accuracy(problem)) for record in records for problem in record.problems()]
    return models[0], {name: value for name, value in answers if value is not None}


def calibrate(found: Analysis, model: str, answers: Mapping[str, float]) -> Calibration:
    """Compare verdicts with a model's accuracy.

    Args:
        found: Training rows against requests.
        model: Name of the model that was trained on the rows.
        answers: Accuracy by row id.

    Raises:
        ProbeError: No request has an answer.
    """
    rows = np.array([place for place, name in enumerate(found.test.ids) if name in answers], dtype=np.int64)
    if not len(rows):
        first = next(iter(found.test.ids), "none")
        raise ProbeError(f"calibrate · no request has an answer (the first is {first!r}) · evaluate these requests")
    right = np.array([answers[found.test.ids[row]] for row in rows])
    status, cutoffs = found.worst[rows], found.cutoffs[rows]
    outputs = {
        component.name: _by_status(right, found.statuses[rows, place])
        for place, component in enumerate(found.components)
    }
    bins = np.digitize(cutoffs, BINS) - 1
    named = {_bin(place): right[bins == place] for place in range(len(BINS)) if (bins == place).any()}
    by_status = {name: int((status == place).sum()) for place, name in enumerate(STATUSES) if (status == place).any()}
    counts = by_status | {name: len(values) for name, values in named.items()}
    shares = {name: accuracy(values) for name, values in named.items()}
    predictors = tuple(_predictor(name, values[rows], right, status > 0) for name, values in figures(found).items())
    unmatched = len(found.test) - len(rows)
    return Calibration(model, len(rows), unmatched, _by_status(right, status), outputs, shares, counts, predictors)


def figures(found: Analysis) -> dict[str, FloatArray]:
    """What may predict accuracy, `[requests]` each; larger is meant to be better."""
    return {
        "k-cutoff": found.cutoffs.astype(float),
        "one-step cutoff": found.smallest("one_step").astype(float),
        "evidence": found.evidence.astype(float),
        "status": -found.worst.astype(float),
        "2-way coverage": t_way(found.train, found.test, 2),
        "3-way coverage": t_way(found.train, found.test, 3),
        "n-gram overlap": ngram_overlap(found.train.texts, found.test.texts),
    }


def accuracy(values: FloatArray) -> Interval:
    """Mean accuracy: Wilson's interval of answers that are right or wrong, a bootstrap of shares."""
    if np.isin(values, (0.0, 1.0)).all():
        return wilson(int(values.sum()), len(values))
    return bootstrap_mean(values)


def auc(figure: FloatArray, right: FloatArray) -> float:
    """Chance that a right answer has the larger figure, ties half; accuracies between 0 and 1 count as weights."""
    ranks = rankdata(figure)
    order = np.argsort(ranks, kind="stable")
    ranks, good, bad = ranks[order], right[order], 1 - right[order]
    if not good.sum() or not bad.sum():
        return float("nan")
    _, group = np.unique(ranks, return_inverse=True)
    own_good, own_bad = np.bincount(group, good), np.bincount(group, bad)
    below = np.cumsum(own_bad) - own_bad
    return float((own_good * (below + own_bad / 2)).sum() / (good.sum() * bad.sum()))


def _predictor(name: str, figure: FloatArray, right: FloatArray, unseen: NDArray[np.bool_]) -> Predictor:
    whole = _auc_interval(figure, right)
    return Predictor(name, whole, _auc_interval(figure[unseen], right[unseen]) if unseen.any() else None)


def _auc_interval(figure: FloatArray, right: FloatArray, draws: int = 400) -> Interval | None:
    estimate = auc(figure, right)
    if np.isnan(estimate):
        return None
    rng = np.random.default_rng(0)
    picks = rng.integers(0, len(right), size=(draws, len(right)))
    values = np.array([auc(figure[pick], right[pick]) for pick in picks])
    low, high = np.nanquantile(values, [0.025, 0.975])
    return Interval(estimate, float(low), float(high), 0.95)


def _by_status(right: FloatArray, status: NDArray[np.int64]) -> dict[str, Interval]:
    return {name: accuracy(right[status == place]) for place, name in enumerate(STATUSES) if (status == place).any()}


def _accuracy(problem: Problem) -> float | None:
    if problem.greedy is not None:
        return None if problem.greedy.value is None else float(problem.greedy.correct)
    return problem.correct / problem.n if problem.n else None


def _bin(place: int) -> str:
    low = BINS[place]
    if low == SWEEP:
        return "seen"
    high = BINS[place + 1] - 1
    return str(low) if low == high else f"{low} to {high}"
