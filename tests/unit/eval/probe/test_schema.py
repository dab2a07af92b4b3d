"""Schemas and values: what is read, and the one message for what cannot be."""

import json

import pytest
from quince.eval.probe.read.slot_rows import NO_OUTPUT, UNKNOWN, Placed, load, read_tables
from quince.eval.probe.read.slot_schema import Output, ProbeError, Slot, load_schema, shipped
from quince.eval.probe.read.values import ABSENT, at, output_value, slot_value

GOOD = """
name: toy
slots:
  - {name: city, path: slots.city}
  - {name: day, path: slots.day, absent: true}
outputs:
  - {name: tool, path: call.name}
"""


def written(tmp_path, text):
    file = tmp_path / "schema.yaml"
    file.write_text(text)
    return str(file)


def test_every_shipped_schema_is_valid():
    assert shipped() == ["bfcl", "function_calls", "spider", "sql"]
    for name in shipped():
        assert load_schema(name).name == name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{name: tool, path: call.name}", "{name: tool, path: call.name, comparator: sets}",
         "schema.yaml:7 · outputs[0].comparator · found 'sets' · one of exact, set, number · did you mean `set`?"),
        ("path: slots.city}", "pfad: slots.city}", "schema.yaml:4 · slots[0].path · found nothing · give this field"),
        ("path: slots.city}", "path: slots.city, knd: set}",
         "schema.yaml:4 · slots[0].knd · no such field · one of name, path, kind, normaliser, edges, absent, always"
         " · did you mean `kind`?"),
        ("path: slots.city}", "path: slots.city, kind: bucket}",
         "schema.yaml:4 · slots[0] · kind bucket with edges [] · give edges to a bucket, and only to a bucket"),
        ("name: day", "name: city", "slots · the name 'city' comes twice · give each its own"),
        ("path: call.name}", "path: call.name, relevant: [cty]}",
         "outputs.tool.relevant · found 'cty' · one of city, day · did you mean `city`?"),
        ("name: toy", "name: [toy", "not YAML"),
    ],
)  # fmt: skip
def test_a_malformed_schema_is_named_with_line_field_and_fix(tmp_path, old, new, message):
    with pytest.raises(ProbeError) as error:
        load_schema(written(tmp_path, GOOD.replace(old, new)))
    assert message in str(error.value)


def test_an_unknown_schema_names_the_shipped_ones():
    with pytest.raises(ProbeError, match="one of bfcl, function_calls, spider, sql · did you mean `spider`"):
        load_schema("spiders")


def rows_file(tmp_path, change):
    rows = [{"id": f"r{i}", "slots": {"city": "Sofia", "day": "today"}, "call": {"name": "weather"}} for i in range(20)]
    change(rows)
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def test_a_slot_missing_in_row_17_is_named(tmp_path):
    data = rows_file(tmp_path, lambda rows: rows[16]["slots"].pop("city"))
    schema = written(tmp_path, GOOD)
    with pytest.raises(ProbeError) as error:
        read_tables(load_schema(schema), load(data), file=schema)
    assert str(error.value) == (
        f"{data}:17 · slot city · found nothing at slots.city · "
        f"give it, or allow it to be missing by `absent: true` in {schema}"
    )


def test_a_comparator_that_does_not_fit_is_named(tmp_path):
    data = rows_file(tmp_path, lambda rows: None)
    schema = written(tmp_path, GOOD.replace("path: call.name}", "path: call.name, comparator: number}"))
    with pytest.raises(ProbeError) as error:
        read_tables(load_schema(schema), load(data), file=schema)
    assert str(error.value) == (
        f"{data}:1 · output tool · found 'weather' at call.name · comparator number takes a number; use comparator: "
        "exact, or another path"
    )


def test_a_missing_file_or_source_is_named():
    with pytest.raises(ProbeError, match="found no such file or source · give a file, or KIND:OPTION"):
        load("nowhere.jsonl")


def test_absent_slots_optional_outputs_and_requests_without_answers(tmp_path):
    schema = load_schema(written(tmp_path, GOOD + "  - {name: extra, path: call.extra, optional: true}\n"))
    train = [Placed("a:1", {"slots": {"city": "Rome"}, "call": {"name": "x"}})]
    test = [Placed("b:1", {"slots": {"city": "Rome"}})]
    first, second = read_tables(schema, train, test, requests=1)
    assert first.named(first.inputs[0]) == {"city": "Rome", "day": ABSENT}
    assert first.outputs.tolist() == [[0, NO_OUTPUT]]
    assert second.outputs.tolist() == [[UNKNOWN, NO_OUTPUT]]
    with pytest.raises(ProbeError, match="output tool · found nothing"):
        read_tables(schema, test)


def test_paths_go_through_json_text_and_lists():
    record = {"gold": '{"calls": [{"name": "a"}, {"name": "b"}]}'}
    assert at(record, "gold.calls.1.name") == "b"
    assert at(record, "gold.calls.*.name") == ["a", "b"]
    assert at(record, "gold.nothing.here") is None


@pytest.mark.parametrize(
    ("slot", "value", "text"),
    [
        ({"kind": "set"}, ["b", "a", "b"], "a, b"),
        ({"kind": "set"}, [], "(none)"),
        ({"kind": "bucket", "edges": [0, 1, 3]}, 2, "1 to 2"),
        ({"kind": "bucket", "edges": [0, 1, 2]}, 1, "1"),
        ({"kind": "bucket", "edges": [0, 1, 3]}, 9, "3 or more"),
        ({"kind": "bucket", "edges": [1, 3]}, ["x", "y", "z"], "3 or more"),
        ({"kind": "bucket", "edges": [1, 3]}, 0, "< 1"),
        ({"kind": "span"}, "12.5", "number"),
        ({"kind": "span"}, "a few words", "phrase"),
        ({"normaliser": ["strip", "lower"]}, " Sofia ", "sofia"),
        ({"normaliser": ["type"]}, 3, "int"),
        ({}, True, "true"),
    ],
)
def test_kinds_and_normalisers(slot, value, text):
    part = Slot(name="s", path="x", **slot)
    assert slot_value(part, {"x": value}, "f:1", "s.yaml") == text


@pytest.mark.parametrize(
    ("comparator", "left", "right", "same"),
    [
        ("exact", [1, 2], [2, 1], False),
        ("exact", {"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ("set", ["x", "y"], ["y", "x", "x"], True),
        ("number", 1.0, 1, True),
        ("number", 1.04, 1.0, True),
        ("number", 1.06, 1.0, False),
        ("number", 1.06, 1.13, True),  # further apart than the pair above, but they round to the same
        ("number", 12345678.1, 12345678.2, False),
    ],
)
def test_comparators(comparator, left, right, same):
    output = Output(name="o", path="x", comparator=comparator, tolerance=0.1 if comparator == "number" else 0.0)
    values = [output_value(output, {"x": value}, "f:1", "s.yaml") for value in (left, right)]
    assert (values[0] == values[1]) == same


def test_numbers_without_tolerance_are_the_same_only_if_equal():
    output = Output(name="o", path="x", comparator="number")
    values = [output_value(output, {"x": value}, "f:1", "s.yaml") for value in (1_000_000, 1_000_001, 1_000_001.0)]
    assert values == ["1000000", "1000001", "1000001"]
    with pytest.raises(ProbeError, match="finite"):
        output_value(output, {"x": float("inf")}, "f:1", "s.yaml")
