"""The rules of Spider's and BIRD's evaluations, against independent implementations of their descriptions."""

import os
import random
import re
import sqlite3
from collections import Counter
from contextlib import closing
from itertools import permutations

import pytest
from quince.data.sources import load_rows
from quince.rewards.sql_execution.semantics import reads_clock, spider_statement, statements
from quince.rewards.sql_execution.sql_reward import SqlExecution

from .sql_mutations import mutations

needs_data = pytest.mark.skipif(not os.environ.get("QUINCE_DATA"), reason="QUINCE_DATA is unset")

SCHEMA = """
CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, country TEXT, age INTEGER, weight REAL);
INSERT INTO singer VALUES (1, 'Ann', 'BG', 30, 61.5), (2, 'Bob', 'US', 30, 80), (3, 'Ann', 'US', 41, NULL),
  (4, 'Dan', 'BG', 25, 30), (5, 'Eve', NULL, 52, 52.0);
CREATE TABLE concert (id INTEGER, singer_id INTEGER, year INTEGER, title TEXT);
INSERT INTO concert VALUES (1, 1, 2014, 'x'), (2, 1, 2015, 'y'), (3, 2, 2014, 'x'),
  (4, 4, 2015, 'distinct'), (5, 4, 2014, '');
"""
GOLDS = [
    "SELECT count(*) FROM singer",
    "SELECT name , age FROM singer ORDER BY age DESC",
    "SELECT name , country FROM singer WHERE age > 26 ORDER BY age",
    "SELECT DISTINCT country FROM singer WHERE age >= 30",
    "SELECT name , age , weight FROM singer WHERE country = \"US\" OR name = 'Ann'",
    "SELECT country , count(*) FROM singer GROUP BY country ORDER BY count(*) DESC LIMIT 2",
    "SELECT T1.name , T2.title FROM singer AS T1 JOIN concert AS T2 ON T1.id = T2.singer_id WHERE T2.year = 2014",
    "SELECT T1.name FROM singer AS T1 JOIN concert AS T2 ON T1.id = T2.singer_id GROUP BY T1.id HAVING count(*) >= 2",
    "SELECT name FROM singer WHERE id NOT IN (SELECT singer_id FROM concert)",
    "SELECT avg(age) , min(age) , max(age) FROM singer WHERE country = 'BG'",
    "SELECT name FROM singer ORDER BY weight DESC LIMIT 1",
    "SELECT name FROM singer WHERE age = (SELECT age FROM singer ORDER BY age LIMIT 1)",
    "SELECT country FROM singer WHERE age > 40 INTERSECT SELECT country FROM singer WHERE age < 40",
    "SELECT age , id FROM singer WHERE age > 1000",
    "SELECT count(DISTINCT country) , count(DISTINCT title) FROM singer JOIN concert ON title != 'distinct'",
    "SELECT id , age , weight FROM singer",
]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("benchmarks") / "music.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
    return str(path)


def executed(database, sql):
    """Rows, or None where the query fails."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.text_factory = lambda raw: raw.decode(errors="ignore")
        try:
            return connection.execute(sql).fetchall()
        except (sqlite3.Error, sqlite3.Warning):
            return None


def spider_rule(database, sql, gold):
    """Bags, or lists where gold says ORDER BY, under some order of columns; DISTINCT taken out of both queries."""
    sql, gold = (_first_without_distinct(text) for text in (sql, gold))
    predicted, expected = executed(database, sql), executed(database, gold)
    if predicted is None or len(predicted) != len(expected):
        return False
    if not expected:
        return True
    width, listed = len(expected[0]), "order by" in gold.lower()
    if len(predicted[0]) != width:
        return False

    # Part of the rule: rows compared with their cells sorted as text tell 1 from 1.0 in some places.
    left, right = (
        [tuple(sorted(row, key=lambda c: str(c) + str(type(c)))) for row in t] for t in (expected, predicted)
    )
    if (left != right) if listed else (set(left) != set(right)):
        return False
    turned = ([tuple(row[i] for i in order) for row in predicted] for order in permutations(range(width)))
    return any(rows == expected if listed else Counter(rows) == Counter(expected) for rows in turned)


def _first_without_distinct(sql):
    sql = sql.replace("> =", ">=").replace("< =", "<=").replace("! =", "!=")
    parts = re.findall(
        r"'[^']*'?|\"[^\"]*\"?|--[^\n]*|/\*.*?\*/|;|\bdistinct\b|[^'\";]", sql, re.IGNORECASE | re.DOTALL
    )
    end = parts.index(";") if ";" in parts else len(parts)
    return "".join(part for part in parts[:end] if part.lower() != "distinct")


def bird_rule(database, sql, gold):
    """Equal sets of rows; a stray semicolon, which sqlite3 takes for a second statement, is let pass."""
    predicted = executed(database, re.sub(r"[;\s]+$", "", sql))
    return predicted is not None and set(predicted) == set(executed(database, gold))


RULES = {"spider": spider_rule, "bird": bird_rule}


def compared(rows, semantics, seed=0):
    """Number of mutated queries, and those whose verdict is not the rule's."""
    reward, number, different = SqlExecution(semantics=semantics, timeout_s=30.0), 0, []
    for row in rows:
        gold, rng = row["gold_sql"], random.Random(seed)
        answers = {"gold": gold, **mutations(gold, rng)}
        verdicts = reward.judge_batch([f"```sql\n{sql}\n```" for sql in answers.values()], [row] * len(answers))
        number += len(answers) - 1
        for (kind, sql), verdict in zip(answers.items(), verdicts, strict=True):
            if verdict.value != float(RULES[semantics](row["database"], sql, gold)):
                different.append((kind, sql, gold, verdict))
        assert verdicts[0].value == 1.0, verdicts[0]
    return number, different


@pytest.mark.parametrize("semantics", RULES)
def test_verdicts_are_the_rule_s_on_mutated_queries(database, semantics):
    number, different = compared([{"id": g, "database": database, "gold_sql": g} for g in GOLDS], semantics)
    assert different == []
    assert number > 250


@needs_data
@pytest.mark.filterwarnings("ignore:data · spider")
@pytest.mark.parametrize("semantics", RULES)
def test_verdicts_are_the_rule_s_on_spider_dev(semantics):
    rows = load_rows("spider", split="dev")[::5]
    number, different = compared(rows, semantics)
    assert different == []
    assert number >= 2_000


@needs_data
@pytest.mark.filterwarnings("ignore:data · spider")
@pytest.mark.parametrize("options", [{}, {"semantics": "bird"}, {"semantics": "ordered"}, {"strict": True}])
def test_gold_of_spider_dev_is_accepted_and_its_near_misses_are_not(options):
    reward, outcomes = SqlExecution(**options), Counter()
    for row in load_rows("spider", split="dev")[::5]:
        outcomes[reward.judge(reward.gold_completion(row), row).outcome] += 1
        assert all(reward.judge(miss, row).outcome == "wrong" for miss in reward.near_misses(row)), row["id"]
    assert set(outcomes) <= {"correct", "skipped"} and outcomes["skipped"] < 10
    assert not (outcomes["skipped"] and options in ({}, {"semantics": "bird"}))  # benchmarks judge every row


@pytest.mark.parametrize(
    ("gold", "answer", "spider", "bird"),
    [
        # Order: lists where gold says ORDER BY, ties included; a set has no order.
        ("SELECT name FROM singer ORDER BY age", "SELECT name FROM singer ORDER BY age DESC", 0, 1),
        ("SELECT name FROM singer ORDER BY age", "SELECT name FROM singer ORDER BY age, id DESC", 0, 1),
        ("SELECT name FROM singer", "SELECT name FROM singer ORDER BY age DESC", 1, 1),
        # Columns in another order, for all rows alike.
        ("SELECT name, age FROM singer", "SELECT age, name FROM singer", 1, 0),
        ("SELECT id, 6 - id FROM singer", "SELECT id, id FROM singer", 0, 0),
        ("SELECT id, 6 - id FROM singer", "SELECT iif(id > 3, id, 6 - id), iif(id > 3, 6 - id, id) FROM singer", 0, 0),
        # How often rows come: DISTINCT is taken out under spider, multiplicity counts; not in a set.
        ("SELECT name FROM singer", "SELECT DISTINCT name FROM singer", 1, 1),
        ("SELECT DISTINCT name FROM singer", "SELECT name FROM singer", 1, 1),
        ("SELECT name FROM singer", "SELECT name FROM singer GROUP BY name", 0, 1),
        ("SELECT count(DISTINCT name) FROM singer", "SELECT count(name) FROM singer", 1, 0),
        # Values: exact, 1 is 1.0, text is not a number.
        ("SELECT sum(0.1) FROM singer", "SELECT 0.5 + 1e-15", 0, 0),
        ("SELECT count(*) FROM singer", "SELECT 5.0", 1, 1),
        ("SELECT count(*) FROM singer", "SELECT '5'", 0, 0),
        # Empty results are equal, whatever their columns.
        ("SELECT name FROM singer WHERE 0", "SELECT 1, 2 WHERE 0", 1, 1),
        ("SELECT name FROM singer WHERE 0", "SELECT name FROM singer", 0, 0),
        # Text after the query.
        ("SELECT name FROM singer", "SELECT name FROM singer;;", 1, 1),
        ("SELECT name FROM singer;", "SELECT name FROM singer ; -- all of them", 1, 1),
        ("SELECT name FROM singer;;", "SELECT name FROM singer", 1, 1),
        ("SELECT name FROM singer", "SELECT name FROM singer; SELECT 1", 1, 0),
        ("SELECT name FROM singer WHERE age >= 30", "SELECT name FROM singer WHERE age > = 30", 1, 0),
    ],
)  # fmt: skip
def test_what_each_rule_accepts(database, gold, answer, spider, bird):
    row = {"id": "1", "database": database, "gold_sql": gold}
    values = [SqlExecution(semantics=rule).judge_batch([answer], [row])[0].value for rule in ("spider", "bird")]
    assert values == [spider, bird]


def test_keep_distinct_is_the_script_s_flag(database):
    row = {"id": "1", "database": database, "gold_sql": "SELECT name FROM singer", "semantics": "spider"}
    answer = "SELECT DISTINCT name FROM singer"
    assert SqlExecution().judge(answer, row).value == 1.0
    assert SqlExecution(keep_distinct=True).judge(answer, row).value == 0.0


def test_a_test_suite_is_judged_on_all_its_databases(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    for name, ages in (("music", "(1)"), ("music_other", "(1), (2)")):
        with closing(sqlite3.connect(folder / f"{name}.sqlite")) as connection:
            connection.executescript(f"CREATE TABLE singer (age); INSERT INTO singer VALUES {ages};")
    row = {"id": "1", "database": str(folder / "music.sqlite"), "gold_sql": "SELECT max(age) FROM singer"}
    lucky = "SELECT min(age) FROM singer"  # right on the first database only
    assert SqlExecution(semantics="spider").judge(lucky, row).value == 0.0
    assert SqlExecution(semantics="bird").judge(lucky, row).value == 1.0
    assert SqlExecution(semantics="spider").judge("SELECT age FROM singer ORDER BY 1 DESC LIMIT 1", row).value == 1.0


@pytest.mark.parametrize(
    ("sql", "first", "number"),
    [
        (
            "SELECT DISTINCT(a), 'distinct;', \"Distinct\" FROM t; SELECT 2",
            "SELECT (a), 'distinct;', \"Distinct\" FROM t",
            2,
        ),
        ("SELECT distinct_id FROM t -- a; distinct\n;;", "SELECT distinct_id FROM t -- a; distinct", 1),
        ("; /* ; */ ;", "", 0),
        ("SELECT 'open; distinct", "SELECT 'open; distinct", 1),
        ("SELECT a FROM t WHERE YEAR( CURDATE() ) = b", "SELECT a FROM t WHERE 2020= b", 1),
    ],
)
def test_statements(sql, first, number):
    assert spider_statement(sql) == first
    assert len(statements(sql)) == number
    assert len(statements("[" * 50_000 + sql)) <= number + 1  # in linear time


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("SELECT date('now')", True),
        ("SELECT strftime( '%Y' ) - year FROM t", True),
        ("SELECT DATETIME ( ), CURRENT_DATE", True),
        ("SELECT strftime('%Y', born), date(born), nowhere FROM t", False),
    ],
)
def test_queries_that_read_the_clock(sql, reads):
    assert reads_clock(sql) is reads
