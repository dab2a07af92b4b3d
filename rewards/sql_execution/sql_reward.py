"""Reward for text-to-SQL: run the query and compare its result with that of the gold query."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...data.options import Positive, PositiveFloat
from ..base import Reward, Verdict, error_verdict
from .query import run_query
from .query_text import extract_sql, fingerprint, has_top_level_order, parses
from .results import SEMANTICS, Semantics, same_result
from .sqlite_guard import DatabaseFailure, Limits, QueryError, QueryTimeout, Table, database_version, size_of

Failure = QueryError | QueryTimeout | DatabaseFailure
Result = Table | Failure


@dataclass(frozen=True)
class SqlExecution(Reward):
    """1.0 when the query returns what the gold query returns on the row's database, 0.0 when it does not.

    The query is the last ```sql block, else the last fenced block, else the whole completion. It runs
    read-only, guarded and under limits (`sql_query`). A query out of time or memory is `timeout` and not
    judged, whoever's fault it was; a gold query that fails is `error`, and one that returns nothing is
    `skipped`, because any wrong query that returns nothing would match it. Gold results are cached; in a
    batch each distinct query runs once.

    Attributes:
        timeout_s: Deadline of a predicted query, seconds. Gold queries get ten times as much.
        max_rows: Most rows of a result (distinct rows where the semantics is `set`); more is `wrong`, and
            for a gold query `error`.
        max_bytes: Most memory of a result.
        semantics: How results are compared (`sql_results.same_result`). By default the row's `semantics`;
            where that is missing too, `ordered` if the gold query has an ORDER BY at top level, else `bag`.
        permute_columns: Accept the gold columns in any order, as Spider's test suite does.
    """

    timeout_s: PositiveFloat = 5.0
    max_rows: Positive = 100_000
    max_bytes: Positive = 64 * 2**20
    semantics: Semantics | None = None
    permute_columns: bool = False
    name: ClassVar[str] = "sql_execution"
    columns: ClassVar[tuple[str, ...]] = ("database", "gold_sql")

    def __post_init__(self) -> None:
        if self.semantics is not None:
            _check_semantics(self.semantics)
        if not (self.timeout_s > 0 and self.max_rows > 0 and self.max_bytes > 0):
            raise ValueError("reward sql_execution · timeout_s, max_rows and max_bytes must be above 0")

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        return self._judge(completion, row, {})

    def judge_batch(self, completions: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
        """See the base; equal queries on one database run once."""
        ran: dict[tuple[str, str, bool], Result] = {}
        verdicts = []
        for completion, row in zip(completions, rows, strict=True):
            verdict = self._unjudgeable(row)
            if verdict is None:
                try:
                    verdict = self._judge(completion, row, ran)
                except Exception as error:
                    verdict = error_verdict(self.name, row, error)
            verdicts.append(verdict)
        return verdicts

    def canonical(self, completion: str, row: Mapping[str, Any]) -> str | None:
        """Structure of the query without names and literals: two spellings of one idiom are one solution."""
        sql = extract_sql(completion)
        return fingerprint(sql) if sql else None

    def _judge(self, completion: str, row: Mapping[str, Any], ran: dict[tuple[str, str, bool], Result]) -> Verdict:
        semantics = self._semantics(row)
        distinct = semantics == "set"
        database, gold_sql = row["database"], row["gold_sql"]
        gold = _gold_result(database, gold_sql, self._limits(10 * self.timeout_s), distinct)
        if not isinstance(gold, Table):
            return Verdict(None, "error", f"gold query: {gold}"[:200])
        if not gold.rows:
            return Verdict(None, "skipped", "the gold query returns no rows")
        sql = extract_sql(completion)
        key = (database, sql, distinct)
        if key not in ran:
            ran[key] = gold if sql == gold_sql else _result(database, sql, self._limits(self.timeout_s), distinct)
        return self._compared(gold, ran[key], sql, semantics)

    def _compared(self, gold: Table, result: Result, sql: str, semantics: Semantics) -> Verdict:
        if isinstance(result, Table):
            if same_result(gold, result, semantics, self.permute_columns):
                return Verdict(1.0, "correct")
            return Verdict(0.0, "wrong", f"{len(result.rows)} rows, gold {len(gold.rows)}")
        detail = str(result)[:200]
        if isinstance(result, QueryTimeout):
            return Verdict(None, "timeout", detail)
        if isinstance(result, DatabaseFailure):
            return Verdict(None, "error", detail)
        return Verdict(0.0, "wrong" if parses(sql, detail) else "unparseable", detail)

    def _semantics(self, row: Mapping[str, Any]) -> Semantics:
        given = self.semantics or row.get("semantics")
        if given is None:
            return "ordered" if has_top_level_order(row["gold_sql"]) else "bag"
        return _check_semantics(given)

    def _limits(self, seconds: float) -> Limits:
        return Limits(seconds, self.max_rows, self.max_bytes)


def _check_semantics(value: Any) -> Semantics:
    if value not in SEMANTICS:
        raise ValueError(f"reward sql_execution · semantics {value!r} · allowed: {', '.join(SEMANTICS)}")
    return value


def _result(database: str, sql: str, limits: Limits, distinct: bool) -> Result:
    try:
        return run_query(database, sql, limits, distinct)
    except (QueryError, QueryTimeout, DatabaseFailure) as failure:
        return failure.with_traceback(None)


@dataclass
class _GoldCache:
    """Results of gold queries, least recently used out first, bounded in bytes; failures are kept too."""

    max_bytes: int
    bytes: int = 0
    results: OrderedDict[Any, Result] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: Any) -> Result | None:
        with self.lock:
            if key in self.results:
                self.results.move_to_end(key)
            return self.results.get(key)

    def put(self, key: Any, result: Result) -> None:
        with self.lock:
            if key in self.results:  # two threads ran it at once
                return
            self.results[key] = result
            self.bytes += _cost(result)
            while self.bytes > self.max_bytes:
                self.bytes -= _cost(self.results.popitem(last=False)[1])


def _cost(result: Result) -> int:
    return 1_000 + (size_of(result.rows) if isinstance(result, Table) else 0)


_gold_cache = _GoldCache(max_bytes=256 * 2**20)


def _gold_result(database: str, sql: str, limits: Limits, distinct: bool) -> Result:
    try:
        key = (database, database_version(database), sql, limits, distinct)
    except DatabaseFailure as failure:
        return failure
    result = _gold_cache.get(key)
    if result is None:
        result = _result(database, sql, limits, distinct)
        _gold_cache.put(key, result)
    return result
