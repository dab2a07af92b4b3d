"""Do verdicts predict a model's accuracy? Accuracy by status and by k-cutoff, compared with simpler figures.

Coverage is at best necessary: a verdict by itself promises no accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..coverage.observations import IntArray
from ..measure.problems import Answer, Problem
from ..measure.records import find_records, read_record
from ..measure.statistics import Interval, bounded_mean
from .answers import Reply, output_accuracy
from .predictors import Predictor, compare, figures, output_figures
from .read.slot_schema import ProbeError
from .slot_analysis import Analysis
from .statuses import SEEN, STATUSES, SWEEP

FloatArray = NDArray[np.float64]

BINS = (0, 1, 2, 3, 5, 9, 17, 33, SWEEP)
"""Lower edges of the bins of k-cutoffs; the last bin is `seen`."""


@dataclass(frozen=True)
class Scale:
    """Accuracy by verdict, of whole answers or output by output.

    Attributes:
        counts: Answers, or outputs of answers, of each status and bin.
        predictors: How well figures separate right from wrong ones.
    """

    counts: dict[str, int]
    statuses: dict[str, Interval]
    cutoffs: dict[str, Interval]
    predictors: tuple[Predictor, ...]


@dataclass(frozen=True)
class Calibration:
    """A model's accuracy on judged requests.

    The unit of uncertainty is the input: requests with equal values of all relevant slots share their verdict. Whole
    answers are judged by a request's worst status and smallest cutoff, parts (outputs) by their own, None where the
    schema's reader cannot read answers.
    """

    model: str
    requests: int
    inputs: int
    unmatched: int
    whole: Scale
    parts: Scale | None
    outputs: dict[str, dict[str, Interval]]


def read_answers(folders: Sequence[Path]) -> tuple[str, dict[str, Reply]]:
    """The model's name and its replies by row id: greedy answers, or else sampled ones.

    Raises:
        RecordError: A folder holds no record.
        ProbeError: The records are of several models.
    """
    records = [read_record(folder) for folder in find_records(folders)]
    models = sorted({record.settings.model_name for record in records})
    if len(models) > 1:
        raise ProbeError(f"calibrate · found records of {', '.join(models)} · give those of one model")
    answers = [(problem.id, _reply(problem)) for record in records for problem in record.problems()]
    return models[0], {name: reply for name, reply in answers if reply is not None}


def calibrate(found: Analysis, model: str, answers: Mapping[str, Reply]) -> Calibration:
    """Compare verdicts with the accuracy of a model that was trained on the rows; answers are by row id.

    Raises:
        ProbeError: No request has an answer.
    """
    right = np.array([[answers[name].accuracy if name in answers else np.nan] for name in found.test.ids])
    rows = np.flatnonzero(~np.isnan(right))
    if not len(rows):
        first = next(iter(found.test.ids), "none")
        raise ProbeError(f"calibrate · no request has an answer (the first is {first!r}) · evaluate these requests")
    clusters = inputs_of(found)
    single = {name: values[:, None] for name, values in figures(found).items()}
    whole = _scale(right, found.worst[:, None], found.cutoffs[:, None], single, clusters)
    by_output = output_accuracy(found.test, answers)
    parts = None
    if by_output is not None and not np.isnan(by_output).all():
        several = output_figures(found)
        cutoffs = several["k-cutoff"].astype(np.int64)
        parts = _scale(by_output, found.statuses, cutoffs, several, clusters)
    shown = np.tile(right, len(found.components)) if by_output is None else by_output
    outputs = {
        part.name: by_status(shown[:, place], found.statuses[:, place], clusters)
        for place, part in enumerate(found.components)
    }
    inputs, unmatched = len(np.unique(clusters[rows])), len(found.test) - len(rows)
    return Calibration(model, len(rows), inputs, unmatched, whole, parts, outputs)


def inputs_of(found: Analysis) -> IntArray:
    """Number of each request's input, `[requests]`: equal for equal values of all slots relevant to some output."""
    slots = sorted({slot for part in found.components for slot in part.slots})
    return np.unique(found.test.inputs[:, slots], axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def accuracy(values: FloatArray, clusters: IntArray) -> Interval:
    """Mean accuracy over requests, clustered by input."""
    return bounded_mean(values, clusters.tolist())


def by_status(right: FloatArray, status: IntArray, clusters: IntArray) -> dict[str, Interval]:
    """Accuracy by status; arguments are `[requests]`, NaN where there is no answer."""
    answered = ~np.isnan(right)
    places = [(name, answered & (status == place)) for place, name in enumerate(STATUSES)]
    return {name: accuracy(right[own], clusters[own]) for name, own in places if own.any()}


def _scale(
    right: FloatArray, status: IntArray, cutoffs: IntArray, several: Mapping[str, FloatArray], clusters: IntArray
) -> Scale:
    answered = ~np.isnan(right)
    used = np.flatnonzero(answered.any(axis=1))
    wide = np.tile(clusters[:, None], right.shape[1])[answered]
    values, own, bins = right[answered], status[answered], np.digitize(cutoffs[answered], BINS) - 1
    found = [place for place in range(len(BINS)) if (bins == place).any()]
    counts = {name: int((own == place).sum()) for place, name in enumerate(STATUSES) if (own == place).any()}
    counts |= {_bin(place): int((bins == place).sum()) for place in found}
    shares = {_bin(place): accuracy(values[bins == place], wide[bins == place]) for place in found}
    numbers = np.unique(clusters[used], return_inverse=True)[1].reshape(-1)
    chosen = {name: figure[used] for name, figure in several.items()}
    predictors = compare(chosen, right[used], status[used] > SEEN, numbers)
    return Scale(counts, by_status(values, own, wide), shares, predictors)


def _reply(problem: Problem) -> Reply | None:
    drawn: Sequence[Answer] = problem.answers if problem.greedy is None else (problem.greedy,)
    judged = [answer for answer in drawn if answer.value is not None]
    total = sum(answer.count for answer in judged)
    if not total:
        return None
    right = sum(answer.count for answer in judged if answer.correct)
    return Reply(right / total, tuple((answer.text, answer.count / total) for answer in judged))


def _bin(place: int) -> str:
    low = BINS[place]
    if low == SWEEP:
        return "seen"
    high = BINS[place + 1] - 1
    return str(low) if low == high else f"{low} to {high}"
