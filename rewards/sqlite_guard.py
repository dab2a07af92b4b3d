"""Run one SQL query that nobody trusts on a SQLite file that must not change.

Every query runs read-only behind an authorizer that knows SELECT, READ and a list of functions, with
lowered limits and a deadline. Most run in this process. SQLite looks at the deadline only at jumps and
between VM steps, so that is safe only while no stretch between two looks can be long: the in-process limits
on program size and on the length of any value keep the worst stretch near a tenth of a second. A query that
exceeds them (long text, large values, many joins) is not refused but runs again in a killable worker with
wide limits and the time that is left.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from .workers import TaskFailed, TaskTimeout, shared_pool

Cell = int | float | str | bytes | None


class QueryError(Exception):
    """The query is at fault: it does not run, is not allowed, or returns more than the limits."""


class QueryTimeout(Exception):
    """The query ran out of its time or memory."""


class DatabaseFailure(Exception):
    """The database or the machinery is at fault."""


class _TooHeavy(Exception):
    """The in-process limits are too narrow for this query."""


@dataclass(frozen=True)
class Limits:
    """Bounds on one query: seconds, rows, and bytes of the result as Python objects."""

    seconds: float
    rows: int
    bytes: int


@dataclass(frozen=True)
class Table:
    """Result of a query: number of columns, rows, size in bytes as Python objects."""

    columns: int
    rows: list[tuple[Cell, ...]]
    bytes: int = 0


# None that reads files, loads code, makes random or arbitrarily large values, or tells about the machine.
_FUNCTIONS = frozenset(
    """
    abs avg cast ceil ceiling char coalesce concat concat_ws count cume_dist date datetime
    dense_rank exp first_value floor format glob group_concat hex if ifnull iif instr julianday json
    json_array json_array_length json_extract json_group_array json_group_object json_object
    json_type json_valid lag last_value lead length like likelihood likely ln log log10 log2 lower
    ltrim max min mod nth_value ntile nullif octet_length percent_rank pi pow power printf quote
    radians rank replace round row_number rtrim sign sqrt strftime string_agg substr substring sum
    time timediff total trim trunc typeof unicode unixepoch unlikely upper -> ->>
    """.split()
)

_ALLOWED = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE))

_COMMON_LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 1,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
}
_LIGHT_LIMITS = _COMMON_LIMITS | {
    sqlite3.SQLITE_LIMIT_LENGTH: 8_192,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 700,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50,
}
_HEAVY_LIMITS = _COMMON_LIMITS | {
    sqlite3.SQLITE_LIMIT_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
}
_STEPS_PER_LOOK = 2_000  # VM instructions between two looks at the clock
_HEAP_BYTES = 64 * 2**20  # of all SQLite connections of a process; SQLite has no limit per connection
_WORKER_BYTES = 224 * 2**20
_WORKERS = 2
_CONNECTIONS = 16  # kept open per thread
_MACHINERY_ERRORS = frozenset(
    getattr(sqlite3, f"SQLITE_{name}")
    for name in ("CORRUPT", "NOTADB", "IOERR", "CANTOPEN", "BUSY", "LOCKED", "FULL", "PROTOCOL", "READONLY")
)
# Each occurrence can cost a copy of a subquery, a join or a function call that no deadline interrupts.
_COSTLY = re.compile(r"[(,]|->|\b(?:select|join|like|glob)\b", re.IGNORECASE)
_COSTLY_IN_PROCESS = 40
_LONGEST_IN_PROCESS = 8_000  # characters of SQL
# Functions of which one call can take seconds whatever the limits: printf('%.*c', 1000000000, 'x').
_UNBOUNDED = re.compile(r"printf|format|trim", re.IGNORECASE)


def run_query(database: str, sql: str, limits: Limits, distinct: bool = False) -> Table:
    """Result of `sql` on the SQLite file `database`.

    Args:
        database: Path of the file; opened read-only, and without locks when no journal lies beside it.
        sql: One SELECT statement.
        limits: Bounds; the deadline holds within 0.2 s.
        distinct: Keep one of equal rows, so that only distinct rows count towards the limits.

    Raises:
        QueryError: The query does not run, or its result is over the limits.
        QueryTimeout: Out of time, memory, or size of an intermediate value.
        DatabaseFailure: No fault of the query.
    """
    start = time.perf_counter()
    if _fits_in_process(sql):
        try:
            return _run(_connection(database, light=True), sql, limits, distinct)
        except _TooHeavy:
            pass
    left = limits.seconds - (time.perf_counter() - start)
    return _run_in_worker(database, sql, Limits(max(left, 0.01), limits.rows, limits.bytes), distinct)


def _fits_in_process(sql: str) -> bool:
    if len(sql) > _LONGEST_IN_PROCESS or _UNBOUNDED.search(sql):
        return False
    return len(_COSTLY.findall(sql)) <= _COSTLY_IN_PROCESS


def database_version(database: str) -> tuple[int, int, int]:
    """What changes when the file does: inode, size, modification time in nanoseconds.

    Raises:
        DatabaseFailure: There is no such file.
    """
    try:
        status = os.stat(database)
    except OSError as error:
        raise DatabaseFailure(f"database {database}: {error.strerror}") from error
    return status.st_ino, status.st_size, status.st_mtime_ns


class _Guarded:
    """A guarded connection and its deadline."""

    def __init__(self, database: str, light: bool) -> None:
        path = Path(database).absolute()
        # Without `immutable` a database in WAL mode gets files beside it; with it a journal is not read.
        journals = [path.with_name(path.name + end) for end in ("-wal", "-journal")]
        immutable = not any(journal.exists() and journal.stat().st_size for journal in journals)
        uri = f"{path.as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
        self.light = light
        self.deadline = 0.0
        self.connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        for pragma in ("query_only=1", "temp_store=2", "trusted_schema=0", f"hard_heap_limit={_HEAP_BYTES}"):
            self.connection.execute(f"PRAGMA {pragma}")
        # Reads the schema now: neither the clock nor the limits are meant for a long CREATE TABLE.
        self.connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        for category, value in (_LIGHT_LIMITS if light else _HEAVY_LIMITS).items():
            self.connection.setlimit(category, value)
        self.connection.set_authorizer(_authorize)
        clock = time.perf_counter
        self.connection.set_progress_handler(lambda: clock() > self.deadline, _STEPS_PER_LOOK)


def _authorize(action: int, _: str | None, function: str | None, *__: str | None) -> int:
    if action in _ALLOWED or (action == sqlite3.SQLITE_FUNCTION and function and function.lower() in _FUNCTIONS):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


_local = threading.local()


def _connection(database: str, light: bool) -> _Guarded:
    """The open connection of this thread to this version of the file."""
    version = database_version(database)
    if getattr(_local, "pid", None) != os.getpid():  # SQLite connections do not survive a fork
        _local.pid, _local.open = os.getpid(), OrderedDict()
    connections: OrderedDict[Any, _Guarded] = _local.open
    key = (database, version, light)
    if key not in connections:
        try:
            connections[key] = _Guarded(database, light)
        except sqlite3.Error as error:
            raise DatabaseFailure(f"database {database}: {error}") from error
        if len(connections) > _CONNECTIONS:
            connections.popitem(last=False)[1].connection.close()
    connections.move_to_end(key)
    return connections[key]


def _run(guarded: _Guarded, sql: str, limits: Limits, distinct: bool) -> Table:
    guarded.deadline = time.perf_counter() + limits.seconds
    cursor = guarded.connection.cursor()
    try:
        return _collect(cursor.execute(sql), limits, distinct)
    except MemoryError as error:
        raise _heavy(guarded, "out of memory") from error
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        if str(error).startswith("Could not decode to UTF-8") and guarded.connection.text_factory is str:
            return _run_undecodable(guarded, sql, limits, distinct)
        raise _translated(guarded, error) from error
    finally:
        cursor.close()


def _run_undecodable(guarded: _Guarded, sql: str, limits: Limits, distinct: bool) -> Table:
    """`_run` for text that is not UTF-8; slower, so only where it is met."""
    guarded.connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        return _run(guarded, sql, limits, distinct)
    finally:
        guarded.connection.text_factory = str


def _translated(guarded: _Guarded, error: Exception) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_INTERRUPT:
        return QueryTimeout("out of time")
    if code in (sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_NOMEM) or "pattern too complex" in str(error):
        return _heavy(guarded, str(error))
    if code in _MACHINERY_ERRORS:
        return DatabaseFailure(str(error))
    return QueryError(str(error))


def _heavy(guarded: _Guarded, detail: str) -> Exception:
    return _TooHeavy() if guarded.light else QueryTimeout(detail)


def _collect(cursor: sqlite3.Cursor, limits: Limits, distinct: bool) -> Table:
    """Fetch in small steps, so that the size is known before it hurts."""
    if cursor.description is None:
        raise QueryError("not a query that returns rows")
    columns = len(cursor.description)
    step = max(1, 2_000 // columns)
    rows: dict[tuple[Cell, ...], None] | list[tuple[Cell, ...]] = {} if distinct else []
    size = 0
    while batch := cursor.fetchmany(step):
        new = batch if isinstance(rows, list) else [row for row in dict.fromkeys(batch) if row not in rows]
        size += len(new) * (64 + 8 * columns) + sum(map(sys.getsizeof, chain.from_iterable(new)))
        rows.extend(new) if isinstance(rows, list) else rows.update(dict.fromkeys(new))
        if len(rows) > limits.rows or size > limits.bytes:
            raise QueryError(f"more than {limits.rows} rows or {limits.bytes} bytes")
    return Table(columns, list(rows), size)


def _run_in_worker(database: str, sql: str, limits: Limits, distinct: bool) -> Table:
    database_version(database)
    pool = shared_pool(f"{__name__}:run_task", _WORKERS, _WORKER_BYTES)
    task = {"database": database, "sql": sql, "limits": [limits.seconds, limits.rows, limits.bytes]}
    try:
        reply = pool.run(task | {"distinct": distinct}, limits.seconds + 0.05)
    except TaskTimeout as error:
        raise QueryTimeout(str(error)) from error
    except TaskFailed as error:
        raise DatabaseFailure(str(error)) from error
    if "failure" in reply:
        raise _FAILURES[reply["failure"]](reply["detail"])
    return Table(reply["columns"], [tuple(map(_unpacked, row)) for row in reply["rows"]], reply["bytes"])


_FAILURES = {cls.__name__: cls for cls in (QueryError, QueryTimeout, DatabaseFailure)}


def run_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """Handler of the worker process: `run_query` with wide limits, as JSON."""
    try:
        guarded = _connection(task["database"], light=False)
        table = _run(guarded, task["sql"], Limits(*task["limits"]), task["distinct"])
    except (QueryError, QueryTimeout, DatabaseFailure) as error:
        return {"failure": type(error).__name__, "detail": str(error)}
    rows = [[_packed(cell) for cell in row] for row in table.rows]
    return {"columns": table.columns, "rows": rows, "bytes": table.bytes}


def _packed(cell: Cell) -> Any:
    return {"hex": cell.hex()} if isinstance(cell, bytes) else cell


def _unpacked(cell: Any) -> Cell:
    return bytes.fromhex(cell["hex"]) if isinstance(cell, dict) else cell
