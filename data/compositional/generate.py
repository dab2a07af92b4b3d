"""Compositional data sets: training rows, and held-out compositions by which of their primitives training uses.

After the generators of arXiv 2505.20278, by definition rather than line by line. We differ where theirs leaks: training
rows are excluded from every held-out type (their three-hop and parallel sets keep about 45 % of them), held-out rows
are a uniform sample (theirs first drops table rows at random), and early stopping looks at a separate part of type 0
(theirs looks at the test set).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from .families import FAMILIES, Family, Ints
from .lookup_tables import CompositionError, make_tables

ENUMERATED = 2**23
"""Up to this many inputs are enumerated; beyond, inputs are drawn until there are enough."""
CHUNK = 2**20
ROUNDS = 4_000
"""Draws of `CHUNK` inputs before a data set counts as impossible."""
TYPED_HOPS = 3
"""Families with more tables have type 0 only, as in the paper: 2^hops types would say little."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Task:
    """Settings of a data set.

    Attributes:
        values: Values that a slot can take, |X| in the paper.
        rows: Training rows, N in the paper.
        seen: Share of each table's entries that training rows may use.
        test_size: Most rows of each held-out type.
        validation: Share of the held-out rows of the first type that early stopping looks at.
    """

    family: str = "two_hop"
    values: int = 20
    rows: int = 3000
    tables: str = "random"
    seen: float = 0.7
    test_size: int = 2000
    validation: float = 0.2
    seed: int = 0

    @property
    def program(self) -> Family:
        """The family.

        Raises:
            CompositionError: No family has this name.
        """
        if self.family not in FAMILIES:
            raise CompositionError(f"family · found {self.family!r} · one of {', '.join(FAMILIES)}")
        return FAMILIES[self.family]


@dataclass(frozen=True)
class Rows:
    """Inputs `[rows, slots]` and the result of each table, `[rows, hops]`; the last result is the answer."""

    inputs: Ints
    results: Ints

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def answers(self) -> Ints:
        """`[rows]`."""
        return self.results[:, -1]

    def take(self, index: Ints | Mask | slice) -> Rows:
        """Some of the rows."""
        return Rows(self.inputs[index], self.results[index])


@dataclass(frozen=True)
class Compositions:
    """A data set.

    Attributes:
        used: For each table, which entries training rows use; `[values ** arity]` each.
        validation: Held-out rows for early stopping; neither training nor test rows.
    """

    task: Task
    tables: tuple[Ints, ...]
    used: tuple[Mask, ...]
    train: Rows
    validation: Rows
    test: dict[int, Rows]

    def metadata(self) -> dict[str, object]:
        """Settings, sizes and hashes as plain data."""
        return {
            "task": asdict(self.task),
            "table_sha256": [_sha256(table) for table in self.tables],
            "train_sha256": _sha256(self.train.inputs),
            "rows": {
                "train": len(self.train),
                "validation": len(self.validation),
                **{f"type_{kind}": len(found) for kind, found in self.test.items()},
            },
        }


def generate(task: Task) -> Compositions:
    """Make a data set; the same task gives the same rows.

    Raises:
        CompositionError: The family is unknown, or has fewer compositions of allowed entries than rows are asked for.
    """
    family, rng = task.program, np.random.default_rng([task.seed, 0])
    tables = make_tables(family, task.values, task.tables, rng)
    sizes = [len(table) for table in tables]
    allowed = [_mask(size, rng.permutation(size)[: round(task.seen * size)]) for size in sizes]
    codes = _train_codes(task, tables, allowed, rng)
    entries, results = family.keys(_inputs(codes, task), tables, task.values)
    train = Rows(_inputs(codes, task), results)
    used = tuple(_mask(size, entries[:, hop]) for hop, size in enumerate(sizes))
    held_out = {kind: rows for kind, rows in enumerate(_held_out(task, tables, used, codes, rng)) if len(rows)}
    first = min(held_out, default=0)
    validation = held_out.get(first, train).take(slice(round(task.validation * len(held_out.get(first, ())))))
    test = {
        kind: rows.take(slice(len(validation) if kind == first else 0, None)).take(slice(task.test_size))
        for kind, rows in held_out.items()
    }
    return Compositions(task, tables, used, train, validation, test)


def types_of(entries: Ints, used: Sequence[Mask]) -> Ints:
    """The type of each row: 0 if training used all of its primitives, else 1 + the bits of those it used.

    The first table is the highest bit, so that of two tables type 1 is none, 2 only the second and 3 only the first
    (section 2 of the paper's data description). `entries` are those of `Family.keys`, `[rows, hops]`.
    """
    bits = np.zeros(len(entries), dtype=np.int64)
    for hop, mask in enumerate(used):
        bits = 2 * bits + mask[entries[:, hop]]
    return np.where(bits == 2 ** len(used) - 1, 0, bits + 1)


def _sha256(array: Ints) -> str:
    """Hash of the little-endian 64-bit integers."""
    return hashlib.sha256(np.ascontiguousarray(array, dtype="<i8").tobytes()).hexdigest()


def _mask(size: int, entries: Ints) -> Mask:
    mask = np.zeros(size, dtype=bool)
    mask[entries] = True
    return mask


def _inputs(codes: Ints, task: Task) -> Ints:
    """Inputs `[rows, slots]`: the digits of the codes to the base `values`."""
    return np.stack(np.unravel_index(codes, (task.values,) * task.program.slots), axis=1).astype(np.int64)


def _collect(
    task: Task,
    tables: Sequence[Ints],
    rng: np.random.Generator,
    kind_of: Callable[[Ints, Ints], Ints],
    kinds: int,
    enough: int,
) -> list[Ints]:
    """Codes of inputs by kind: all of them where they can be enumerated, else drawn until each kind has `enough`.

    `kind_of` takes codes `[rows]` and their table entries `[rows, hops]`; kinds outside 0..kinds-1 are dropped.
    """
    space = task.values**task.program.slots
    listed = space <= ENUMERATED
    found = [np.empty(0, dtype=np.int64)] * kinds
    for start in range(0, space, CHUNK) if listed else range(ROUNDS):
        codes = np.arange(start, min(start + CHUNK, space)) if listed else rng.integers(space, size=CHUNK)
        kind = kind_of(codes, task.program.keys(_inputs(codes, task), tables, task.values)[0])
        for number, known in enumerate(found):
            more = codes[kind == number]
            found[number] = np.concatenate([known, more]) if listed else np.union1d(known, more)
        if not listed and all(len(known) >= enough for known in found):
            break
    return found


def _train_codes(task: Task, tables: Sequence[Ints], allowed: Sequence[Mask], rng: np.random.Generator) -> Ints:
    """Codes of training rows, uniform without replacement among compositions of allowed entries, in random order."""

    def kind_of(codes: Ints, entries: Ints) -> Ints:
        return np.where(np.logical_and.reduce([mask[entries[:, hop]] for hop, mask in enumerate(allowed)]), 0, -1)

    (found,) = _collect(task, tables, rng, kind_of, 1, task.rows)
    if len(found) < task.rows:
        raise CompositionError(
            f"rows · {task.rows} of {task.family} with {task.values} values · there are {len(found)} compositions of "
            "seen entries · fewer rows, more values, or a larger share of seen entries"
        )
    return rng.permutation(found)[: task.rows]


def _held_out(
    task: Task, tables: Sequence[Ints], used: Sequence[Mask], train: Ints, rng: np.random.Generator
) -> list[Rows]:
    """Held-out rows by type, enough for `test_size` each and the validation rows besides."""

    def kind_of(codes: Ints, entries: Ints) -> Ints:
        return np.where(np.isin(codes, train), -1, types_of(entries, used))

    wanted = round(task.test_size / (1 - task.validation))
    hops = len(task.program.hops)
    found = _collect(task, tables, rng, kind_of, 2**hops if hops <= TYPED_HOPS else 1, wanted)
    inputs = [_inputs(rng.permutation(codes)[:wanted], task) for codes in found]
    return [Rows(part, task.program.keys(part, tables, task.values)[1]) for part in inputs]
