"""The schema of a SQLite file as prompt text: tables, columns, keys and example values of the file itself."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

from ..rows import RowError

Style = Literal["full", "compact"]

# Rows looked at for example values: enough to find distinct ones, and no full scan of a big table.
_EXAMPLE_SCAN_ROWS = 1000
_EXAMPLE_CHARACTERS = 40


class _Column(NamedTuple):
    name: str
    type: str
    key_position: int  # 1-based position in the primary key, 0 outside it


@lru_cache(maxsize=1024)
def schema_text(database: Path, style: Style = "full", example_values: int = 2) -> str:
    """Schema of a database.

    The file is opened read-only. ``full`` gives CREATE TABLE statements with keys, and `example_values` values of each
    column in comments; ``compact`` one line ``table(column, column)`` for each table.

    Raises:
        RowError: If the file is not a readable SQLite database, or has no table.
    """
    try:
        # immutable: a benchmark's file does not change, and may lie where no lock file can be made.
        uri = f"{database.resolve().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
            tables = _tables(connection)
            if style == "compact":
                columns = {table: [_name(column.name) for column in _columns(connection, table)] for table in tables}
                return "\n".join(f"{_name(table)}({', '.join(names)})" for table, names in columns.items())
            text = "\n\n".join(_full(connection, table, example_values) for table in tables)
    except sqlite3.Error as error:
        raise RowError(f"{database} · database · found {error} · give a readable SQLite file") from error
    if not tables:
        raise RowError(f"{database} · database · found no table · give a filled SQLite file")
    return text


def _tables(connection: sqlite3.Connection) -> list[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    return [name for (name,) in connection.execute(f"{query} ORDER BY rowid")]


def _columns(connection: sqlite3.Connection, table: str) -> list[_Column]:
    rows = connection.execute(f"PRAGMA table_info({_quote(table)})")
    return [_Column(name, kind, key) for _, name, kind, _, _, key in rows]


def _full(connection: sqlite3.Connection, table: str, example_values: int) -> str:
    columns = _columns(connection, table)
    lines = [
        (f"{_name(column.name)} {column.type}".rstrip(), _examples(connection, table, column.name, example_values))
        for column in columns
    ]
    keys = [_name(c.name) for c in sorted(columns, key=lambda c: c.key_position) if c.key_position]
    lines += [(f"PRIMARY KEY ({', '.join(keys)})", "")] if keys else []
    lines += [(line, "") for line in _foreign_keys(connection, table)]
    body = [
        f"    {text}{',' if number < len(lines) else ''}{f' -- {comment}' if comment else ''}"
        for number, (text, comment) in enumerate(lines, start=1)
    ]
    return "\n".join([f"CREATE TABLE {_name(table)} (", *body, ");"])


def _foreign_keys(connection: sqlite3.Connection, table: str) -> list[str]:
    lines = []
    rows = connection.execute(f"PRAGMA foreign_key_list({_quote(table)})").fetchall()
    for _, group in groupby(sorted(rows, key=lambda row: row[:2]), key=lambda row: row[0]):  # by key, then position
        _, _, targets, sources, referred, *_ = zip(*group, strict=True)
        # A target without columns means the primary key of that table.
        named = [_name(column) for column in referred if column is not None]
        place = _name(targets[0]) + (f" ({', '.join(named)})" if named else "")
        lines.append(f"FOREIGN KEY ({', '.join(map(_name, sources))}) REFERENCES {place}")
    return lines


def _examples(connection: sqlite3.Connection, table: str, column: str, count: int) -> str:
    name = _quote(column)
    scan = f"SELECT {name} AS value FROM {_quote(table)} WHERE {name} IS NOT NULL LIMIT {_EXAMPLE_SCAN_ROWS}"
    values = connection.execute(f"SELECT DISTINCT value FROM ({scan}) LIMIT ?", (count,))
    return ", ".join(_literal(value) for (value,) in values if not isinstance(value, bytes))


def _literal(value: str | int | float) -> str:
    """Value as SQL writes it, on one line and cut to a readable length."""
    if not isinstance(value, str):
        return str(value)
    text = " ".join(value.split())
    if len(text) > _EXAMPLE_CHARACTERS:
        text = text[: _EXAMPLE_CHARACTERS - 1] + "…"
    return "'" + text.replace("'", "''") + "'"


@cache
def _name(name: str) -> str:
    """Name as a query has to write it: quoted only where SQLite needs that."""
    quoted = _quote(name)
    if not (name.isidentifier() and name.isascii()):
        return quoted
    with closing(sqlite3.connect(":memory:")) as connection:
        try:  # a keyword does not parse here, or (CURRENT_DATE, NULL) is not the column
            plain = connection.execute(f"SELECT {name} FROM (SELECT 'x' AS {quoted})").fetchone() == ("x",)
        except sqlite3.Error:
            plain = False
    return name if plain else quoted


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
