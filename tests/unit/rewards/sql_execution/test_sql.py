import logging
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from quince.rewards.sql_execution import sql_reward as sql_module
from quince.rewards.sql_execution.semantics import extract_sql, fingerprint, has_top_level_order, parses, same_result
from quince.rewards.sql_execution.sql_reward import SqlExecution
from quince.rewards.sql_execution.sqlite_guard import Table, allowed_functions


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("sql") / "shop.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER);
        INSERT INTO item VALUES (1, 'pear', 0.1, 3), (2, 'quince', 0.2, 1), (3, 'plum', 0.3, 3), (4, 'plum', 0.4, NULL);
        CREATE TABLE empty (id INTEGER);
        CREATE TABLE odd (text TEXT);
        INSERT INTO odd VALUES (CAST(x'ff41' AS TEXT)), (CAST(x'fe41' AS TEXT));
        """
    )
    connection.close()
    return str(path)


def judged(database, gold, answer, in_row=None, **options):
    row = {"id": "1", "database": database, "gold_sql": gold, "semantics": in_row}
    [verdict] = SqlExecution(**options).judge_batch([answer], [row])
    return verdict


PLUMS = "SELECT id FROM item WHERE name = 'plum'"


@pytest.mark.parametrize(
    ("gold", "answer", "semantics", "outcome"),
    [
        (PLUMS, PLUMS, None, "correct"),
        (PLUMS, f"Thinking.\n```sql\nSELECT 1\n```\nBetter:\n```sql\n{PLUMS};\n```", None, "correct"),
        (PLUMS, "SELECT id FROM item WHERE name LIKE 'PLUM' ORDER BY id DESC", None, "correct"),  # a bag has no order
        (PLUMS, "SELECT id, name FROM item WHERE name = 'plum'", None, "wrong"),  # a column too many
        (PLUMS, "SELECT id FROM item WHERE id > 3", None, "wrong"),  # a row too few
        (PLUMS, "SELECT CAST(id AS TEXT) FROM item WHERE name = 'plum'", None, "wrong"),  # text is not a number
        (PLUMS, "SELECT id + 0.0 FROM item WHERE name = 'plum'", None, "correct"),  # 3 is 3.0
        ("SELECT name FROM item", "SELECT DISTINCT name FROM item", "bag", "wrong"),  # multiplicity
        ("SELECT name FROM item", "SELECT DISTINCT name FROM item", "set", "correct"),
        ("SELECT stock FROM item WHERE id < 4", "SELECT 3 UNION ALL SELECT 1 UNION ALL SELECT 1", "bag", "wrong"),
        ("SELECT stock FROM item WHERE id < 4", "SELECT 3 UNION ALL SELECT 1 UNION ALL SELECT 1", "spider", "wrong"),
        ("SELECT stock FROM item WHERE id < 4", "SELECT 3 UNION ALL SELECT 1 UNION ALL SELECT 1", "bird", "correct"),
        ("SELECT name FROM item", "SELECT DISTINCT name FROM item", None, "wrong"),  # the default is a bag
        ("SELECT id FROM item ORDER BY id", "SELECT id FROM item ORDER BY id DESC", None, "wrong"),  # ordered by gold
        ("SELECT id FROM item ORDER BY id", "SELECT id FROM item ORDER BY id DESC", "bag", "correct"),  # row decides
        ("SELECT id FROM item", "SELECT id FROM item ORDER BY id DESC", "ordered", "wrong"),
        ("SELECT name, id FROM item", "SELECT id, name FROM item", "bag", "wrong"),  # column order
        ("SELECT sum(price) FROM item", "SELECT 0.4 + 0.3 + 0.2 + 0.1", "bag", "correct"),  # summed in another order
        ("SELECT avg(price) FROM item", "SELECT round(avg(price), 1) FROM item", "bag", "wrong"),  # 0.25 is not 0.3
        ("SELECT stock FROM item", "SELECT ifnull(stock, 0) FROM item", "bag", "wrong"),  # NULL is not 0
        ("SELECT id FROM empty", "SELECT id FROM item WHERE 0", None, "skipped"),  # nothing would match nothing
        (PLUMS, "SELECT id FROM item WHERE name = 'plum'; SELECT 1", None, "wrong"),  # two statements
        (PLUMS, "SELECT nme FROM item", None, "wrong"),  # SQL, but no such column
        (PLUMS, "I do not know.", None, "unparseable"),
        (PLUMS, "", None, "unparseable"),
        (PLUMS, "SELECT id FROM item WHERE name = 'plum", None, "unparseable"),  # an open string
        (
            PLUMS,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n",
            None,
            "timeout",
        ),
        ("SELECT id FROM nowhere", PLUMS, None, "error"),  # a gold query that fails says nothing about the answer
        ("SELECT text FROM odd", "SELECT text FROM odd ORDER BY 1", "bag", "correct"),  # text that is not UTF-8
        ("SELECT text FROM odd", "SELECT x'ff41' FROM odd", "bag", "wrong"),
    ],
)
def test_table_of_answers(database, gold, answer, semantics, outcome):
    verdict = judged(database, gold, answer, semantics, timeout_s=0.3)
    assert verdict.outcome == outcome, verdict
    assert verdict.value == {"correct": 1.0, "wrong": 0.0, "unparseable": 0.0, "timeout": 0.0}.get(outcome)


def test_the_reward_s_semantics_wins_over_the_row_s(database):
    gold, answer = "SELECT name FROM item", "SELECT DISTINCT name FROM item"
    assert judged(database, gold, answer, "bag", semantics="set").outcome == "correct"


def test_columns_may_be_permuted_on_request(database):
    gold, answer = "SELECT name, id FROM item", "SELECT id, name FROM item"
    assert judged(database, gold, answer, "bag", permute_columns=True).outcome == "correct"
    crossed = "SELECT 5 - id, name FROM item"  # each column has the right values, but no row fits
    assert judged(database, gold, crossed, "bag", permute_columns=True).outcome == "wrong"


def test_any_of_several_gold_queries_is_accepted(database):
    golds = ["SELECT min(id) FROM item WHERE name = 'plum';", "SELECT max(id) FROM item WHERE name = 'plum'"]
    answers = ["SELECT 3", "SELECT 4", "SELECT 1"]
    assert [judged(database, golds, answer).value for answer in answers] == [1.0, 1.0, 0.0]
    broken, empty = "SELECT id FROM nowhere", "SELECT id FROM empty"
    assert [judged(database, [broken, empty, golds[1]], answer).value for answer in answers] == [0.0, 1.0, 0.0]
    assert judged(database, [empty, broken], "SELECT 3").outcome == "error"
    assert judged(database, [empty, empty], "SELECT 3").outcome == "skipped"
    assert judged(database, [" "], "SELECT 3").outcome == judged(database, "", "").outcome == "skipped"


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        # 3 and 1 are tied by stock, NULL comes first.
        ("SELECT id FROM item ORDER BY stock", ["SELECT id FROM item ORDER BY stock, id DESC"], [4, 2, 3]),
        ("SELECT name AS n, stock FROM item ORDER BY 2, 1", ["SELECT name, stock FROM item ORDER BY stock, name"], []),
        (
            "SELECT name, count(*) AS n FROM item GROUP BY name ORDER BY n",
            ["SELECT name, count(*) FROM item GROUP BY name ORDER BY 2, name DESC"],
            [],
        ),
        (
            "SELECT DISTINCT stock FROM item ORDER BY stock",
            ["SELECT stock FROM item GROUP BY 1 ORDER BY 1"],
            [3, 1, None],
        ),
        (
            "SELECT name FROM item UNION ALL SELECT 'PLUM' ORDER BY name COLLATE NOCASE",
            ["SELECT name FROM (SELECT 'PLUM' AS name UNION ALL SELECT name FROM item) ORDER BY lower(name)"],
            [],
        ),
        # Ties at a LIMIT: any of the rows that are equal there, but each only once, and none of the others.
        ("SELECT id FROM item ORDER BY stock LIMIT 3", ["SELECT 4 UNION ALL SELECT 2 UNION ALL SELECT 3"], [4, 2, 2]),
        ("SELECT id FROM item ORDER BY stock DESC LIMIT 1", ["SELECT 1", "SELECT 3"], [2]),
        ("SELECT id FROM item ORDER BY stock LIMIT 1 OFFSET 2", ["SELECT 1", "SELECT 3"], [4]),
        ("SELECT id FROM item ORDER BY stock LIMIT 2, 1", ["SELECT 1", "SELECT 3"], [2]),
        ("SELECT id FROM item ORDER BY name COLLATE NOCASE DESC", [], [2, 3, 4]),
    ],
)
def test_ties_under_ordered(database, gold, right, wrong):
    for answer in (gold, *right):
        assert judged(database, gold, answer, "ordered").outcome == "correct", answer
    if wrong:
        listed = " UNION ALL ".join(f"SELECT {'NULL' if value is None else value}" for value in wrong)
        assert judged(database, gold, listed, "ordered").outcome == "wrong"
    turned = f"SELECT * FROM ({gold}) LIMIT -1 OFFSET 1"
    assert judged(database, gold, turned, "ordered").outcome == "wrong"


@pytest.mark.parametrize("semantics", ["spider", "bird", "set", "bag", "ordered", None])
def test_strict_never_pays_for_a_wrong_direction_nor_for_nothing(database, semantics):
    for gold in ("SELECT id FROM item ORDER BY id", "SELECT name, id FROM item WHERE id > 1 ORDER\nBY price"):
        answers = [gold, f"{gold} ASC;", f"{gold} DESC"]
        values = [judged(database, gold, answer, semantics, strict=True).value for answer in answers]
        assert values == [1.0, 1.0, 0.0]
    nothing = "SELECT id FROM empty"
    assert judged(database, nothing, nothing, semantics, strict=True).outcome == "skipped"


def test_an_endless_answer_is_worth_less_than_a_right_one_and_an_endless_gold_nothing(database):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    assert judged(database, PLUMS, endless, timeout_s=0.05).value == 0.0
    verdict = judged(database, endless, PLUMS, timeout_s=0.02)
    assert (verdict.value, verdict.outcome) == (None, "error")
    assert verdict.detail.startswith("gold query of row 1: ")


@pytest.mark.parametrize("semantics", ["spider", "bird", "set", "bag", "ordered", None])
@pytest.mark.parametrize("gold", [PLUMS, f"{PLUMS} ORDER BY id DESC; -- latest first", ["SELECT 1", "SELECT 2"]])
def test_gold_is_accepted_and_near_misses_are_not(database, gold, semantics):
    row = {"id": "1", "database": database, "gold_sql": gold, "semantics": semantics}
    reward = SqlExecution()
    assert reward.judge(reward.gold_completion(row), row).outcome == "correct"
    misses = reward.near_misses(row)
    assert len(misses) >= 2
    assert [reward.judge(miss, row).outcome for miss in misses] == ["wrong"] * len(misses)


def test_a_gold_query_that_reads_the_clock_runs_again(database, monkeypatch):
    row = {"id": "1", "database": database, "gold_sql": "SELECT strftime('%s', 'now')"}
    assert SqlExecution().judge("SELECT CAST(unixepoch('now') AS TEXT)", row).outcome == "correct"
    ran, later = [], time.time() + 5
    original = sql_module.run_query
    monkeypatch.setattr(sql_module, "run_query", lambda *a: ran.append(a[1]) or original(*a))
    monkeypatch.setattr(sql_module.time, "time", lambda: later)
    SqlExecution().judge("SELECT 1", row)
    assert ran == [row["gold_sql"], "SELECT 1"]


def test_pure_functions_of_this_sqlite_are_allowed_and_no_others(database):
    with closing(sqlite3.connect(":memory:")) as connection:
        found = connection.execute("SELECT DISTINCT name, builtin, type, flags FROM pragma_function_list").fetchall()
    for name, builtin, kind, flags in found:
        pure = builtin and not flags & 0x80000 and (kind in "aw" or flags & 0x800) and name != "sqlite_log"
        if pure or name not in {other for other, _, k, f in found if k in "aw" or f & 0x800}:
            assert (name in allowed_functions()) == bool(pure or name.startswith("current_")), name
    calls = [
        "soundex('quince')",
        "json_patch('{}', '{}')",
        "acos(1)",
        "degrees(pi())",
        "quote(zeroblob(2))",
        "subtype(1)",
    ]
    clocks = ["current_timestamp", "current_date", "current_time", "date('now')", "datetime()", "julianday('now') > 1"]
    for call in (*calls, *clocks):
        assert judged(database, f"SELECT {call} IS NULL", f"SELECT {call} ISNULL").outcome == "correct", call
    for call in ("random()", "randomblob(2)", "sqlite_log(1, 'x')", "load_extension('x')", "fts3_tokenizer('simple')"):
        verdict = judged(database, "SELECT 1", f"SELECT {call}")
        assert verdict.outcome == "wrong" and "not authorized" in verdict.detail, call


def test_a_missing_database_is_an_error_not_a_zero(tmp_path):
    verdict = judged(str(tmp_path / "none.sqlite"), "SELECT 1", "SELECT 1")
    assert (verdict.value, verdict.outcome) == (None, "error")
    assert list(tmp_path.iterdir()) == []


def test_a_broken_database_is_an_error_not_a_zero(tmp_path):
    path = tmp_path / "broken.sqlite"
    path.write_bytes(b"not a database" * 100)
    assert judged(str(path), "SELECT 1 FROM t", "SELECT 2").outcome == "error"


def test_too_many_rows_are_wrong_and_counted_distinct_for_sets(database):
    cross = "SELECT a.name FROM item a, item b, item c"
    verdict = judged(database, PLUMS, cross, "bag", max_rows=10)
    assert (verdict.value, verdict.outcome) == (0.0, "timeout")
    assert judged(database, "SELECT name FROM item", cross, "set", max_rows=10).outcome == "correct"


def test_each_distinct_query_runs_once_a_batch_and_gold_once_ever(database, monkeypatch):
    ran = []
    original = sql_module.run_query
    monkeypatch.setattr(sql_module, "run_query", lambda *a: ran.append(a[1]) or original(*a))
    rows = [{"database": database, "gold_sql": "SELECT id FROM item -- counted", "semantics": "bag"}] * 6
    answers = ["SELECT 1", "SELECT id FROM item", "SELECT 1", "SELECT id FROM item -- counted", "SELECT 1", "SELECT 2"]
    for _ in range(2):
        SqlExecution().judge_batch(answers, rows)
    assert ran == ["SELECT id FROM item -- counted", *["SELECT 1", "SELECT id FROM item", "SELECT 2"] * 2]


def test_a_changed_database_is_read_again(tmp_path):
    path = tmp_path / "changing.sqlite"
    for value in (1, 2):
        path.unlink(missing_ok=True)
        connection = sqlite3.connect(path)
        connection.executescript(f"CREATE TABLE t (a); INSERT INTO t VALUES ({value});")
        connection.close()
        assert judged(str(path), "SELECT a FROM t", f"SELECT {value}").outcome == "correct"


def test_write_ahead_log_is_read_and_leaves_no_files(tmp_path):
    path = tmp_path / "wal.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode=wal; CREATE TABLE t (a); INSERT INTO t VALUES (7);")
    assert judged(str(path), "SELECT a FROM t", "SELECT 7").outcome == "correct"  # still in the log
    connection.close()
    before = sorted(tmp_path.iterdir())
    assert judged(str(path), "SELECT a FROM t", "SELECT 7").outcome == "correct"
    assert sorted(tmp_path.iterdir()) == before


def test_many_threads(database):
    reward, row = SqlExecution(), {"database": database, "gold_sql": PLUMS}
    outcomes = []

    def work():
        outcomes.extend(reward.judge("SELECT id FROM item WHERE id > 2", row).outcome for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["correct"] * 200


@pytest.mark.parametrize(
    ("completion", "sql"),
    [
        ("SELECT 1", "SELECT 1"),
        ("```sql\nSELECT 1;\n```", "SELECT 1;"),
        ("```\nSELECT 1\n```", "SELECT 1"),
        ("```SELECT 1```", "SELECT 1"),
        ("```sql SELECT 1```", "SELECT 1"),
        ("```SQLite\nSELECT 1\n```", "SELECT 1"),
        ("```sql\nSELECT 1\n```\n```python\nprint()\n```", "SELECT 1"),  # SQL blocks come first
        ("```python\nprint()\n```\n```\nSELECT 1\n```", "SELECT 1"),
        ("```sql\nSELECT 1", "SELECT 1"),  # the closing fence was cut off
        ("<think>```sql\nSELECT 1\n```</think>\n```sql\nSELECT 2\n```", "SELECT 2"),
        ("<think>```sql\nSELECT 1\n```</think>SELECT 2", "SELECT 2"),
        ("<think>It is ```sql\nSELECT 1\n```, or", ""),  # a thought that never ended
    ],
)
def test_extraction(completion, sql):
    assert extract_sql(completion) == sql


@pytest.mark.parametrize(
    ("sql", "ordered"),
    [
        ("SELECT a FROM t ORDER BY a", True),
        ("SELECT a FROM t UNION SELECT b FROM t ORDER BY 1", True),
        ("SELECT a FROM (SELECT a FROM t ORDER BY a LIMIT 3)", False),
        ("SELECT 'order by' FROM t", False),
        ("SELECT rank() OVER (ORDER BY a) FROM t", False),
        ("SELECT a FROM t WHERE a NOTNULL COLLATE x y z (ORDER BY", True),  # unreadable: by its words
    ],
)
def test_top_level_order(sql, ordered):
    assert has_top_level_order(sql) is ordered


def test_fingerprint_is_the_idiom():
    spellings = [
        "SELECT name FROM item WHERE id NOT IN (SELECT id FROM empty)",
        'select T1."name" as n from item as T1 where T1.stock  not in (select e.id from empty e) -- no',
    ]
    others = [
        "SELECT name FROM item LEFT JOIN empty ON item.id = empty.id WHERE empty.id IS NULL",
        "SELECT name FROM item EXCEPT SELECT name FROM item WHERE id IN (SELECT id FROM empty)",
        "WITH e AS (SELECT id FROM empty) SELECT name FROM item WHERE id NOT IN (SELECT id FROM e)",
        "not SQL at all (",
        "SELECT " + "(" * 500,
    ]
    assert len({fingerprint(sql) for sql in spellings}) == 1
    assert len({fingerprint(sql) for sql in spellings + others}) == 1 + len(others)


@pytest.mark.parametrize("semantics", ["set", "bag", "ordered"])
def test_float_noise_does_not_disturb_the_pairing(semantics):
    noisy = Table(2, [(0.1 + 0.2, 5), (0.3, 1), (1e-17, 2), (None, 3), (float("inf"), 4)])
    clean = Table(2, [(0.3, 5), (0.3, 1), (0.0, 2), (None, 3), (float("inf"), 4)])
    moved = Table(2, clean.rows[::-1])
    assert same_result(clean, noisy, semantics)
    assert same_result(moved, noisy, semantics) is (semantics != "ordered")
    assert not same_result(Table(2, [(0.3, 5), (0.300001, 1), *clean.rows[2:]]), noisy, semantics)


def test_an_unknown_statement_is_no_news(caplog):
    assert not parses("GRANT shop TO everybody", "near GRANT: syntax error")
    assert caplog.records == []
    logging.getLogger("sqlglot").warning("something else")
    assert [record.getMessage() for record in caplog.records] == ["something else"]
