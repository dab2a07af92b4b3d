"""Compositional data sets: what is trained on, and held-out compositions by which of their primitives training used.

After the generators of arXiv 2505.20278, by definition rather than line by line. We differ where theirs leaks: training
rows are left out of every held-out type (their three-hop and parallel sets keep about 45 % of them), held-out rows are
a uniform sample (theirs first drops table rows by chance), and part of type 0 is set apart for the decision to stop,
which theirs makes on the test set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from .families import FAMILIES, Family, Ints
from .lookup_tables import Table, make_tables, table_hashes

ENUMERATED = 2**23
"""Up to so many inputs are listed; beyond, inputs are drawn until there are enough."""
CHUNK = 2**20
ROUNDS = 4_000
"""Draws of `CHUNK` inputs before a data set counts as impossible."""
TYPED_HOPS = 3
"""Families of more tables have type 0 only, as in the paper: 2^hops types would say little."""


class CompositionError(ValueError):
    """A data set that cannot be made as asked."""


@dataclass(frozen=True)
class Task:
    """What a data set is made from.

    Attributes:
        family: A name in `FAMILIES`.
        values: Values that a slot can take, |X| in the paper.
        rows: Training rows, N in the paper.
        tables: A name in `tables.KINDS`.
        seen: Share of each table's entries that training rows may use.
        test_size: Rows of each held-out type, at most.
        validation: Share of the held-out rows of the first type that is set apart for the decision to stop.
        seed: Of tables and of every draw.
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
        """The family itself.

        Raises:
            CompositionError: There is none of this name.
        """
        if self.family not in FAMILIES:
            raise CompositionError(f"family · found {self.family!r} · one of {', '.join(FAMILIES)}")
        return FAMILIES[self.family]


@dataclass(frozen=True)
class Rows:
    """Inputs `[rows, slots]` and what each table gives for them, `[rows, hops]`; the last is the answer."""

    inputs: Ints
    results: Ints

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def answers(self) -> Ints:
        """`[rows]`."""
        return self.results[:, -1]

    @property
    def bridges(self) -> Ints:
        """`[rows, hops - 1]`."""
        return self.results[:, :-1]

    def take(self, index: NDArray | slice) -> Rows:
        """Some of the rows."""
        return Rows(self.inputs[index], self.results[index])


@dataclass(frozen=True)
class Compositions:
    """A data set.

    Attributes:
        task: What it was made from.
        tables: Flat, one for each hop.
        used: For each table, which entries training rows use; `[values ** arity]` each.
        train: Training rows.
        validation: Held-out rows for the decision to stop; neither training nor test rows.
        test: Held-out rows by type.
    """

    task: Task
    tables: tuple[Table, ...]
    used: tuple[NDArray[np.bool_], ...]
    train: Rows
    validation: Rows
    test: dict[int, Rows]

    def metadata(self) -> dict[str, object]:
        """Settings, sizes and hashes as plain data."""
        rows = hashlib.sha256(np.ascontiguousarray(self.train.inputs, dtype="<i8").tobytes()).hexdigest()
        return {
            "task": asdict(self.task),
            "table_sha256": table_hashes(self.tables),
            "train_sha256": rows,
            "rows": {
                "train": len(self.train),
                "validation": len(self.validation),
                **{f"type_{kind}": len(found) for kind, found in self.test.items()},
            },
        }


def generate(task: Task) -> Compositions:
    """Make a data set; the same task gives the same rows.

    Raises:
        CompositionError: The family is unknown, or it has fewer compositions of seen entries than rows are asked for.
    """
    family, rng = task.program, np.random.default_rng([task.seed, 0])
    try:
        tables = make_tables(family, task.values, task.tables, rng)
    except ValueError as error:
        raise CompositionError(str(error)) from None
    allowed = tuple(_seen(len(table), task.seen, rng) for table in tables)
    codes = _train_codes(task, family, tables, allowed, rng)
    entries, results = family.keys(_inputs(codes, task), tables, task.values)
    train = Rows(_inputs(codes, task), results)
    used = tuple(_mask(len(table), entries[:, hop]) for hop, table in enumerate(tables))
    held_out = {kind: rows for kind, rows in _held_out(task, family, tables, used, codes, rng).items() if len(rows)}
    first = min(held_out, default=0)
    validation = held_out.get(first, train).take(slice(round(task.validation * len(held_out.get(first, ())))))
    test = {
        kind: rows.take(slice(len(validation) if kind == first else 0, None)).take(slice(task.test_size))
        for kind, rows in held_out.items()
    }
    return Compositions(task, tables, used, train, validation, test)


def types_of(entries: Ints, used: tuple[NDArray[np.bool_], ...]) -> Ints:
    """The type of each row: 0 if training used all of its primitives, else 1 + the bits of those it used.

    Bits are read with the first table as the highest, so that of two tables type 1 is none, 2 only the second and 3
    only the first (section 2 of the paper's data description).

    Args:
        entries: `[rows, hops]`, from `Family.keys`.
        used: One mask for each table.
    """
    bits = np.zeros(len(entries), dtype=np.int64)
    for hop, mask in enumerate(used):
        bits = 2 * bits + mask[entries[:, hop]]
    return np.where(bits == 2 ** len(used) - 1, 0, bits + 1)


def _seen(size: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    return _mask(size, rng.permutation(size)[: round(share * size)])


def _mask(size: int, entries: Ints) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=bool)
    mask[entries] = True
    return mask


def _inputs(codes: Ints, task: Task) -> Ints:
    """Inputs `[rows, slots]` of codes: the slots read as digits."""
    return np.stack(np.unravel_index(codes, (task.values,) * task.program.slots), axis=1).astype(np.int64)


def _chunks(task: Task, rng: np.random.Generator) -> Iterator[Ints]:
    """All codes in order where they can be listed, else random ones without end."""
    space = task.values**task.program.slots
    if space <= ENUMERATED:
        for start in range(0, space, CHUNK):
            yield np.arange(start, min(start + CHUNK, space))
    else:
        for _ in range(ROUNDS):
            yield rng.integers(space, size=CHUNK)


def _train_codes(
    task: Task,
    family: Family,
    tables: tuple[Table, ...],
    allowed: tuple[NDArray[np.bool_], ...],
    rng: np.random.Generator,
) -> Ints:
    """Codes of training rows, uniform without replacement among compositions of seen entries, in random order."""
    found = np.empty(0, dtype=np.int64)
    listed = task.values**family.slots <= ENUMERATED
    for codes in _chunks(task, rng):
        entries, _ = family.keys(_inputs(codes, task), tables, task.values)
        codes = codes[np.logical_and.reduce([mask[entries[:, hop]] for hop, mask in enumerate(allowed)])]
        found = np.concatenate([found, codes]) if listed else np.union1d(found, codes)
        if not listed and len(found) >= task.rows:
            break
    if len(found) < task.rows:
        raise CompositionError(
            f"rows · {task.rows} of {task.family} with {task.values} values · there are {len(found)} compositions of "
            "seen entries · fewer rows, more values, or a larger share of seen entries"
        )
    return rng.permutation(found)[: task.rows]


def _held_out(
    task: Task,
    family: Family,
    tables: tuple[Table, ...],
    used: tuple[NDArray[np.bool_], ...],
    train: Ints,
    rng: np.random.Generator,
) -> dict[int, Rows]:
    """Held-out rows by type, enough for `test_size` each and the validation rows besides."""
    kinds = range(2 ** len(family.hops)) if len(family.hops) <= TYPED_HOPS else range(1)
    wanted = round(task.test_size / (1 - task.validation))
    found = {kind: np.empty(0, dtype=np.int64) for kind in kinds}
    listed = task.values**family.slots <= ENUMERATED
    sorted_train = np.sort(train)
    for codes in _chunks(task, rng):
        codes = codes[~_among(codes, sorted_train)]
        entries, _ = family.keys(_inputs(codes, task), tables, task.values)
        types = types_of(entries, used)
        for kind in kinds:
            more = codes[types == kind]
            found[kind] = np.concatenate([found[kind], more]) if listed else np.union1d(found[kind], more)
        if not listed and all(len(codes) >= wanted for codes in found.values()):
            break
    chosen = {}
    for kind, codes in found.items():
        codes = rng.permutation(codes)[:wanted]
        inputs = _inputs(codes, task)
        chosen[kind] = Rows(inputs, family.keys(inputs, tables, task.values)[1])
    return chosen


def _among(codes: Ints, ordered: Ints) -> NDArray[np.bool_]:
    place = np.minimum(np.searchsorted(ordered, codes), len(ordered) - 1)
    return ordered[place] == codes
