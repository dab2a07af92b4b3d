"""Contradicting rows: inputs with several outputs, and when fragments count as equivalent all the same.

Strict by default: an input with two outputs has no output, and one disagreement separates two fragments. With an
`agreement` below 1 (a share), an input has its majority's output unless the 95 % upper bound of the majority's share is
below it, and fragments are equivalent if the 95 % lower bound of their agreement reaches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from ..coverage.observations import IntArray, Observations


@dataclass(frozen=True)
class Settled:
    """One output for each distinct input.

    Attributes:
        observations: Distinct inputs. One without a clear output has a code of its own, which agrees with nothing.
        first_free: Codes from here on stand for inputs without a clear output.
        rows: For each distinct input, its rows with that output; all of its rows if the output is unclear.
    """

    observations: Observations
    first_free: int
    rows: tuple[tuple[int, ...], ...]
    contradicting: int

    @property
    def unclear(self) -> NDArray[np.bool_]:
        """Inputs without a clear output, `[inputs]`."""
        return self.observations.outputs >= self.first_free


def settle(inputs: IntArray, outputs: IntArray, sizes: Sequence[int], agreement: float | None) -> Settled:
    """Give each distinct input of some rows its output.

    `inputs` are codes, [rows, slots], `outputs` [rows], `sizes` the numbers of values of the slots; `agreement` is the
    required share of agreement, None is strict.
    """
    distinct, group = np.unique(inputs, axis=0, return_inverse=True)
    group = group.reshape(-1)
    free = int(outputs.max()) + 1 if len(outputs) else 0
    order = np.argsort(group, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(group))[:-1]) if len(group) else []
    settled, carriers, against = np.empty(len(distinct), dtype=np.int64), [], 0
    for place, rows in enumerate(members):
        codes, counts = np.unique(outputs[rows], return_counts=True)
        best = int(counts.argmax())
        clear = _clear(int(counts[best]), len(rows), agreement)
        settled[place] = codes[best] if clear else free + place
        carriers.append(tuple((rows[outputs[rows] == codes[best]] if clear else rows).tolist()))
        against += len(rows) - int(counts[best])
    observations = Observations(distinct, settled, tuple(sizes), np.arange(len(distinct)))
    return Settled(observations, free, tuple(carriers), against)


def equivalent(agree: IntArray, disagree: IntArray, k: int, agreement: float | None) -> NDArray[np.bool_]:
    """Which pairs of fragments count as equivalent at evidence `k`, `[pairs]`."""
    accepted = disagree == 0
    if agreement is not None:
        accepted |= wilson_bound(agree, agree + disagree) >= agreement
    return (agree >= k) & accepted


def _clear(most: int, rows: int, agreement: float | None) -> bool:
    if agreement is None or most == rows:
        return most == rows
    upper = wilson_bound(np.array([most]), np.array([rows]), +1)[0]
    return 2 * most > rows and bool(upper >= agreement)


def wilson_bound(successes: IntArray, trials: IntArray, side: int = -1) -> NDArray[np.float64]:
    """One-sided 95 % Wilson bound of shares, `[pairs]`: the lower one, or the upper one with `side` +1."""
    z = norm.ppf(0.95)
    share = successes / np.maximum(trials, 1)
    spread = z * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return (share + z * z / (2 * trials) + side * spread) / (1 + z * z / trials)
