from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from quince.data.rows import RowError
from quince.data.sql import idioms as sql_idioms
from quince.data.sql.databases import QUIRKS, make_database, random_schema
from quince.data.sql.query_templates import BASE_MIXTURE, TEMPLATES, questions
from quince.data.sql.sql_fingerprint import fingerprint

SPLITS = sql_idioms.SPLITS


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> None:
    """The SQLite files go to one temporary folder for the whole module."""
    monkeypatch.setenv("QUINCE_CACHE", str(tmp_path_factory.getbasetemp() / "sql_cache"))


def run(connection: sqlite3.Connection, sql: str) -> Counter:
    return Counter(connection.execute(sql).fetchall())


def verdicts(quirks: frozenset[str], seed: int) -> dict[tuple[str, str], list[bool]]:
    """Whether each idiom is right for each question of one random database."""
    rng = random.Random(seed)
    database = make_database("d", random_schema(rng), quirks, rng)
    connection = database.connect()
    found = defaultdict(list)
    for question in questions(database.schema):
        gold = run(connection, question.fill(question.template.gold))
        for idiom in question.template.idioms:
            right = run(connection, question.fill(idiom.sql)) == gold
            found[question.template.name, idiom.name].append(right)
    return found


def test_rows_are_deterministic_and_seeded() -> None:
    first = sql_idioms.rows("train", 100, seed=3)
    assert first == sql_idioms.rows("train", 100, seed=3)
    assert first != sql_idioms.rows("train", 100, seed=4)
    assert {row["template"] for row in first} == {template.name for template in TEMPLATES}


def test_splits_are_disjoint_and_in_domain_shares_databases() -> None:
    ids = {split: {row["id"] for row in sql_idioms.rows(split)} for split in SPLITS}
    prompts = {split: {row["prompt"][0]["content"] for row in sql_idioms.rows(split)} for split in SPLITS}
    files = {split: {row["database"] for row in sql_idioms.rows(split)} for split in SPLITS}
    for one, other in (SPLITS[:2], SPLITS[1:], SPLITS[::2]):
        assert not ids[one] & ids[other]
        assert not prompts[one] & prompts[other]
    # Two quirks at once may leave a database with a handful of questions, all in one split.
    assert len(files["train"] & files["in_domain"]) >= sql_idioms.DATABASES - 2
    assert len(files["train"] | files["in_domain"]) <= sql_idioms.DATABASES
    assert not files["train"] & files["cross_domain"]


@pytest.mark.parametrize("split", SPLITS)
def test_every_gold_and_idiom_runs_on_the_file(split: str) -> None:
    for row in sql_idioms.rows(split, 60):
        connection = sqlite3.connect(f"file:{row['database']}?mode=ro", uri=True)
        gold = run(connection, row["gold_sql"])
        idioms = json.loads(row["idioms"])
        assert gold
        assert any(idiom["valid"] for idiom in idioms)
        assert all((run(connection, idiom["sql"]) == gold) == idiom["valid"] for idiom in idioms)
        connection.close()


def test_clean_data_accepts_every_idiom() -> None:
    for seed in range(20):
        assert all(all(right) for right in verdicts(frozenset(), seed).values())


@pytest.mark.parametrize("quirk", QUIRKS)
def test_a_quirk_breaks_the_idioms_it_should(quirk: str) -> None:
    totals = defaultdict(list)
    for seed in range(20):
        for key, right in verdicts(frozenset({quirk}), seed).items():
            totals[key] += right
    for template in TEMPLATES:
        for idiom in template.idioms:
            right = totals[template.name, idiom.name]
            if quirk in idiom.breaks:
                assert sum(right) < 0.3 * len(right), (template.name, idiom.name)
            else:
                assert sum(right) > 0.95 * len(right), (template.name, idiom.name)


def test_no_idiom_is_safe_and_none_is_the_gold() -> None:
    for template in TEMPLATES:
        assert 3 <= len(template.idioms) <= 5
        for idiom in template.idioms:
            assert idiom.breaks
            assert idiom.sql != template.gold


def validity(split: str) -> dict[str, float]:
    """Shares of questions on which the idiom of each rank is right, only the first, not the first, and all."""
    verdicts = [[idiom["valid"] for idiom in json.loads(row["idioms"])] for row in sql_idioms.rows(split)]
    ranked = {rank: [valid[rank] for valid in verdicts if len(valid) > rank] for rank in range(4)}
    table = {f"rank {rank}": sum(valid) / len(valid) for rank, valid in ranked.items()}
    table["first only"] = sum(valid[0] and not any(valid[1:]) for valid in verdicts) / len(verdicts)
    table["not first"] = sum(not valid[0] for valid in verdicts) / len(verdicts)
    table["all"] = sum(all(valid) for valid in verdicts) / len(verdicts)
    return table


def test_validity_rates_are_the_intended_ones() -> None:
    train, inside, across = (validity(split) for split in SPLITS)
    assert train["rank 0"] == pytest.approx(0.87, abs=0.05)
    assert train["rank 1"] == pytest.approx(0.65, abs=0.07)
    assert train["rank 2"] == pytest.approx(0.40, abs=0.07)
    assert train["rank 3"] < 0.70
    assert train["all"] == pytest.approx(0.31, abs=0.06)
    for name, share in train.items():
        assert inside[name] == pytest.approx(share, abs=0.08)
    assert across["rank 0"] == pytest.approx(0.38, abs=0.05)
    assert across["rank 1"] > 0.95
    assert across["not first"] > 0.55


def test_the_prompt_hides_the_quirks_and_is_short() -> None:
    for row in sql_idioms.rows("cross_domain", 50):
        text = row["prompt"][0]["content"]
        assert len(text.split("\n")) == 3
        assert len(text.split()) <= 25
        assert not any(quirk in text for quirk in QUIRKS)


def test_files_are_written_once_and_whole() -> None:
    path = Path(sql_idioms.rows("train", 1)[0]["database"])
    before = path.stat().st_mtime_ns
    assert path.is_absolute()
    assert sql_idioms.rows("train", 1)[0]["database"] == str(path)
    assert path.stat().st_mtime_ns == before
    assert len(list(path.parent.iterdir())) == 2 * sql_idioms.DATABASES


def test_demonstrations_follow_the_base_mixture() -> None:
    made = sql_idioms.demonstrations("train", 800, seed=1, error_rate=0.0)
    answers = {row["id"]: row["messages"][-1]["content"] for row in made}
    ranks = Counter()
    for row in sql_idioms.rows("train", 800, seed=1):
        idioms = [idiom["sql"] for idiom in json.loads(row["idioms"])]
        if len(idioms) == len(BASE_MIXTURE):
            ranks[idioms.index(answers[row["id"]])] += 1
    for rank, share in enumerate(BASE_MIXTURE):
        assert ranks[rank] / ranks.total() == pytest.approx(share, abs=0.07)
    assert sum(BASE_MIXTURE) == pytest.approx(1)


def test_mistakes_have_their_rate_and_are_mostly_wrong() -> None:
    rows = {row["id"]: row for row in sql_idioms.rows("train", 600)}
    made = sql_idioms.demonstrations("train", 600, error_rate=0.2)
    idioms = {key: [idiom["sql"] for idiom in json.loads(row["idioms"])] for key, row in rows.items()}
    mistakes = [row for row in made if row["messages"][-1]["content"] not in idioms[row["id"]]]
    assert len(mistakes) / len(made) == pytest.approx(0.2, abs=0.05)
    right = 0
    for row in mistakes:
        connection = sqlite3.connect(rows[row["id"]]["database"])
        try:
            gold = run(connection, rows[row["id"]]["gold_sql"])
            right += run(connection, row["messages"][-1]["content"]) == gold
        except sqlite3.OperationalError:
            pass
        connection.close()
    assert right / len(mistakes) < 0.25


def test_pretraining_uses_schemas_of_no_split() -> None:
    schemas = {row["prompt"][0]["content"].rpartition("\n")[0] for s in SPLITS for row in sql_idioms.rows(s)}
    pairs = {tuple(line.split("(")[0] for line in schema.split("\n")) for schema in schemas}
    made = sql_idioms.demonstrations("pretrain", 500)
    assert made == sql_idioms.demonstrations("pretrain", 500)
    for row in made:
        lines = row["messages"][0]["content"].split("\n")[:2]
        assert tuple(line.split("(")[0] for line in lines) not in pairs


def test_errors_name_the_option() -> None:
    with pytest.raises(RowError, match="split · found 'dev'"):
        sql_idioms.rows("dev")
    with pytest.raises(RowError, match="size · found 100000"):
        sql_idioms.rows("train", 100_000)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "SELECT name FROM singer WHERE id IN (SELECT singer_id FROM concert)",
            "SELECT FROM WHERE IN ( SELECT FROM )",
        ),
        ("select count( * ) from t -- limit", "SELECT COUNT ( * ) FROM"),
        (
            "SELECT rank, max(rank) FROM t WHERE x = 'NOT IN' ORDER BY 2 ASC",
            "SELECT MAX ( ) FROM WHERE ORDER BY",
        ),
        ('SELECT "group" FROM [order] AS a', "SELECT FROM"),
        ("", ""),
    ],
)
def test_fingerprint_keeps_the_structure_only(sql: str, expected: str) -> None:
    assert fingerprint(sql) == expected


def test_idioms_of_a_question_have_different_fingerprints() -> None:
    for template in TEMPLATES:
        marks = [fingerprint(idiom.sql.replace("{join}", "p JOIN c ON k")) for idiom in template.idioms]
        assert len(set(marks)) == len(marks), template.name
