"""Math sources: gold extraction on made-up files of each format, and counts of the real files."""

from __future__ import annotations

import csv
import gzip
import json
import os

import pytest
from quince.data.files import read_records, take
from quince.data.maths.boxed import last_boxed
from quince.data.rows import RowError
from quince.data.sources import load_rows

needs_data = pytest.mark.skipif(not os.environ.get("QUINCE_DATA"), reason="QUINCE_DATA is unset")


def write_jsonl(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(record) + "\n" for record in records)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{7}.", "7"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{2}", "2"),
        (r"\boxed 9$", "9"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{a \\ {b}}", r"a \\ {b}"),
        (r"\boxed{3} and an unfinished \boxed{4", "3"),
        (r"\boxed{}", ""),
        (r"\boxed", None),
        ("no box", None),
    ],
)
def test_last_boxed(text, answer):
    assert last_boxed(text) == answer


@pytest.mark.parametrize(
    ("kind", "path", "record", "answer"),
    [
        ("gsm8k", "gsm8k/test.jsonl.gz", {"question": "q?", "answer": "1+1=2\n#### 1,002"}, "1002"),
        (
            "math",
            "math/test.jsonl",
            {"problem": "p", "solution": r"\boxed{x^{2}}", "type": "Algebra"},
            "x^{2}",
        ),
        ("math500", "math500/test.jsonl", {"problem": "p", "answer": r"\frac12", "level": 2}, r"\frac12"),
        ("aime24", "math_eval/aime24.jsonl", {"problem": "p", "answer": "033"}, "033"),
        ("amc23", "math_eval/amc23.jsonl", {"problem": "p", "question": "p", "answer": 27.0}, "27"),
        (
            "olympiadbench",
            "math_eval/olympiadbench.jsonl.gz",
            {"question": "q", "final_answer": ["$3$,$4$"], "unit": None},
            "3,4",
        ),
        (
            "minerva_math",
            "math_eval/minerva_math.jsonl",
            {"problem": "p", "solution": r"\boxed{4.5e33} erg"},
            "4.5e33",
        ),
        (
            "college_math",
            "math_eval/college_math.jsonl.gz",
            {"question": "q", "answer": r"$\$ 40$"},
            r"\$ 40",
        ),
    ],
)
def test_gold_of_each_benchmark(tmp_path, kind, path, record, answer):
    write_jsonl(tmp_path / path, [record])
    (row,) = load_rows(kind, split="test", root=str(tmp_path))
    assert row["answer"] == answer
    assert row["task"] == kind
    assert row["id"].startswith(f"{kind}/test/")
    question, instruction = row["prompt"][0]["content"].split("\n\n")
    assert question == record.get("question", record.get("problem"))
    assert r"\boxed{}" in instruction


def test_a_story_and_its_question_are_one_prompt(tmp_path):
    record = {"Body": "Ann has 3 pens. ", "Question": "How many pens?", "Answer": 3.0, "Type": "Addition"}
    write_jsonl(tmp_path / "math_eval/svamp.jsonl", [record])
    (row,) = load_rows("svamp", split="test", root=str(tmp_path))
    assert row["prompt"][0]["content"].startswith("Ann has 3 pens. How many pens?\n\n")
    assert row["answer"] == "3"


def test_units_and_levels_are_columns(tmp_path):
    write_jsonl(
        tmp_path / "math_eval/olympiadbench.jsonl",
        [
            {"question": "a", "final_answer": ["90"], "unit": "^{\\circ}", "answer_type": "Numerical"},
            {"question": "b", "final_answer": ["1", "2"], "unit": None, "answer_type": "Numerical"},
        ],
    )
    rows = load_rows("olympiadbench", split="test", root=str(tmp_path))
    assert [row["unit"] for row in rows] == ["^{\\circ}", ""]
    assert rows[1]["answer"] == "1,2"


def test_ids_do_not_depend_on_order_and_are_unique(tmp_path):
    records = [{"question": text, "answer": "#### 1"} for text in ("a", "b", "a")]
    write_jsonl(tmp_path / "one/gsm8k/test.jsonl", records)
    write_jsonl(tmp_path / "two/gsm8k/test.jsonl", records[::-1])
    one, two = (
        {row["id"] for row in load_rows("gsm8k", split="test", root=str(tmp_path / name))} for name in ("one", "two")
    )
    assert one == two and len(one) == 3


def test_size_draws_with_the_seed_and_keeps_order(tmp_path):
    rows = [{"id": str(number)} for number in range(50)]
    first = take(rows, 10, seed=1, where="rows")
    assert first == take(rows, 10, seed=1, where="rows") != take(rows, 10, seed=2, where="rows")
    assert first == sorted(first, key=lambda row: int(row["id"]))
    with pytest.raises(RowError, match="give 1 to 50"):
        take(rows, 51, seed=1, where="rows")


@pytest.mark.parametrize(
    "kind", ["math500", "aime24", "amc23", "olympiadbench", "minerva_math", "college_math", "svamp"]
)
def test_a_test_set_has_no_train_split(kind, tmp_path):
    with pytest.raises(RowError, match="found 'train' · one of test"):
        load_rows(kind, split="train", root=str(tmp_path))


def test_a_malformed_record_is_named_and_shown(tmp_path):
    write_jsonl(
        tmp_path / "gsm8k/train.jsonl",
        [{"question": "a", "answer": "#### 1"}, {"question": "b", "answer": "2"}],
    )
    with pytest.raises(
        RowError, match=r"train\.jsonl:2 · answer · found '2' · end it with .* record: \{'question': 'b'"
    ):
        load_rows("gsm8k", split="train", root=str(tmp_path))


def test_a_missing_file_names_what_would_do(tmp_path):
    with pytest.raises(RowError, match=r"gsm8k/train.* \.jsonl \.jsonl\.gz"):
        load_rows("gsm8k", split="train", root=str(tmp_path))


def test_a_missing_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("QUINCE_DATA", str(tmp_path / "absent"))
    with pytest.raises(RowError, match="QUINCE_DATA · found no folder"):
        load_rows("gsm8k", split="train")


def test_without_a_connection_the_local_files_are_named(monkeypatch):
    monkeypatch.delenv("QUINCE_DATA", raising=False)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RowError, match=r"hub · openai/gsm8k/main\[test\] · .* QUINCE_DATA: put one of gsm8k/test"):
        load_rows("gsm8k", split="test")


RECORDS = [{"a": "x", "b": "1"}, {"a": "y", "b": "2"}]


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz", "r.json", "r.json.gz", "r.csv", "r.csv.gz", "r.parquet"])
def test_every_format_reads_the_same_records(tmp_path, name):
    path = tmp_path / name
    if ".jsonl" in name:
        write_jsonl(path, RECORDS)
    elif ".json" in name:
        text = json.dumps(RECORDS).encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    elif ".csv" in name:
        with gzip.open(path, "wt") if name.endswith("gz") else path.open("w") as file:
            writer = csv.DictWriter(file, ["a", "b"])
            writer.writeheader()
            writer.writerows(RECORDS)
    else:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(RECORDS), path)
    assert read_records(path) == [(1, RECORDS[0]), (2, RECORDS[1])]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.jsonl", '{"a": 1}\n{"a": \n', r"r\.jsonl:2 · JSON"),
        ("r.jsonl", "[1]\n", r"r\.jsonl:1 · record · found \[1\]"),
        ("r.json", '{"a": 1}', "give a JSON list"),
        ("r.txt", "a", "format · found .txt"),
    ],
)
def test_unreadable_files_say_where(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(RowError, match=message):
        read_records(tmp_path / name)


def test_jsonl_source_reads_ready_rows(tmp_path):
    row = {"id": "1", "task": "mine", "prompt": [{"role": "user", "content": "hi"}], "answer": "2"}
    write_jsonl(tmp_path / "train.jsonl", [row])
    assert load_rows("jsonl", split="train", path="{split}.jsonl", root=str(tmp_path)) == [row]
    with pytest.raises(RowError, match="found no file"):
        load_rows("jsonl", split="test", path="{split}.jsonl", root=str(tmp_path))


@needs_data
@pytest.mark.parametrize(
    ("kind", "split", "count"),
    [
        ("gsm8k", "train", 7473),
        ("gsm8k", "test", 1319),
        ("math", "train", 7500),
        ("math", "test", 5000),
        ("math500", "test", 500),
        ("aime24", "test", 30),
        ("amc23", "test", 40),
        ("olympiadbench", "test", 675),
        ("minerva_math", "test", 272),
        ("college_math", "test", 2818),
        ("svamp", "test", 1000),
    ],
)
def test_counts_of_the_real_files(kind, split, count):
    rows = load_rows(kind, split=split)
    assert len(rows) == count
    assert sum(not row["answer"] for row in rows) == (2 if (kind, split) == ("math", "train") else 0)
