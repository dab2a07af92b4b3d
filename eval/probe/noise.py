"""Rows that contradict each other: inputs with several outputs, and how sure a pair of fragments is alike.

Strict by default: an input with two outputs has no output, and one disagreement parts two fragments. With an
`agreement` below 1 (a share), an input has its majority's output where the data do not speak against that share of
agreement, and fragments count as alike where the 95 % lower bound of their agreement reaches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from ..coverage.observations import Observations

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Settled:
    """One output for each distinct input.

    Attributes:
        observations: Distinct inputs. One without a clear output has a code of its own, so that it agrees with nothing.
        first_free: Outputs from this code on stand for inputs without a clear output.
        rows: Per distinct input, the rows that carry it with its output (all of them where it has none).
        contradicting: Rows whose output is not that of their input.
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
    """Give each distinct input its output.

    Args:
        inputs: [rows, slots] codes.
        outputs: [rows] codes.
        sizes: Values a slot can take.
        agreement: Share of agreement asked for; None is strict.
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
        if _clear(int(counts[best]), len(rows), agreement):
            settled[place] = codes[best]
            carriers.append(tuple(int(row) for row in rows if outputs[row] == codes[best]))
        else:
            settled[place] = free + place
            carriers.append(tuple(int(row) for row in rows))
        against += len(rows) - int(counts[best])
    observations = Observations(distinct, settled, tuple(sizes), np.arange(len(distinct)))
    return Settled(observations, free, tuple(carriers), against)


def lower_bound(agree: IntArray, trials: IntArray, level: float = 0.95) -> NDArray[np.float64]:
    """One-sided Wilson lower bound of a share, `[pairs]`."""
    return _bound(agree, trials, level, -1)


def alike(agree: IntArray, disagree: IntArray, k: int, agreement: float | None) -> NDArray[np.bool_]:
    """Which pairs of fragments count as equivalent at evidence `k`, `[pairs]`."""
    enough = agree >= k
    if agreement is None:
        return enough & (disagree == 0)
    return enough & ((disagree == 0) | (lower_bound(agree, agree + disagree) >= agreement))


def _clear(most: int, rows: int, agreement: float | None) -> bool:
    if agreement is None or most == rows:
        return most == rows
    upper = _bound(np.array([most]), np.array([rows]), 0.95, +1)[0]
    return 2 * most > rows and bool(upper >= agreement)


def _bound(successes: IntArray, trials: IntArray, level: float, side: int) -> NDArray[np.float64]:
    z = norm.ppf(level)
    share = successes / np.maximum(trials, 1)
    spread = z * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return (share + z * z / (2 * trials) + side * spread) / (1 + z * z / trials)
