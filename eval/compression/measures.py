"""Measures with intervals from results by passage. The unit is the passage; comparisons are paired."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..measure.statistics import Interval, bounded_mean, mean, paired_difference, proportion
from .costs import Lengths
from .results import CAPSULE, FULL, NONE, SWAPPED, Results

_DRAWS = 1_000
EQUAL_TOKENS = 0.02
"""Mean lengths that differ by a larger share than this are not called equal."""


def ratio(over: ArrayLike, under: ArrayLike) -> Interval | None:
    """Return a product of means by a product of means with a percentile bootstrap interval over passages.

    Columns above and below the line are `[passages, m]` and `[passages, n]`; a draw takes whole passages, so they stay
    paired. None if the mean of a column below the line is 0, on all passages or in a resample.
    """
    over, under = np.atleast_2d(np.asarray(over, np.float64)), np.atleast_2d(np.asarray(under, np.float64))
    columns = np.concatenate([over, under], axis=1)
    passages = len(columns)
    counts = np.random.default_rng(0).multinomial(passages, np.full(passages, 1 / passages), size=_DRAWS)
    means = np.concatenate([columns.mean(0, keepdims=True), counts @ columns / passages])
    above, below = means[:, : over.shape[1]].prod(1), means[:, over.shape[1] :].prod(1)
    if (below == 0).any():
        return None
    estimate, *draws = above / below
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(float(estimate), float(low), float(high), 0.95)


def accuracy(results: Results, source: str, reader: str) -> Interval:
    """Return the share of questions that a reader answers right, mean over passages."""
    return bounded_mean(results.right[source][reader])


def retention(results: Results, reader: str) -> Interval | None:
    """Return the accuracy on capsules as a share of that on full passages."""
    right = results.right
    return ratio(_column(right[CAPSULE][reader]), _column(right[FULL][reader]))


def transfer(results: Results, other: str) -> Interval | None:
    """Return T = (acc_B(capsule) / acc_B(full)) / (acc_A(capsule) / acc_A(full)), A the first reader.

    1: capsules serve reader B as well as the one they were trained for. None: a denominator is 0.
    """
    first, right = results.readers[0], results.right
    over = np.column_stack([right[CAPSULE][other], right[FULL][first]])
    return ratio(over, np.column_stack([right[FULL][other], right[CAPSULE][first]]))


def gain(results: Results, source: str, reader: str) -> Interval:
    """Return accuracy on capsules minus that on another source, paired by passage, with a two-sided p."""
    return paired_difference(results.right[source][reader], results.right[CAPSULE][reader])


def leak(results: Results, reader: str) -> Interval | None:
    """Return accuracy on another passage's capsule minus that on nothing; above 0 capsules tell what passages do not.

    None where no capsule could be swapped.
    """
    right = results.right
    return paired_difference(right[NONE][reader], right[SWAPPED][reader]) if SWAPPED in right else None


def over_budget(results: Results) -> Interval:
    """Return the share of capsules that were written longer than the budget."""
    over = [tokens > budget for tokens, budget in zip(results.written, results.budgets, strict=True)]
    return proportion(sum(over), len(over))


def ended(results: Results) -> Interval:
    """Return the share of capsules that the compressor ended by itself."""
    return proportion(sum(results.stopped), len(results.stopped))


def length_cut(results: Results, reader: str) -> Interval:
    """Return 1 minus the length of what is read in place of the passage, by its length; mean over passages."""
    return mean(1 - _lengths(results, CAPSULE, reader) / np.maximum(1, _lengths(results, FULL, reader)))


def mean_tokens(results: Results, source: str, reader: str) -> float:
    """Return the mean length of a source in a reader's tokenizer."""
    return float(_lengths(results, source, reader).mean())


def token_difference(results: Results, source: str) -> float:
    """Return by which share a source is longer (above 0) than the capsules, on the mean; first reader's tokens.

    Infinite where capsules are empty and the source is not.
    """
    capsule, other = (mean_tokens(results, name, results.readers[0]) for name in (CAPSULE, source))
    return other / capsule - 1 if capsule else float("inf") if other else 0.0


def equal_tokens(results: Results, source: str) -> bool:
    """Whether a source is as long as the capsules, on the mean, up to `EQUAL_TOKENS`."""
    return abs(token_difference(results, source)) <= EQUAL_TOKENS


def grounding(results: Results) -> Interval | None:
    """Return the share of what capsules say that their passages say; None if nothing could be checked."""
    known = [value for value in results.grounded if value is not None]
    return bounded_mean(known) if known else None


def similarity(results: Results) -> Interval | None:
    """Return the mean cosine between capsules, as read, and passages; None without an encoder.

    It says nothing of usefulness.
    """
    return bounded_mean(results.similarity, bounds=(-1.0, 1.0)) if results.similarity else None


def lengths(results: Results, reader: str) -> Lengths:
    """Return the mean tokens that costs are made of."""
    return Lengths(
        passage=mean_tokens(results, FULL, reader),
        capsule=mean_tokens(results, CAPSULE, reader),
        compressor_read=float(np.mean(results.compressor_read)),
        compressor_written=float(np.mean(results.compressor_written)),
    )


def _column(values: ArrayLike) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)[:, None]


def _lengths(results: Results, source: str, reader: str) -> np.ndarray:
    return np.asarray(results.tokens[source][reader], dtype=np.float64)
