"""Reward for text-to-SQL: run the query and compare its result with that of the gold query."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from ...data.options import Positive, PositiveFloat
from ..base import Reward, Verdict
from .semantics import (
    BENCHMARKS,
    DISTINCT,
    SEMANTICS,
    Ranking,
    Semantics,
    extract_sql,
    fingerprint,
    has_top_level_order,
    only_statement,
    parses,
    ranked,
    reads_clock,
    same_result,
    spider_statement,
)
from .sqlite_guard import DatabaseFailure, Limits, QueryError, QueryTimeout, Table, database_version, run_query, size_of

Failure = QueryError | QueryTimeout | DatabaseFailure
Result = Table | Failure
Ran = dict[tuple[Any, ...], Result]

_PREFERRED = ("timeout", "wrong", "unparseable", "error", "skipped")


@dataclass(frozen=True)
class SqlExecution(Reward):
    """1.0 when the query returns what the gold query returns on the row's database, 0.0 when it does not.

    The query is the last ```sql block, else the last fenced block, else the whole completion. It runs read-only and
    under limits (`query`); one that runs into a limit is `timeout` and worth 0.0. A gold query that fails is `error`,
    with the row's id. Where `gold_sql` is a list, any of its queries is right. Gold results are cached; in a batch
    each distinct query runs once.

    How results are compared (details in `semantics.same_result`):

    - `spider`: the test-suite rule with the script's default flags. DISTINCT is taken out of both queries, results are
      lists if the gold query says ORDER BY anywhere and bags otherwise, and columns may be in any order. A database
      `<db>/<db>.sqlite` is judged together with the other SQLite files of its folder. The script's `--plug_value`,
      which puts gold values into the prediction, is not offered.
    - `bird`: equal sets of rows; semicolons and comments after the query are accepted.
    - `set`, `bag`, `ordered`: rows as a set, as a bag, or as a list in which rows with equal sort keys may change
      places. A gold query that returns nothing makes its row `skipped`: any wrong query that returns nothing would
      match it. The benchmarks judge such rows.

    Attributes:
        timeout_s: Deadline of a predicted query, seconds. Gold queries get ten times as much.
        max_rows: Most rows of a result (distinct rows under `set` and `bird`).
        max_bytes: Most memory of a result.
        semantics: One of the above. By default the row's `semantics`; where that is missing too, `ordered` if the
            gold query has an ORDER BY at top level, else `bag`.
        permute_columns: Accept the gold columns in any order; of no effect under `spider` and `bird`.
        keep_distinct: Leave DISTINCT in under `spider`, as the script's `--keep_distinct` does.
        strict: For training. Where the gold query has an ORDER BY at top level, `set`, `bag` and `bird` become
            `ordered`, so that a wrong direction is wrong; and empty gold results are skipped under every semantics.
    """

    timeout_s: PositiveFloat = 5.0
    max_rows: Positive = 100_000
    max_bytes: Positive = 64 * 2**20
    semantics: Semantics | None = None
    permute_columns: bool = False
    keep_distinct: bool = False
    strict: bool = False
    name: ClassVar[str] = "sql_execution"
    columns: ClassVar[tuple[str, ...]] = ("database", "gold_sql")
    optional: ClassVar[tuple[str, ...]] = ("semantics",)
    patience_s: ClassVar[float] = 3600.0  # the queries have deadlines of their own

    def __post_init__(self) -> None:
        if self.semantics is not None:
            _check_semantics(self.semantics)
        if not (self.timeout_s > 0 and self.max_rows > 0 and self.max_bytes > 0):
            raise ValueError("reward sql_execution · timeout_s, max_rows and max_bytes must be above 0")

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """Judge one completion, as the class says."""
        return self._judge(completion, row, {})

    def judge_batch(self, completions: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
        """Judge completions in order; equal queries on one database run once."""
        judge = partial(self._judge, ran={})
        return [self._settled(row, partial(judge, answer, row)) for answer, row in zip(completions, rows, strict=True)]

    def canonical(self, completion: str, row: Mapping[str, Any]) -> str | None:
        """Structure of the query without names and literals: two spellings of one idiom are one solution."""
        sql = extract_sql(completion)
        return fingerprint(sql) if sql else None

    def gold_completion(self, row: Mapping[str, Any]) -> str | None:
        """The first gold query in a code block."""
        golds = _golds(row)
        return _block(golds[0]) if golds else None

    def near_misses(self, row: Mapping[str, Any]) -> list[str]:
        """The gold result with a column too many, without its rows, and (unless rows are a set) without its first."""
        query = only_statement(next(iter(_golds(row)), ""))
        rule = self._rule(query, row)
        gold = self._gold(row["database"], query, rule)
        if not isinstance(gold, Table) or not gold.rows:
            return []
        misses = [f"SELECT *, 1 FROM (\n{query}\n)", f"SELECT * FROM (\n{query}\n) LIMIT 0"]
        misses += [] if rule in DISTINCT else [f"SELECT * FROM (\n{query}\n) LIMIT -1 OFFSET 1"]
        return [_block(miss) for miss in misses]

    def _judge(self, completion: str, row: Mapping[str, Any], ran: Ran) -> Verdict:
        best = Verdict(None, "skipped", "the row has an empty gold_sql")
        for gold in _golds(row):
            verdict = self._judge_by(gold, extract_sql(completion), row, ran)
            if verdict.outcome == "correct":
                return verdict
            best = min(verdict, best, key=lambda found: _PREFERRED.index(found.outcome))
        return best

    def _judge_by(self, gold_sql: str, sql: str, row: Mapping[str, Any], ran: Ran) -> Verdict:
        """Verdict by one gold query, on all databases of the row."""
        rule = self._rule(gold_sql, row)
        rewritten = (spider_statement(query, self.keep_distinct) for query in (gold_sql, sql))
        gold_sql, sql = rewritten if rule == "spider" else (only_statement(gold_sql), only_statement(sql))
        databases = _suite(row["database"]) if rule == "spider" else [row["database"]]
        golds: list[Table] = []
        for database in databases:
            gold = self._gold(database, gold_sql, rule)
            if not isinstance(gold, Table):
                return Verdict(None, "error", f"gold query of row {row.get('id', '?')}: {gold}"[:200])
            golds.append(gold)
        if (self.strict or rule not in BENCHMARKS) and not any(gold.rows for gold in golds):
            return Verdict(None, "skipped", "the gold query returns no rows")
        for database, gold in zip(databases, golds, strict=True):
            key = (database, sql, rule in DISTINCT, _moment(sql))
            if key not in ran:
                ran[key] = gold if sql == gold_sql else _result(database, sql, self._limits(1), rule in DISTINCT)
            result = ran[key]
            if not isinstance(result, Table):
                return self._failed(result, sql)
            if not self._same(gold, result, rule, database, gold_sql):
                return Verdict(0.0, "wrong", f"{len(result.rows)} rows, gold {len(gold.rows)}")
        return Verdict(1.0, "correct")

    def _same(self, gold: Table, result: Table, rule: Semantics, database: str, gold_sql: str) -> bool:
        permute, listed = self.permute_columns, "order by" in gold_sql.lower()
        listed = listed or (self.strict and has_top_level_order(gold_sql))  # ORDER and BY on two lines
        if same_result(gold, result, rule, permute_columns=permute, listed=listed):
            return True
        if rule != "ordered" or len(gold.rows) != len(result.rows):
            return False
        ranking = self._ranking(database, gold_sql, gold)
        return ranking is not None and same_result(gold, result, rule, permute_columns=permute, ranking=ranking)

    def _failed(self, failure: Failure, sql: str) -> Verdict:
        detail = str(failure)[:200]
        if isinstance(failure, QueryTimeout):
            return self.over_limit(detail)
        if isinstance(failure, DatabaseFailure):
            return Verdict(None, "error", detail)
        return Verdict(0.0, "wrong" if parses(sql, detail) else "unparseable", detail)

    def _ranking(self, database: str, gold_sql: str, gold: Table) -> Ranking | None:
        """Which rows may change places, if the rewritten query can be trusted to say so."""
        query = ranked(gold_sql)
        table = self._gold(database, query[0], "ordered") if query else None
        if query is None or not isinstance(table, Table) or table.columns != gold.columns + 1:
            return None
        ranking = Ranking(table.rows, query[1])
        return ranking if ranking.allows(gold.rows) else None

    def _gold(self, database: str, sql: str, rule: Semantics) -> Result:
        limits, distinct = self._limits(10), rule in DISTINCT
        try:
            key = (database, database_version(database), sql, limits, distinct, _moment(sql))
        except DatabaseFailure as failure:
            return failure
        return _gold_cache.get(key) or _gold_cache.put(key, _result(database, sql, limits, distinct))

    def _rule(self, gold_sql: str, row: Mapping[str, Any]) -> Semantics:
        given = self.semantics or row.get("semantics")
        ordered = has_top_level_order(only_statement(gold_sql))
        if given is None or (self.strict and ordered and given in ("set", "bag", "bird")):
            return "ordered" if ordered else _check_semantics(given or "bag")
        return _check_semantics(given)

    def _limits(self, times: float) -> Limits:
        return Limits(times * self.timeout_s, self.max_rows, self.max_bytes)


def _golds(row: Mapping[str, Any]) -> list[str]:
    """The gold queries of a row: one, or several of which any is right."""
    gold = row["gold_sql"]
    return [sql for sql in ([gold] if isinstance(gold, str) else gold) if sql.strip()]


def _block(sql: str) -> str:
    return f"```sql\n{sql}\n```"


def _suite(database: str) -> list[str]:
    """The databases of a test suite: `<db>/<db>.sqlite` first, then the other SQLite files of its folder."""
    path = Path(database)
    if path.parent.name != path.stem:
        return [database]
    return [database, *sorted(str(other) for other in path.parent.glob("*.sqlite") if other.name != path.name)]


def _moment(sql: str) -> int:
    """What separates runs of a query that reads the clock: seconds, so that gold and answer see one day."""
    return int(time.time()) if reads_clock(sql) else 0


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

    def put(self, key: Any, result: Result) -> Result:
        with self.lock:
            if key not in self.results:  # else two threads ran it at once
                self.results[key] = result
                self.bytes += _cost(result)
            while self.bytes > self.max_bytes:
                self.bytes -= _cost(self.results.popitem(last=False)[1])
        return result


def _cost(result: Result) -> int:
    return 1_000 + (size_of(result.rows) if isinstance(result, Table) else 0)


_gold_cache = _GoldCache(max_bytes=256 * 2**20)
