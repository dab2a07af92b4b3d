from __future__ import annotations

import sqlite3

import pytest
from quince.eval.engines.base import Completion
from quince.eval.measure.analyses import Analysed
from quince.eval.measure.evaluate import judge
from quince.eval.show import sql_semantics
from quince.rewards.sql_execution.sql_reward import SqlExecution

GOLD = "SELECT city FROM home"  # Sofia twice
DISTINCT, REVERSED, OTHER = "SELECT DISTINCT city FROM home", f"{GOLD} ORDER BY city DESC", "SELECT 1"


@pytest.fixture
def rows(tmp_path):
    database = tmp_path / "home.sqlite"
    with sqlite3.connect(database) as connection:
        connection.executescript("CREATE TABLE home (city); INSERT INTO home VALUES ('Sofia'), ('Varna'), ('Sofia');")
    shared = {"task": "sql", "prompt": [{"role": "user", "content": "cities?"}], "database": str(database)}
    return [shared | {"id": s, "gold_sql": GOLD, "semantics": s, "cluster": "home"} for s in ("set", "bag", "ordered")]


def evaluated(rows, samples, greedy=DISTINCT, reward=None):
    reward = reward or SqlExecution()
    answers = [[Completion(text, (i,), None, "stop") for i, text in enumerate(samples)]] * len(rows)
    best = [[Completion(greedy, (9,), None, "stop")]] * len(rows)
    problems = judge(rows, reward, answers, best)
    return problems, sql_semantics.analyse(rows, problems, reward)


def test_both_semantics_are_counted_whatever_the_suite_asks_for(rows):
    samples = [GOLD, DISTINCT, REVERSED, OTHER, "nothing"]
    problems, found = evaluated(rows, samples)
    assert [p.correct for p in problems] == [3, 2, 1]  # as the rows ask
    assert found["set"] == [[5, 3, True]] * 3
    assert found["bag"] == [[5, 2, False]] * 3
    assert found["clusters"] == ["cluster home"] * 3


def test_answers_that_follow_are_not_run_again(rows, monkeypatch):
    reward = SqlExecution()
    problems = judge(rows[1:2], reward, [[Completion(GOLD, (1,), None, "stop")]], [[]])
    asked = []
    judge_batch = SqlExecution.judge_batch
    monkeypatch.setattr(SqlExecution, "judge_batch", lambda *a: asked.extend(a[1]) or judge_batch(*a))
    found = sql_semantics.analyse(rows[1:2], problems, reward)
    assert asked == [] and found["set"] == found["bag"] == [[1, 1, None]]


def test_what_cannot_be_judged_counts_for_neither(rows):
    broken = [rows[0] | {"gold_sql": "SELECT nothing"}]
    _, found = evaluated(broken, [GOLD])
    assert found["set"] == found["bag"] == [[0, 0, None]]
    assert sql_semantics.grid("s", [Analysed("m", 0, found)]).rows[0] == ("Pass@1, set", "–")


def test_the_table_shows_what_only_a_set_accepts_and_differences(rows, tmp_path):
    first, second = (
        Analysed(name, 0, evaluated(rows, samples)[1])
        for name, samples in (("base", [DISTINCT, OTHER]), ("after", [GOLD, GOLD]))
    )
    cells = {row[0]: row[1:] for row in sql_semantics.grid("homes", [first, second]).rows}
    assert cells["Pass@1, set"][0].startswith("50.0") and cells["Pass@1, bag"][0].startswith("0.0")
    assert cells["Pass@1, set only"][0].startswith("50.0") and cells["Pass@1, set only"][1].startswith("0.0")
    assert cells["Pass@2, set"][0].startswith("100.0")
    assert cells["Pass@1, bag"][2].startswith("+100.0")
    text = sql_semantics.write_page({"homes": [first, second]}, tmp_path).read_text()
    assert "Pass@1, bag" in text and "Pass@1, bag" in sql_semantics.section("homes", [first, second])
    assert sql_semantics.tables({"homes": [first]})


def test_names_of_models_are_escaped_once(rows, tmp_path):
    _, found = evaluated(rows, [GOLD])
    suites = {"homes": [Analysed("my_base", 0, found), Analysed("<b>_", 1, found)]}
    text, page = sql_semantics.write_page(suites, tmp_path).read_text(), sql_semantics.section("homes", suites["homes"])
    assert r"| my\_base | &lt;b&gt;\_ |" in text
    assert ">my_base<" in page and ">&lt;b&gt;_<" in page
