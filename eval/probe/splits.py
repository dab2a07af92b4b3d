"""Training and test sets on purpose: covered, weak and uncovered requests from one pool of rows.

Values are made rare, kept apart or left out of training at random, what is held out is judged by the rows that stay,
and the try that fills the test sets best is taken. Statuses are those of the final training set, so they are right by
construction; which of them a pool can show depends on the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.rows import Row
from .components import components
from .read.slot_rows import Table
from .read.slot_schema import ProbeError
from .slot_analysis import Analysis, analyse
from .statuses import STATUSES

IntArray = NDArray[np.int64]

HELD_CELLS = 0.1
"""Share of the inputs held out as they are."""
SEVERITY = (0.05, 0.1, 0.17)
"""Share of a slot's values that each kind of restriction takes, try by try."""
PER_INPUT = 5
"""Requests of one input that count towards a full test set; more are taken only to fill it."""
RARE, ISOLATED, LEFT_OUT = "rare", "apart", "left out"


@dataclass(frozen=True)
class Restriction:
    """What was done to a value: `rare`, kept in a few inputs; `apart`, kept only beside another value; `left out`."""

    kind: str
    slot: str
    value: str
    kept: int = 0
    beside: str = ""


@dataclass(frozen=True)
class Split:
    """Rows of a pool, by index.

    Attributes:
        train: Rows to train on.
        rest: Rows in neither, to choose additions from.
        tests: By status, requests.
        analysis: Training rows against all that was held out.
        restrictions: What was done to values.
        short: By status, how many requests fewer than asked for, with at most `PER_INPUT` of one input.
    """

    train: IntArray
    rest: IntArray
    tests: dict[str, IntArray]
    analysis: Analysis
    restrictions: tuple[Restriction, ...]
    short: dict[str, int]


def build_split(
    pool: Table,
    train_size: int | None = None,
    test_size: int = 100,
    seed: int = 0,
    tries: int = 6,
    k: int | None = None,
    agreement: float | None = None,
) -> Split:
    """Part a pool into training rows and one test set a status.

    Args:
        pool: Rows to part.
        train_size: Most training rows; None keeps all that are not held out.
        test_size: Requests of each status, as far as there are any.
        seed: Of all choices.
        tries: Random ways of parting; the one that fills the test sets best is kept.
        k: Evidence to ask for; None takes what the null model gives for each output.
        agreement: Share of agreement asked for; None is strict.

    Raises:
        ProbeError: The pool is too small.
    """
    if len(pool) < 4 * test_size:
        raise ProbeError(f"split · found {len(pool)} rows · give at least {4 * test_size}, four times the test size")
    slots = sorted({slot for part in components(pool, k, agreement) for slot in part.slots})
    if len(slots) < 2:
        raise ProbeError("split · found fewer than two slots that any output depends on · declare more, or `relevant`")
    best: Split | None = None
    for attempt in range(tries):
        rng = np.random.default_rng([seed, attempt])
        found = _attempt(pool, slots, train_size, test_size, SEVERITY[attempt % len(SEVERITY)], rng, k, agreement)
        if best is None or sum(found.short.values()) < sum(best.short.values()):
            best = found
        if not sum(best.short.values()):
            break
    assert best is not None
    return best


def test_row(row: Row, status: str) -> Row:
    """A row as a request: a conversation without its last turn, and the status in `probe_status`."""
    if row.get("messages"):
        rest = {key: value for key, value in row.items() if key != "messages"}
        row = {**rest, "prompt": row["messages"][:-1]}
    return {**row, "probe_status": status}


def _attempt(
    pool: Table,
    slots: Sequence[int],
    train_size: int | None,
    test_size: int,
    severity: float,
    rng: np.random.Generator,
    k: int | None,
    agreement: float | None,
) -> Split:
    inputs = pool.inputs[:, slots]
    cells = np.unique(_by_appearance(inputs), axis=0, return_inverse=True)[1].reshape(-1)
    held, restrictions = _restricted(pool, slots, inputs, cells, severity, rng)
    held |= np.isin(cells, np.flatnonzero(rng.random(cells.max() + 1) < HELD_CELLS))
    # Other rows of inputs that stay: requests whose values training has seen together.
    stay = rng.permutation(np.flatnonzero(~held))
    held[stay[: 2 * test_size]] = True
    kept = stay[2 * test_size :][:train_size]
    train, rest = np.sort(kept), np.flatnonzero(held)
    if not len(train):
        raise ProbeError("split · found no row left to train on · give more rows or a smaller test size")
    known = {pool.texts[row] for row in train}
    rest = np.array([row for row in rest if pool.texts[row] not in known], dtype=np.int64)
    analysis = analyse(pool.take(train), pool.take(rest), k, agreement)
    tests, short = {}, {}
    for place, name in enumerate(STATUSES):
        order = _varied(rng.permutation(rest[analysis.worst == place]), cells)
        tests[name] = np.sort(order[:test_size])
        varied = np.bincount(cells[order]) if len(order) else np.zeros(1, dtype=np.int64)
        short[name] = max(0, test_size - int(np.minimum(varied, PER_INPUT).sum()))
    used = np.concatenate([train, *tests.values()])
    left = np.setdiff1d(np.arange(len(pool)), used)
    return Split(train, left, tests, analysis, tuple(restrictions), short)


def split_summary(made: Split) -> dict[str, Any]:
    """A split as plain data."""
    return {
        "train": len(made.train),
        "rest": len(made.rest),
        "tests": {name: len(rows) for name, rows in made.tests.items()},
        "inputs": {name: _inputs(made, name) for name in made.tests},
        "held_out": made.analysis.counts(),
        "k": {part.name: part.k for part in made.analysis.components},
        "restrictions": [asdict(restriction) for restriction in made.restrictions],
    }


def _inputs(made: Split, name: str) -> int:
    """Different inputs of a status among all that was held out."""
    slots = sorted({slot for part in made.analysis.components for slot in part.slots})
    chosen = made.analysis.test.inputs[made.analysis.worst == STATUSES.index(name)]
    return len(np.unique(chosen[:, slots], axis=0))


def _varied(rows: IntArray, cells: IntArray) -> IntArray:
    """Rows of different inputs first, so that no input fills a test set while there are others."""
    seen: dict[int, int] = {}
    ranks = []
    for cell in cells[rows].tolist():
        ranks.append(seen.get(cell, 0))
        seen[cell] = ranks[-1] + 1
    return rows[np.argsort(ranks, kind="stable")] if len(rows) else rows


def _by_appearance(inputs: IntArray) -> IntArray:
    """Codes in the order in which values appear: random choices go by the rows, not by how values are spelt."""
    columns = [np.unique(column, return_index=True, return_inverse=True)[1:] for column in inputs.T]
    return np.stack([np.argsort(np.argsort(first))[code] for first, code in columns], axis=1)


def _restricted(
    pool: Table,
    slots: Sequence[int],
    inputs: IntArray,
    cells: IntArray,
    severity: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.bool_], list[Restriction]]:
    """Rows to hold out because of their values."""
    held, restrictions = np.zeros(len(inputs), dtype=bool), []
    for place in range(len(slots)):
        values, first, counts = np.unique(inputs[:, place], return_index=True, return_counts=True)
        if len(values) < 3:
            continue
        order = np.argsort(first)
        values, counts = values[order], counts[order]
        # The most frequent value of a slot stays as it is: there must be something to be like.
        free = rng.permutation(values[np.argsort(-counts)][1:])
        take = max(1, round(len(free) * severity))
        for rank, value in enumerate(free[: 3 * take]):
            has = inputs[:, place] == value
            kind = (RARE, ISOLATED, LEFT_OUT)[rank // take]
            rows, restriction = _restrict(kind, pool, slots, place, int(value), has, inputs, cells, rng)
            held |= rows
            restrictions.append(restriction)
    return held, restrictions


def _restrict(
    kind: str,
    pool: Table,
    slots: Sequence[int],
    place: int,
    value: int,
    has: NDArray[np.bool_],
    inputs: IntArray,
    cells: IntArray,
    rng: np.random.Generator,
) -> tuple[NDArray[np.bool_], Restriction]:
    slot = pool.schema.slots[slots[place]].name
    shown = pool.codes.slots[slots[place]][value]
    if kind == LEFT_OUT:
        return has, Restriction(kind, slot, shown)
    if kind == RARE:
        own = rng.permutation(np.unique(cells[has]))
        kept = int(rng.integers(1, max(2, len(own) // 3 + 1)))
        return has & ~np.isin(cells, own[:kept]), Restriction(kind, slot, shown, kept)
    other = int(rng.choice([at for at in range(len(slots)) if at != place]))
    beside = int(rng.choice(inputs[has, other]))
    text = f"{pool.schema.slots[slots[other]].name} = {pool.codes.slots[slots[other]][beside]}"
    return has & (inputs[:, other] != beside), Restriction(kind, slot, shown, beside=text)
