"""Text-to-SQL questions with several idiomatic answers, some of them wrong on each database.

The prompt shows a schema and a question; the database's quirks (``databases``) are hidden, so no idiom is safe.
``train`` and ``in_domain`` ask different questions about the same databases, on which the first idiom of each
template is right most often. ``cross_domain`` asks about other databases, on which that idiom mostly fails and
another works: a policy that has only its favourite left gains nothing from more samples.

Row columns: ``database`` (path of a SQLite file, written on first use), ``gold_sql``, ``semantics``
(always ``"bag"``), ``template``, ``quirks`` (comma-separated, for analysis), and ``idioms``: a JSON
list of ``{"name", "sql", "valid"}`` by rank, validity found by execution.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sqlite3
from collections import Counter
from contextlib import closing
from functools import lru_cache
from itertools import zip_longest
from typing import Literal, get_args

from ..cache import cache_dir, write_atomic
from ..options import Share, provides
from ..rows import Row, RowError
from .databases import QUIRKS, Database, Schema, make_database, random_schema
from .query_templates import BASE_MIXTURE, Question, questions

Split = Literal["train", "in_domain", "cross_domain"]
SPLITS: tuple[str, ...] = get_args(Split)
DATABASES = 40  # in each of the two worlds

# Share of databases that have a quirk. `home` is for training; in `away` the quirks that break the favoured idioms
# (homonyms, ties) are common and the others rarer.
MIXES: dict[str, dict[str, float]] = {
    "home": {"homonyms": 0.2, "ties": 0.2, "repeats": 0.45, "fan_out": 0.4, "orphans": 0.4, "nulls": 0.4},
    "away": {"homonyms": 0.65, "ties": 0.65, "repeats": 0.05, "fan_out": 0.3, "orphans": 0.3, "nulls": 0.3},
}


@provides("database", "gold_sql", "semantics")
def rows(split: Split = "train", size: int | None = None, seed: int = 0) -> list[Row]:
    """Generated questions on small SQLite databases whose hidden quirks break some SQL idioms.

    Templates come in turn as far as they last.

    Args:
        split: ``train``, ``in_domain`` or ``cross_domain``.
        size: Number of rows; all of the split when None.
        seed: Order and choice of the questions; the databases are always the same.

    Raises:
        RowError: If the split is unknown or has fewer than ``size`` questions.
    """
    if split not in SPLITS:
        raise RowError(f"sql_idioms · split · found {split!r} · one of {', '.join(SPLITS)}")
    pool = [row for row in _pool("away" if split == "cross_domain" else "home") if _split_of(row) == split]
    if size is not None and size > len(pool):
        raise RowError(f"sql_idioms · size · found {size} · {split} has {len(pool)} questions")
    paths = _write_databases()
    return [
        {**row, "prompt": _user(row["prompt"]), "database": paths[row["database"]]}
        for row in _in_turn(pool, seed)[:size]
    ]


def demonstrations(
    split: Split | Literal["pretrain"] = "pretrain", size: int | None = 1000, seed: int = 0, error_rate: Share = 0.2
) -> list[Row]:
    """Conversations as a base model writes them, which knows the idioms but not the quirks.

    The idiom is drawn from a fixed mixture whether it is right or not, and a share of the answers has one name
    replaced by another of the schema.

    Args:
        split: A split of ``rows``, or ``pretrain``: schemas that no split uses.
        size: Number of rows (default: all of the split; 1000 for ``pretrain``).
        seed: Choice of questions, idioms and mistakes.
        error_rate: Share of the answers with a mistake, 0 to 1.
    """
    rng = random.Random(f"sql_idioms demonstrations {split} {seed}")
    if split == "pretrain":
        taken = {_pair(database.schema) for database in _databases()}
        return [_pretrain_row(index, seed, taken, rng, error_rate) for index in range(size or 1000)]
    chosen = []
    for row in rows(split, size, seed):
        idioms = [idiom["sql"] for idiom in json.loads(row["idioms"])]
        chosen.append(_sft_row(row["id"], row["prompt"][0]["content"], idioms, rng, error_rate))
    return chosen


@lru_cache
def _world(mix: str) -> tuple[Database, ...]:
    """The databases of a mix; each quirk is in an exact share of them."""
    rng = random.Random(f"sql_idioms world {mix}")
    quirks: list[set[str]] = [set() for _ in range(DATABASES)]
    for quirk in QUIRKS:
        for index in rng.sample(range(DATABASES), round(MIXES[mix][quirk] * DATABASES)):
            quirks[index].add(quirk)
    taken = {_pair(database.schema) for database in (_world("home") if mix == "away" else ())}
    databases = []
    for index in range(DATABASES):
        schema = _fresh_schema(taken, rng)
        taken.add(_pair(schema))
        databases.append(make_database(f"{mix}_{index:02d}", schema, frozenset(quirks[index]), rng))
    return tuple(databases)


def _fresh_schema(taken: set[tuple[str, str]], rng: random.Random) -> Schema:
    while _pair(schema := random_schema(rng)) in taken:
        pass
    return schema


def _pair(schema: Schema) -> tuple[str, str]:
    return schema.parent, schema.child


def _databases() -> list[Database]:
    return [database for mix in MIXES for database in _world(mix)]


@lru_cache
def _pool(mix: str) -> tuple[Row, ...]:
    """Every usable question of a mix; ``prompt`` is text and ``database`` a name still."""
    found: list[Row | None] = []
    for database in _world(mix):
        with closing(database.connect()) as connection:
            found += [_judged(question, database, connection) for question in questions(database.schema)]
    return tuple(row for row in found if row is not None)


def _judged(question: Question, database: Database, connection: sqlite3.Connection) -> Row | None:
    """The row of a question, or None when its gold result is empty or no idiom is right."""
    gold_sql = question.fill(question.template.gold)
    gold = _bag(connection, gold_sql)
    idioms = []
    for idiom in question.template.idioms:
        sql = question.fill(idiom.sql)
        idioms.append({"name": idiom.name, "sql": sql, "valid": _bag(connection, sql) == gold})
    if not gold or not any(idiom["valid"] for idiom in idioms):
        return None
    return {
        "id": f"sql_idioms/{database.name}/{question.name}",
        "task": "sql_idioms",
        "prompt": question.prompt(),
        "database": database.name,
        "gold_sql": gold_sql,
        "semantics": "bag",
        "template": question.template.name,
        "quirks": ",".join(sorted(database.quirks)),
        "idioms": json.dumps(idioms),
    }


def _bag(connection: sqlite3.Connection, sql: str) -> Counter[tuple[object, ...]]:
    return Counter(connection.execute(sql).fetchall())


def _split_of(row: Row) -> str:
    """Two of three questions of a home database are for training, by a hash of the question."""
    if row["database"].startswith("away"):
        return "cross_domain"
    digest = hashlib.blake2b(row["id"].encode(), digest_size=4).digest()
    return "in_domain" if int.from_bytes(digest) % 3 == 0 else "train"


def _in_turn(pool: list[Row], seed: int) -> list[Row]:
    """Shuffle, then take one question of each template in turn while there are any."""
    shuffled = random.Random(f"sql_idioms rows {seed}").sample(pool, len(pool))
    by_template: dict[str, list[Row]] = {}
    for row in shuffled:
        by_template.setdefault(row["template"], []).append(row)
    return [row for turn in zip_longest(*by_template.values()) for row in turn if row is not None]


def _write_databases() -> dict[str, str]:
    """Write the SQLite files where they are missing, and return their paths by database name."""
    folder = (cache_dir() / "sql_idioms" / _version()).absolute()
    paths = {}
    for database in _databases():
        path = folder / f"{database.name}.sqlite"
        if not path.exists():
            write_atomic(path, database.serialize())
        paths[database.name] = str(path)
    return paths


@lru_cache
def _version() -> str:
    """Hash of all content, so that a changed generator never reads old files."""
    content = repr([(d.name, d.schema, d.parents, d.children) for d in _databases()])
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def _pretrain_row(index: int, seed: int, taken: set[tuple[str, str]], rng: random.Random, error_rate: float) -> Row:
    schema = _fresh_schema(taken, rng)
    by_template: dict[str, list[Question]] = {}
    for question in questions(schema):
        by_template.setdefault(question.template.name, []).append(question)
    question = rng.choice(rng.choice(list(by_template.values())))
    idioms = [question.fill(idiom.sql) for idiom in question.template.idioms]
    return _sft_row(f"sql_idioms/pretrain/{seed}/{index}", question.prompt(), idioms, rng, error_rate)


def _sft_row(row_id: str, prompt: str, idioms: list[str], rng: random.Random, error_rate: float) -> Row:
    answer = rng.choices(idioms, BASE_MIXTURE[: len(idioms)])[0]
    if rng.random() < error_rate:
        answer = _corrupt(answer, re.findall(r"\w+", prompt.rpartition("\n")[0]), rng)
    messages = [*_user(prompt), {"role": "assistant", "content": answer}]
    return {"id": row_id, "task": "sql_idioms", "messages": messages}


def _corrupt(sql: str, names: list[str], rng: random.Random) -> str:
    """Replace a table by the other, or a column by another but never by ``id``, which would often be right."""
    parent, child = names[0], names[names.index("id", 2) - 1]
    columns = [name for name in names if name not in (parent, child, "id")]
    place = rng.choice([match for match in re.finditer(r"[a-z_]+", sql) if match.group() in names])
    options = {parent: [child], child: [parent]}.get(place.group()) or [x for x in columns if x != place.group()]
    return sql[: place.start()] + rng.choice(options) + sql[place.end() :]


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]
