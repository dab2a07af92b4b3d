"""Spider and BIRD from made-up folders in each layout, and counts of the real files."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3

import pytest
from quince.data.rows import RowError
from quince.data.sources import load_rows
from quince.data.sql.sqlite_schema import schema_text

needs_data = pytest.mark.skipif(not os.environ.get("QUINCE_DATA"), reason="QUINCE_DATA is unset")

SCHEMA = """
CREATE TABLE club (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE "member list" (club INT, "full name" TEXT, photo BLOB, PRIMARY KEY (club, "full name"),
    FOREIGN KEY (club) REFERENCES club(id));
INSERT INTO club VALUES (1, 'Chess'), (2, NULL), (3, 'O''Neill''s'), (4, 'Go');
INSERT INTO "member list" VALUES (1, 'Ann
Lee', x'00'), (1, 'a very long name that goes on and on and on and on', x'01');
"""


def make_database(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
    return path


def write_json(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(records).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def question(db="clubs", name="question"):
    return {"db_id": db, name: "How many clubs?", "query": "SELECT count(*) FROM club"}


def test_full_schema_is_a_runnable_copy_with_examples(tmp_path):
    text = schema_text(make_database(tmp_path / "a b?.sqlite"))
    assert text == (
        "CREATE TABLE club (\n"
        "    id INTEGER, -- 1, 2\n"
        "    name TEXT, -- 'Chess', 'O''Neill''s'\n"
        "    PRIMARY KEY (id)\n"
        ");\n\n"
        'CREATE TABLE "member list" (\n'
        "    club INT, -- 1\n"
        "    \"full name\" TEXT, -- 'Ann Lee', 'a very long name that goes on and on an…'\n"
        "    photo BLOB,\n"
        '    PRIMARY KEY (club, "full name"),\n'
        "    FOREIGN KEY (club) REFERENCES club (id)\n"
        ");"
    )
    with sqlite3.connect(":memory:") as connection:
        connection.executescript(text)


def test_compact_schema_and_no_examples(tmp_path):
    database = make_database(tmp_path / "clubs.sqlite")
    assert schema_text(database, "compact") == 'club(id, name)\n"member list"(club, "full name", photo)'
    assert "Chess" not in schema_text(database, "full", 0)


def test_keywords_are_quoted(tmp_path):
    with sqlite3.connect(tmp_path / "words.sqlite") as connection:
        connection.execute('CREATE TABLE "group" ("order" INT, "current_date" TEXT, year INT)')
    assert schema_text(tmp_path / "words.sqlite", "compact") == '"group"("order", "current_date", year)'


def test_reading_a_schema_changes_nothing(tmp_path):
    database = make_database(tmp_path / "clubs.sqlite")
    before = database.read_bytes()
    schema_text(database)
    assert database.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["clubs.sqlite"]


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "clubs.sqlite").write_text("not a database, but long enough to have a header" * 9)
    with pytest.raises(RowError, match=r"clubs\.sqlite · database · found file is not a database"):
        schema_text(tmp_path / "clubs.sqlite")


@pytest.mark.parametrize(
    ("split", "questions", "database", "field"),
    [
        ("dev", "dev.json", "database/clubs/clubs.sqlite", "question"),
        ("train", "spider/train_spider.json", "spider/database/clubs/clubs.sqlite", "question"),
        ("dev", "spider/dev.json.gz", "spiderman/sqlite/clubs.sqlite", "question"),
        ("train", "spider_syn/train_spider.json.gz", "spiderman/sqlite/clubs.sqlite", "SpiderQuestion"),
    ],
)
def test_spider_layouts(tmp_path, split, questions, database, field):
    write_json(tmp_path / questions, [question(name=field)])
    path = make_database(tmp_path / database)
    (row,) = load_rows("spider", split=split, root=str(tmp_path))
    assert row["database"] == str(path.resolve())
    assert row["gold_sql"] == "SELECT count(*) FROM club"
    assert (row["id"], row["semantics"], row["db_id"]) == (f"spider/{split}/1", "spider", "clubs")
    text = row["prompt"][0]["content"]
    assert text.index("CREATE TABLE club") < text.index("Question: How many clubs?") < text.index("```sql")


def test_bird_layout_shows_the_evidence(tmp_path):
    record = {"db_id": "clubs", "question": "How many?", "evidence": "clubs are in club", "SQL": "SELECT 1"}
    write_json(tmp_path / "dev/dev.json", [record])
    make_database(tmp_path / "dev/dev_databases/clubs/clubs.sqlite")
    (row,) = load_rows("bird", split="dev", root=str(tmp_path))
    assert row["semantics"] == "bird"
    assert row["gold_sql"] == "SELECT 1"
    assert "Known facts: clubs are in club" in row["prompt"][0]["content"]


def test_compact_style_is_schema_lines_and_question(tmp_path):
    write_json(tmp_path / "dev.json", [question()])
    make_database(tmp_path / "database/clubs/clubs.sqlite")
    (row,) = load_rows("spider", split="dev", root=str(tmp_path), style="compact")
    assert row["prompt"][0]["content"].splitlines() == [
        "club(id, name)",
        '"member list"(club, "full name", photo)',
        "How many clubs?",
    ]


def test_rows_without_a_database_are_left_out_and_counted(tmp_path):
    write_json(tmp_path / "dev.json", [question(), question("gone"), question("gone"), question()])
    make_database(tmp_path / "database/clubs/clubs.sqlite")
    with pytest.warns(UserWarning, match=r"no file for 2 rows of gone \(2\); these rows are left out"):
        rows = load_rows("spider", split="dev", root=str(tmp_path))
    assert [row["id"] for row in rows] == ["spider/dev/1", "spider/dev/4"]


def test_no_database_at_all_is_an_error(tmp_path):
    write_json(tmp_path / "dev.json", [question("gone")])
    with pytest.raises(RowError, match=r"gone \(1\) · put the files at one of spider/database/<db>/<db>"):
        load_rows("spider", split="dev", root=str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "test"}, "found 'test' · one of train, dev"),
        ({"style": "long"}, "found 'long' · one of full, compact"),
        ({"example_values": -1}, "give 0 or more"),
    ],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(RowError, match=message):
        load_rows("spider", **{"split": "dev", "root": str(tmp_path), **options})


def test_a_folder_is_needed(monkeypatch):
    monkeypatch.delenv("QUINCE_DATA", raising=False)
    with pytest.raises(RowError, match="name the data folder by root or QUINCE_DATA"):
        load_rows("spider", split="dev")


def test_a_record_without_gold_is_shown(tmp_path):
    write_json(tmp_path / "dev.json", [{"db_id": "clubs", "question": "How many?"}])
    make_database(tmp_path / "database/clubs/clubs.sqlite")
    with pytest.raises(RowError, match=r"dev\.json:1 · query or SQL · .* record: \{'db_id'"):
        load_rows("spider", split="dev", root=str(tmp_path))


@needs_data
@pytest.mark.filterwarnings("ignore:data · spider")
@pytest.mark.parametrize(("split", "count", "databases"), [("dev", 972, 19), ("train", 6642, 135)])
def test_counts_of_the_real_files(split, count, databases):
    rows = load_rows("spider", split=split)
    assert len(rows) == count
    assert len({row["db_id"] for row in rows}) == databases
