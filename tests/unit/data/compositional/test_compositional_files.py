"""The reference's file format, both ways."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from quince.data.compositional.files import folder_name, read_reference, write_reference
from quince.data.compositional.generate import CompositionError, Task, generate

TASKS = [
    (Task("two_hop", 8, 120), "direct", "twohop.8.120.diff-f12.inf"),
    (Task("two_hop", 8, 120, tables="same_f12"), "cot", "twohop.8.120.same-f12.cot"),
    (Task("parallel", 5, 100), "filler", "parallel2hop.5.100.diff-f123.fakebridge"),
    (Task("three_hop", 5, 100), "cot", "threehop.5.100.diff-f123.cot"),
    (Task("five_hop", 6, 300), "cot", "fivehop.6.300.cot"),
    (Task("non_tree", 6, 60), "direct", "nontree.6.60.diff-f12.inf"),
]


@pytest.mark.parametrize(("task", "target", "name"), TASKS, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_written_is_read(task, target, name, tmp_path):
    data = generate(task)
    folder = write_reference(data, target, tmp_path)
    assert folder.name == name == folder_name(task, target)
    read, read_target = read_reference(folder)
    assert (read.task, read_target) == (task, target)
    assert read.metadata() == data.metadata()
    for kind, rows in data.test.items():
        assert np.array_equal(read.test[kind].inputs, rows.inputs)
        assert np.array_equal(read.test[kind].results, rows.results)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(data.used, read.used, strict=True))


def test_items_look_like_the_reference(tmp_path):
    folder = write_reference(generate(Task("two_hop", 8, 120)), "filler", tmp_path)
    train = json.loads((folder / "train.json").read_text())
    item = train[0]
    assert item["input_text"].count("<t_") == 3
    assert item["target_text"].startswith(item["input_text"] + "</b><t_")
    assert item["target_text"].endswith("</a>")
    test = json.loads((folder / "test.json").read_text())
    assert {item["type"] for item in test} == {"train_inferred", "type_0", "type_1", "type_2", "type_3"}
    assert json.loads((folder / "vocab.json").read_text())[-2:] == ["</b>", "</a>"]


def test_a_folder_without_metadata_is_read_by_its_name(tmp_path):
    data = generate(Task("two_hop", 8, 120))
    folder = write_reference(data, "direct", tmp_path)
    for name in ("metadata", "validation"):
        (folder / f"{name}.json").unlink()
    packed = (folder / "train.json").read_bytes()
    (folder / "train.json").unlink()
    (folder / "train.json.gz").write_bytes(gzip.compress(packed))
    read, target = read_reference(folder)
    assert (read.task.family, read.task.values, read.task.rows, target) == ("two_hop", 8, 120, "direct")
    assert np.array_equal(read.train.results, data.train.results)
    assert len(read.validation) == 0


def test_a_wrong_answer_or_shape_is_named(tmp_path):
    folder = write_reference(generate(Task("two_hop", 8, 120)), "direct", tmp_path)
    train = json.loads((folder / "train.json").read_text())
    answer = train[17]["target_text"]
    for text, word in (
        (answer.replace("</a>", "<t_1></a>"), "3 inputs and 1 values"),
        (train[17]["input_text"], "item 17"),
    ):
        train[17]["target_text"] = text
        (folder / "train.json").write_text(json.dumps(train))
        with pytest.raises(CompositionError, match="item 17") as failure:
            read_reference(folder)
        assert word in str(failure.value)
    other = (int(answer.split("<t_")[-1].split(">")[0]) + 1) % 8
    train[17]["target_text"] = f"{train[17]['input_text']}<t_{other}></a>"
    (folder / "train.json").write_text(json.dumps(train))
    with pytest.raises(CompositionError, match=f"answer {other}, the tables say"):
        read_reference(folder)
    with pytest.raises(CompositionError, match="does not say what it holds"):
        read_reference(tmp_path)


@pytest.mark.skipif("QUINCE_DATA" not in os.environ, reason="needs QUINCE_DATA/coverage_reference")
@pytest.mark.parametrize(("values", "rows", "held_out"), [(20, 1600, 830), (50, 10000, 2000)])
def test_the_reference_s_own_folders(values, rows, held_out, tmp_path):
    source = Path(os.environ["QUINCE_DATA"]) / "coverage_reference" / f"twohop.{values}.{rows}.diff-f12.inf"
    folder = tmp_path / source.name
    folder.mkdir()
    for file in source.glob("*.json.gz"):
        name = file.name.replace("test_annotated_full_k1", "test")
        (folder / name).write_bytes(file.read_bytes())
    data, target = read_reference(folder)
    assert (data.task.values, len(data.train), len(data.test[0]), target) == (values, rows, held_out, "direct")
    assert all(table.min() >= 0 for table in data.tables)
