"""A SQLite connection on which an untrusted query can run: read-only, with chosen functions, limits and a deadline.

There are two sets of limits. Under the narrow ones, for this process, little time passes between two checks of the
deadline: SQLite checks only at jumps, so the work between them is bounded by the size of the program and the length
of any value. Under the wide ones a single function call can take seconds, and only killing the process ends it.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from ..workers import TaskFailed, TaskTimeout, shared_pool

Cell = int | float | str | bytes | None


class QueryError(Exception):
    """The query is at fault: it does not run, or is not allowed."""


class QueryTimeout(Exception):
    """The query ran into a limit: time, memory, or size of the result."""


class DatabaseFailure(Exception):
    """The database or the machinery is at fault."""


class TooHeavy(Exception):
    """The narrow limits stopped a query that the wide ones may let through."""


@dataclass(frozen=True)
class Limits:
    """Bounds on one query: seconds, rows, and bytes of the result as Python objects."""

    seconds: float
    rows: int
    bytes: int


@dataclass(frozen=True)
class Table:
    """Result of a query: number of columns, and rows."""

    columns: int
    rows: list[tuple[Cell, ...]]


_DETERMINISTIC, _INTERNAL = 0x800, 0x80000 | 0x40000  # flags of a function; direct use only, or SQLite's own
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
_STEPS_PER_CHECK = 2_000  # VM instructions between two checks of the deadline
_HEAP_BYTES = 64 * 2**20  # of SQLite in a worker; the limit is one per process, so the caller's has none
_CONNECTIONS = 16  # kept open per thread
_MACHINERY_ERRORS = frozenset(
    getattr(sqlite3, f"SQLITE_{name}")
    for name in ("CORRUPT", "NOTADB", "IOERR", "CANTOPEN", "BUSY", "LOCKED", "FULL", "PROTOCOL", "READONLY")
)


def database_version(database: str) -> tuple[int, int, int]:
    """Inode, size and modification time (ns) of the file: what changes when it does.

    Raises:
        DatabaseFailure: There is no such file.
    """
    try:
        status = os.stat(database)
    except OSError as error:
        raise DatabaseFailure(f"database {database}: {error.strerror}") from error
    return status.st_ino, status.st_size, status.st_mtime_ns


class GuardedConnection:
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
        in_worker = () if light else ("temp_store=2", f"hard_heap_limit={_HEAP_BYTES}")
        for pragma in ("query_only=1", "trusted_schema=0", *in_worker):
            self.connection.execute(f"PRAGMA {pragma}")
        # Reads the schema now: neither the clock nor the limits are meant for a long CREATE TABLE.
        self.connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        for category, value in (_LIGHT_LIMITS if light else _HEAVY_LIMITS).items():
            self.connection.setlimit(category, value)
        allowed_functions()  # a SQLite that cannot list them fails here, and not as a refusal of every query
        self.connection.set_authorizer(_authorize)
        clock = time.perf_counter
        self.connection.set_progress_handler(lambda: clock() > self.deadline, _STEPS_PER_CHECK)


def _authorize(action: int, _: str | None, function: str | None, *__: str | None) -> int:
    if action in _ALLOWED or (action == sqlite3.SQLITE_FUNCTION and (function or "").lower() in allowed_functions()):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


@cache
def allowed_functions() -> frozenset[str]:
    """Functions that a query may call: those built into this SQLite that compute a value and do nothing else.

    SQLite says so itself: a scalar function must be marked deterministic, an aggregate or window function always is;
    none may be for internal or direct use only (`load_extension`, `fts3_tokenizer`) or come from an extension
    (`readfile`, the functions of FTS). Two exceptions: the clock is allowed, though what it gives changes, because gold
    queries ask for today's date; and `sqlite_log` is not, because it writes.
    """
    with closing(sqlite3.connect(":memory:")) as connection:
        rows = connection.execute("SELECT name, builtin, type, flags FROM pragma_function_list").fetchall()
    pure = {
        name
        for name, builtin, kind, flags in rows
        if builtin and not flags & _INTERNAL and (kind in "aw" or flags & _DETERMINISTIC)
    }
    return frozenset(pure - {"sqlite_log"} | {"current_date", "current_time", "current_timestamp"})


_local = threading.local()


def guarded_connection(database: str, light: bool) -> GuardedConnection:
    """The open connection of this thread to this version of the file; `light` has the narrow limits.

    Raises:
        DatabaseFailure: It cannot be opened.
    """
    version = database_version(database)
    if getattr(_local, "pid", None) != os.getpid():  # SQLite connections do not survive a fork
        _local.pid, _local.open = os.getpid(), OrderedDict()
    connections: OrderedDict[Any, GuardedConnection] = _local.open
    key = (database, version, light)
    if key not in connections:
        try:
            connections[key] = GuardedConnection(database, light)
        except sqlite3.Error as error:
            raise DatabaseFailure(f"database {database}: {error}") from error
        if len(connections) > _CONNECTIONS:
            connections.popitem(last=False)[1].connection.close()
    connections.move_to_end(key)
    return connections[key]


def run_guarded(guarded: GuardedConnection, sql: str, limits: Limits, distinct: bool) -> Table:
    """Result of `sql`; `distinct` keeps one of equal rows.

    Raises:
        QueryError: The query does not run, or is not allowed.
        TooHeavy: A narrow limit or the deadline stopped it on a light connection.
        QueryTimeout: The same on another connection; or the result is over the limits.
        DatabaseFailure: The file is broken, locked or gone.
    """
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


def _run_undecodable(guarded: GuardedConnection, sql: str, limits: Limits, distinct: bool) -> Table:
    """`run_guarded` for text that is not UTF-8; slower, so used only then."""
    guarded.connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        return run_guarded(guarded, sql, limits, distinct)
    finally:
        guarded.connection.text_factory = str


def _translated(guarded: GuardedConnection, error: Exception) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_INTERRUPT:
        return _heavy(guarded, "out of time")
    if code in (sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_NOMEM) or "pattern too complex" in str(error):
        return _heavy(guarded, str(error))
    if code in _MACHINERY_ERRORS:
        return DatabaseFailure(str(error))
    return QueryError(str(error))


def _heavy(guarded: GuardedConnection, detail: str) -> Exception:
    return TooHeavy() if guarded.light else QueryTimeout(detail)


def _collect(cursor: sqlite3.Cursor, limits: Limits, distinct: bool) -> Table:
    """Fetch in steps of about 2,000 values, and measure before fetching more."""
    if cursor.description is None:
        raise QueryError("not a query that returns rows")
    columns = len(cursor.description)
    step = max(1, 2_000 // columns)
    rows: list[tuple[Cell, ...]] = []
    seen: dict[tuple[Cell, ...], None] = {}
    size = 0.0
    while True:
        batch = cursor.fetchmany(step)
        known = len(seen)
        seen.update(dict.fromkeys(batch)) if distinct else rows.extend(batch)
        if len(batch) == step:
            size += size_of(batch) * ((len(seen) - known) / step if distinct else 1.0)
        if size > limits.bytes or max(len(rows), len(seen)) > limits.rows:
            raise QueryTimeout(f"more than {limits.rows} rows or {limits.bytes} bytes")
        if len(batch) < step:
            return Table(columns, list(seen) if distinct else rows)


def size_of(rows: Sequence[tuple[Cell, ...]]) -> int:
    """Bytes of rows as Python objects."""
    return sum(map(sys.getsizeof, rows)) + sum(map(sys.getsizeof, chain.from_iterable(rows)))


_SECONDS_IN_PROCESS = 0.2  # also bounds what a sort can write to SQLite's (unlinked) temporary files
WORKER_BYTES = 224 * 2**20
_WORKERS = 2
# Each occurrence can cost a copy of a subquery, a join or a function call that no deadline interrupts.
_COSTLY = ("(", ",", "->", "select", "join", "like", "glob")
_COSTLY_IN_PROCESS = 40
_LONGEST_IN_PROCESS = 8_000  # characters of SQL
# Functions of which one call can take seconds whatever the limits: printf('%.*c', 1000000000, 'x').
_UNBOUNDED = ("printf", "format", "trim")


def run_query(database: str, sql: str, limits: Limits, distinct: bool = False) -> Table:
    """Result of `sql` on the SQLite file `database`.

    The file is opened read-only, and without locks when no journal lies beside it; the deadline holds within 0.2 s.
    With `distinct` only distinct rows count towards the limits.

    Raises:
        QueryError: The query does not run, or is not allowed.
        QueryTimeout: Out of time or memory, or a result or an intermediate value over the limits.
        DatabaseFailure: No fault of the query.
    """
    start = time.perf_counter()
    if _fits_in_process(sql):
        quick = Limits(min(limits.seconds, _SECONDS_IN_PROCESS), limits.rows, limits.bytes)
        try:
            return run_guarded(guarded_connection(database, light=True), sql, quick, distinct)
        except TooHeavy:
            pass
    left = limits.seconds - (time.perf_counter() - start)
    return _run_in_worker(database, sql, Limits(max(left, 0.01), limits.rows, limits.bytes), distinct)


def _fits_in_process(sql: str) -> bool:
    text = sql.lower()
    return (
        len(text) <= _LONGEST_IN_PROCESS
        and sum(map(text.count, _COSTLY)) <= _COSTLY_IN_PROCESS
        and not any(name in text for name in _UNBOUNDED)
    )


def _run_in_worker(database: str, sql: str, limits: Limits, distinct: bool) -> Table:
    database_version(database)
    pool = shared_pool(f"{__name__}:run_task", _WORKERS, WORKER_BYTES)
    task = {"database": database, "sql": sql, "limits": [limits.seconds, limits.rows, limits.bytes]}
    try:
        reply = pool.run(task | {"distinct": distinct}, limits.seconds + 0.05)
    except TaskTimeout as error:
        raise QueryTimeout(str(error)) from error
    except TaskFailed as error:
        raise DatabaseFailure(str(error)) from error
    if "failure" in reply:
        raise _FAILURES[reply["failure"]](reply["detail"])
    cells = ((bytes.fromhex(cell["hex"]) if isinstance(cell, dict) else cell for cell in row) for row in reply["rows"])
    return Table(reply["columns"], list(map(tuple, cells)))


_FAILURES = {cls.__name__: cls for cls in (QueryError, QueryTimeout, DatabaseFailure)}


def run_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """Handler of the worker process: `run_query` with wide limits, as JSON."""
    try:
        guarded = guarded_connection(task["database"], light=False)
        table = run_guarded(guarded, task["sql"], Limits(*task["limits"]), task["distinct"])
    except (QueryError, QueryTimeout, DatabaseFailure) as error:
        return {"failure": type(error).__name__, "detail": str(error)}
    rows = [[{"hex": cell.hex()} if isinstance(cell, bytes) else cell for cell in row] for row in table.rows]
    return {"columns": table.columns, "rows": rows}
