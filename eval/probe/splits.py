"""Splits with a test set for each status: determined, weak and uncovered requests from one pool of rows.

Random values are made rare, kept apart or left out of training, the held-out rows are judged by the remaining ones, and
the attempt that fills the test sets best is kept. Statuses are those of the final training set, so they are right by
construction; which of them can occur depends on the pool.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.rows import Row
from ..coverage.observations import IntArray
from .calibration import inputs_of
from .components import components
from .read.slot_rows import Table
from .read.slot_schema import ProbeError
from .slot_analysis import Analysis, analyse
from .statuses import STATUSES

HELD_CELLS = 0.1
"""Share of the inputs that are held out whole."""
SEVERITY = (0.05, 0.1, 0.17)
"""Share of a slot's values that each kind of restriction takes, by attempt."""
PER_INPUT = 5
"""Requests of one input that count towards a full test set; more are only used to fill it."""
KINDS = ("rare", "apart", "left out")


@dataclass(frozen=True)
class Restriction:
    """How a value was restricted: `rare`, in few inputs; `apart`, only with one value of another slot; `left out`."""

    kind: str
    slot: str
    value: str
    kept: int = 0
    beside: str = ""


@dataclass(frozen=True)
class Split:
    """Rows of a pool, by index.

    Attributes:
        rest: Rows in no set, as a pool for additions.
        tests: Requests by status.
        restrictions: How values were restricted.
        short: By status, how many requests are missing, counting at most `PER_INPUT` of one input.
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
    """Split a pool into training rows and one test set for each status.

    All rows that are not held out are for training, or `train_size` of them; a test set has `test_size` requests at
    most. Of `tries` random splits the one that fills the test sets best is kept. `k` and `agreement` are those of
    `components`.

    Raises:
        ProbeError: The pool is too small.
    """
    if len(pool) < 4 * test_size:
        raise ProbeError(f"split · found {len(pool)} rows · give at least {4 * test_size}, four times the test size")
    slots = sorted({slot for part in components(pool, k, agreement) for slot in part.slots})
    if len(slots) < 2:
        raise ProbeError("split · found fewer than two slots that any output depends on · declare more, or `relevant`")
    cells = np.unique(_by_appearance(pool.inputs[:, slots]), axis=0, return_inverse=True)[1].reshape(-1)
    best: Split | None = None
    for attempt in range(tries):
        rng = np.random.default_rng([seed, attempt])
        held, restrictions = _restricted(pool, slots, cells, SEVERITY[attempt % len(SEVERITY)], rng)
        held |= np.isin(cells, np.flatnonzero(rng.random(cells.max() + 1) < HELD_CELLS))
        # Other rows of inputs that stay: requests whose values training has seen together.
        stay = rng.permutation(np.flatnonzero(~held))
        held[stay[: 2 * test_size]] = True
        train = np.sort(stay[2 * test_size :][:train_size])
        found = _judged(pool, train, held, cells, restrictions, test_size, rng, k, agreement)
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


def _judged(
    pool: Table,
    train: IntArray,
    held: NDArray[np.bool_],
    cells: IntArray,
    restrictions: Sequence[Restriction],
    test_size: int,
    rng: np.random.Generator,
    k: int | None,
    agreement: float | None,
) -> Split:
    if not len(train):
        raise ProbeError("split · found no row left to train on · give more rows or a smaller test size")
    known = {pool.texts[row] for row in train}
    rest = np.array([row for row in np.flatnonzero(held) if pool.texts[row] not in known], dtype=np.int64)
    analysis = analyse(pool.take(train), pool.take(rest), k, agreement)
    tests, short = {}, {}
    for place, name in enumerate(STATUSES):
        order = _varied(rng.permutation(rest[analysis.worst == place]), cells)
        tests[name] = np.sort(order[:test_size])
        short[name] = max(0, test_size - int(np.minimum(np.bincount(cells[order]), PER_INPUT).sum()))
    left = np.setdiff1d(np.arange(len(pool)), np.concatenate([train, *tests.values()]))
    return Split(train, left, tests, analysis, tuple(restrictions), short)


def split_summary(made: Split) -> dict[str, Any]:
    """A split as plain data; `inputs` are the distinct inputs of a status among all that was held out."""
    numbers, worst = inputs_of(made.analysis), made.analysis.worst
    return {
        "train": len(made.train),
        "rest": len(made.rest),
        "tests": {name: len(rows) for name, rows in made.tests.items()},
        "inputs": {name: len(np.unique(numbers[worst == place])) for place, name in enumerate(STATUSES)},
        "held_out": made.analysis.counts(),
        "k": {part.name: part.k for part in made.analysis.components},
        "restrictions": [asdict(restriction) for restriction in made.restrictions],
    }


def _varied(rows: IntArray, cells: IntArray) -> IntArray:
    """Rows of different inputs first, so that no input fills a test set while there are others."""
    seen: Counter[int] = Counter()
    ranks = np.zeros(len(rows), dtype=np.int64)
    for place, cell in enumerate(cells[rows].tolist()):
        ranks[place] = seen[cell]
        seen[cell] += 1
    return rows[np.argsort(ranks, kind="stable")]


def _by_appearance(inputs: IntArray) -> IntArray:
    """Codes in order of appearance, so that random choices depend on the rows and not on how values are spelled."""
    columns = [np.unique(column, return_index=True, return_inverse=True)[1:] for column in inputs.T]
    return np.stack([np.argsort(np.argsort(first))[code] for first, code in columns], axis=1)


def _restricted(
    pool: Table, slots: Sequence[int], cells: IntArray, severity: float, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], list[Restriction]]:
    """Rows to hold out because of their values."""
    held, restrictions = np.zeros(len(pool), dtype=bool), []
    for slot in slots:
        values, first, counts = np.unique(pool.inputs[:, slot], return_index=True, return_counts=True)
        if len(values) < 3:
            continue
        order = np.argsort(first)
        # The most frequent value of a slot stays, so that there is something for others to be equivalent to.
        free = rng.permutation(values[order][np.argsort(-counts[order])][1:])
        take = max(1, round(len(free) * severity))
        for rank, value in enumerate(free[: 3 * take].tolist()):
            rows, restriction = _restrict(KINDS[rank // take], pool, slots, slot, value, cells, rng)
            held |= rows
            restrictions.append(restriction)
    return held, restrictions


def _restrict(
    kind: str, pool: Table, slots: Sequence[int], slot: int, value: int, cells: IntArray, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], Restriction]:
    has, name, shown = pool.inputs[:, slot] == value, pool.schema.slots[slot].name, pool.codes.slots[slot][value]
    if kind == "left out":
        return has, Restriction(kind, name, shown)
    if kind == "rare":
        own = rng.permutation(np.unique(cells[has]))
        kept = int(rng.integers(1, max(2, len(own) // 3 + 1)))
        return has & ~np.isin(cells, own[:kept]), Restriction(kind, name, shown, kept)
    other = int(rng.choice([at for at in slots if at != slot]))
    beside = int(rng.choice(pool.inputs[has, other]))
    text = f"{pool.schema.slots[other].name} = {pool.codes.slots[other][beside]}"
    return has & (pool.inputs[:, other] != beside), Restriction(kind, name, shown, beside=text)
