"""Run one untrusted SQL query on a SQLite file that must not change.

It runs first in this process, under narrow limits and for a fraction of a second, which is enough for nearly all
queries. One that exceeds a narrow limit (slow, long, large values, many joins) runs again in a killable worker, with
wide limits and the time that is left.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..workers import TaskFailed, TaskTimeout, shared_pool
from .sqlite_guard import (
    Cell,
    DatabaseFailure,
    Limits,
    QueryError,
    QueryTimeout,
    Table,
    TooHeavy,
    database_version,
    guarded_connection,
    run_guarded,
)

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

    Args:
        database: Path of the file; opened read-only, and without locks when no journal lies beside it.
        sql: One SELECT statement.
        limits: Bounds; the deadline holds within 0.2 s.
        distinct: Keep one of equal rows, so that only distinct rows count towards the limits.

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
    return Table(reply["columns"], [tuple(map(_unpacked, row)) for row in reply["rows"]])


_FAILURES = {cls.__name__: cls for cls in (QueryError, QueryTimeout, DatabaseFailure)}


def run_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """Handler of the worker process: `run_query` with wide limits, as JSON."""
    try:
        guarded = guarded_connection(task["database"], light=False)
        table = run_guarded(guarded, task["sql"], Limits(*task["limits"]), task["distinct"])
    except (QueryError, QueryTimeout, DatabaseFailure) as error:
        return {"failure": type(error).__name__, "detail": str(error)}
    rows = [[_packed(cell) for cell in row] for row in table.rows]
    return {"columns": table.columns, "rows": rows}


def _packed(cell: Cell) -> Any:
    return {"hex": cell.hex()} if isinstance(cell, bytes) else cell


def _unpacked(cell: Any) -> Cell:
    return bytes.fromhex(cell["hex"]) if isinstance(cell, dict) else cell
