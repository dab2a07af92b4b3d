"""Public passages: both forms of each set give the same kind of row, and questions stay out of the prompt."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from quince.data.rows import RowError
from quince.data.sources import load_rows

ARTICLE = {
    "title": "Tea",
    "paragraphs": [
        {
            "context": "Tea comes from Assam. It was first sold in 1823.",
            "qas": [
                {"id": "1", "question": "Where is tea from?", "answers": [{"text": "Assam", "answer_start": 15}]},
                {"id": "2", "question": "When was it sold?", "answers": [{"text": "1823", "answer_start": 43}] * 2},
                {"id": "3", "question": "Who drinks it?", "answers": []},
            ],
        }
    ],
}
MEETING = {
    "topic_list": [],
    "general_query_list": [{"query": "What was said?", "answer": "Little."}],
    "specific_query_list": [{"query": "Who spoke?", "answer": "Ann.", "relevant_text_span": [["0", "1"]]}],
    "meeting_transcripts": [{"speaker": "Ann", "content": "Let us begin ."}, {"speaker": "Bo", "content": "Fine ."}],
}
PARAGRAPH = {"text": "Ann met Bo.", "questions": []}
PARAGRAPH["questions"] = [
    {"question": "Whom did Ann meet?", "answers": [{"text": "Bo", "label": 1}, {"text": "Bob", "label": 1}]},
    {"question": "Who is Cy?", "answers": [{"text": "Bo", "label": 0}]},
]
FLAT = [
    {"paragraph": "Ann met Bo.", "question": "Whom did Ann meet?", "answer": answer, "label": label}
    for answer, label in (("Bo", 1), ("Bob", 1), ("Cy", 0))
]
CHOICE = {
    "answerKey": "B",
    "question": {"stem": "Where is #?", "choices": [{"label": "A", "text": "up"}, {"label": "B", "text": "down"}]},
}


def lines(*records):
    return "\n".join(json.dumps(record) for record in records)


@pytest.fixture
def root(tmp_path):
    texts = {
        "squad/dev-v1.1.json": json.dumps({"version": "1.1", "data": [ARTICLE]}),
        "qmsum/val.jsonl": lines(MEETING),
        "multirc/dev.jsonl": lines({"passage": PARAGRAPH}),
        "multirc/train.jsonl": lines(*FLAT),
        "boolq/dev.jsonl": lines({"question": "is it raining", "passage": "It rains.", "answer": True}),
        "longbench/triviaqa.jsonl": lines({"context": "Rome fell.", "input": "What fell?", "answers": ["Rome"]}),
        "gsm8k/test.jsonl": lines(*({"question": f"1 + {n}?", "answer": f"so\n#### {n + 1}"} for n in range(20))),
        "csqa/dev.jsonl": lines(*(json.loads(json.dumps(CHOICE).replace("#", str(n))) for n in range(20))),
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "xquad").mkdir()
    with gzip.open(tmp_path / "xquad/xquad.ru.json.gz", "wt") as file:
        json.dump({"data": [ARTICLE]}, file)
    return str(tmp_path)


CASES = {
    ("squad", "dev"): 2,
    ("xquad", "ru"): 2,
    ("qmsum", "dev"): 2,
    ("multirc", "dev"): 1,
    ("multirc", "train"): 1,
    ("boolq", "dev"): 1,
    ("triviaqa_long", "test"): 1,
    ("gsm8k_prompt", "test"): 8,
    ("csqa_prompt", "dev"): 8,
}


@pytest.mark.parametrize(("kind", "split"), CASES)
def test_a_set_gives_rows_without_questions_in_the_prompt(kind, split, root):
    row = load_rows(kind, split=split, size=1, root=root)[0]
    asked = json.loads(row["questions"])
    assert len(asked) == CASES[kind, split]
    assert row["passage"] in row["prompt"][0]["content"]
    assert str(row["budget"]) in row["prompt"][0]["content"]
    assert not any(item["question"] in row["prompt"][0]["content"] for item in asked)
    assert all(item["answer"] for item in asked)


def test_both_forms_of_multirc_are_one(root):
    rows = [load_rows("multirc", split=split, root=root)[0] for split in ("dev", "train")]
    assert rows[0]["questions"] == rows[1]["questions"]
    assert json.loads(rows[0]["questions"])[0]["accepted"] == ["Bo", "Bob"]


def test_passages_are_cut_after_whole_words(root):
    row = load_rows("squad", split="dev", root=root, max_words=4)[0]
    assert row["passage"] == "Tea comes from Assam."


def test_a_prompt_file_is_the_passage_of_every_row(root):
    Path(root, "examples.txt").write_text("Question: 1?\nAnswer: 1.\n", encoding="utf-8")
    rows = load_rows("gsm8k_prompt", split="test", size=3, root=root, examples="examples.txt", questions=4)
    assert {row["passage"] for row in rows} == {"Question: 1?\nAnswer: 1."}
    assert len({row["questions"] for row in rows}) == 3


def test_budgets_are_the_papers_and_can_be_set(root):
    budgets = {kind: load_rows(kind, split=split, size=1, root=root)[0]["budget"] for kind, split in CASES}
    assert budgets["multirc"] == budgets["csqa_prompt"] == 150
    assert (budgets["gsm8k_prompt"], budgets["triviaqa_long"]) == (350, 500)
    assert load_rows("boolq", split="dev", root=root, budget=20)[0]["budget"] == 20


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("boolq", {"split": "test"}, "split · found 'test'"),
        ("boolq", {"split": "train"}, "file · found none"),
        ("gsm8k_prompt", {"split": "test", "shots": 30}, "20 records · a row takes 38"),
        ("csqa_prompt", {"split": "dev", "examples": "no.txt"}, "examples · found no file"),
    ],
)
def test_what_cannot_be_had_is_named(kind, options, message, root):
    with pytest.raises(RowError, match=message):
        load_rows(kind, root=root, **options)


@pytest.mark.skipif("QUINCE_DATA" not in os.environ, reason="QUINCE_DATA is not set")
@pytest.mark.parametrize(
    ("kind", "split"), [("xquad", "en"), ("xquad", "ru"), ("qmsum", "dev"), ("csqa_prompt", "dev")]
)
def test_the_real_files_are_read(kind, split):
    assert all(json.loads(row["questions"]) for row in load_rows(kind, split=split, size=20))
