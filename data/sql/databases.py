"""Small two-table databases whose hidden quirks decide which SQL idioms are right on them.

A database has a parent table (singer) and a child table (concert) that refers to it. A prompt shows only the
schema. Without quirks every idiom of a question gives the same result; each quirk breaks some of them:

- ``homonyms``: different parents share a name; ``DISTINCT name`` and ``EXCEPT`` merge them.
- ``ties``: two parents share the highest and the lowest number; ``LIMIT 1`` misses one.
- ``repeats``: parent rows were imported twice, same id; whatever does not deduplicate over-counts.
- ``fan_out``: parents have several children; a plain ``JOIN`` over-counts.
- ``orphans``: children of unknown parents, and of none; ``NOT IN`` meets a NULL and finds nothing.
- ``nulls``: numbers are missing; ``COUNT(column)`` and negated comparisons differ.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise

QUIRKS = ("homonyms", "ties", "repeats", "fan_out", "orphans", "nulls")

PARENTS = (
    "singer actor author teacher player doctor driver painter farmer pilot captain chef city museum "
    "hotel school airport company shop factory library theater club band team festival ship train "
    "bridge castle river island mountain park garden farm bank hospital studio stadium"
).split()
CHILDREN = (
    "concert movie book course trophy patient trip picture crop flight voyage recipe street statue room "
    "lesson runway contract sale machine shelf ticket meeting song goal stage cabin wagon repair tower "
    "harbor beach trail bench flower animal loan nurse record seat"
).split()
NAMES = "name title label alias caption brand nickname surname".split()
NUMBERS = (
    "age height weight score grade price size length width speed points salary budget rating capacity "
    "level distance depth area power value cost income profit"
).split()
TEXTS = "country color style language category status region owner material season".split()
EXTRAS = "year day hour month minute week note code kind phase".split()
# Values only: no prompt and no answer shows them.
VALUES = "amber birch cedar delta ember fjord grove heron iris jade kite larch maple north olive pearl".split()

Cell = int | str | None
Table = list[tuple[Cell, ...]]


@dataclass(frozen=True)
class Schema:
    """Two tables, as the prompt shows them; ``columns`` are the parent's after id and name."""

    parent: str
    child: str
    name: str
    numbers: tuple[str, ...]
    columns: tuple[str, ...]
    extras: tuple[str, ...]

    @property
    def key(self) -> str:
        """Column of the child table that points to the parent."""
        return f"{self.parent}_id"

    def prompt(self) -> str:
        """One line a table: ``singer(id, name, age)``."""
        parent = ", ".join(("id", self.name, *self.columns))
        child = ", ".join(("id", self.key, *self.extras))
        return f"{self.parent}({parent})\n{self.child}({child})"


@dataclass(frozen=True)
class Database:
    """A schema, the quirks of its data, and the rows of its two tables."""

    name: str
    schema: Schema
    quirks: frozenset[str]
    parents: Table
    children: Table

    def connect(self) -> sqlite3.Connection:
        """A fresh in-memory copy."""
        schema = self.schema
        connection = sqlite3.connect(":memory:")
        for table, columns, rows in (
            (schema.parent, ("id", schema.name, *schema.columns), self.parents),
            (schema.child, ("id", schema.key, *schema.extras), self.children),
        ):
            # No primary key: a repeated id is one of the quirks.
            connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
            marks = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        connection.commit()
        return connection

    def serialize(self) -> bytes:
        """The content of the SQLite file."""
        with closing(self.connect()) as connection:
            return connection.serialize()


def random_schema(rng: random.Random) -> Schema:
    """A schema from the word pools; no column name is in both tables except ``id``."""
    numbers = tuple(rng.sample(NUMBERS, rng.choice((1, 2, 2))))
    columns = list(numbers) if len(numbers) == 2 else [*numbers, rng.choice(TEXTS)]
    rng.shuffle(columns)
    return Schema(
        parent=rng.choice(PARENTS),
        child=rng.choice(CHILDREN),
        name=rng.choice(NAMES),
        numbers=numbers,
        columns=tuple(columns),
        extras=tuple(rng.sample(EXTRAS, rng.choice((1, 1, 2)))),
    )


def make_database(name: str, schema: Schema, quirks: frozenset[str], rng: random.Random) -> Database:
    """Fill a schema with 12–18 parents and their children so that every quirk shows in the data."""
    count = rng.choice((12, 14, 16, 18))
    entities = _entities(schema, count, quirks, rng)
    with_child = [entity["id"] for index, entity in enumerate(entities) if index % 4 < 2]
    children = _children(schema, with_child, quirks, rng)
    parents = [(entity["id"], entity["name"], *(entity[column] for column in schema.columns)) for entity in entities]
    if "repeats" in quirks:
        # Both ends (highest and lowest) and both kinds (with and without a child) come twice.
        parents += [row for index, row in enumerate(parents) if index % 4 != 1 or index + 1 == count]
    rng.shuffle(parents)
    return Database(name, schema, quirks, parents, children)


def _entities(schema: Schema, count: int, quirks: frozenset[str], rng: random.Random) -> list[dict[str, Cell]]:
    """Parents in increasing order of their first number; neighbours (2i, 2i+1) may share a name."""
    ids = rng.sample(range(1, 60), count)
    names = [f"{word}{rng.randrange(10, 100)}" for word in (VALUES * 2)[:count]]
    rng.shuffle(names)  # without effect on the names; the numbers that it draws keep the databases as they are
    names = sorted(names)
    names = [f"{b}b" if a == b else b for a, b in pairwise(["", *names])]  # clean data has no homonyms
    if "homonyms" in quirks:
        names = [names[index - index % 2] for index in range(count)]
    entities: list[dict[str, Cell]] = [{"id": key, "name": name} for key, name in zip(ids, names, strict=True)]
    for position, column in enumerate(schema.numbers):
        # The second number runs the other way, so that neighbours are neighbours in both.
        for entity, value in zip(entities, _numbers(count, quirks, rng)[:: -1 if position else 1], strict=True):
            entity[column] = value
    for column in set(schema.columns) - set(schema.numbers):
        for entity in entities:
            entity[column] = rng.choice(VALUES)
    return entities


def _numbers(count: int, quirks: frozenset[str], rng: random.Random) -> list[int | None]:
    """Increasing numbers in 10..99; repeated rows do not move the average out of the wide gap in the middle."""
    half = count // 2
    low, high = rng.sample(range(10, 42), half), rng.sample(range(66, 100), count - half)
    values: list[int | None] = [*sorted(low), *sorted(high)]
    if "ties" in quirks:
        values[1], values[-2] = values[0], values[-1]
    if "nulls" in quirks:
        for index in (3, half - 2, count - 5):
            values[index] = None
    return values


def _children(schema: Schema, owners: list[Cell], quirks: frozenset[str], rng: random.Random) -> Table:
    keys = list(owners)
    if "fan_out" in quirks:
        for owner in owners:
            keys += [owner] * rng.choice((1, 1, 2))
    if "orphans" in quirks:
        keys += [*rng.sample(range(60, 90), 3), None]
    rng.shuffle(keys)
    return [(index + 1, key, *(rng.randrange(1, 30) for _ in schema.extras)) for index, key in enumerate(keys)]
