"""YAML to entries: YAML 1.2 scalars, line numbers, and what is refused."""

from __future__ import annotations

import pytest
from quince.recipes.config.language.reading import CoreDumper, read_overrides, read_text
from quince.recipes.config.language.tree import leaves, plain
from quince.recipes.config.loaded import as_entry


def read(text):
    tree, problems = read_text(text, "r.yaml")
    assert problems == []
    return plain(tree)


def problems_of(text):
    return [str(problem) for problem in read_text(text, "r.yaml")[1]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1E5", 1e5),
        ("-1.5e+3", -1500.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("3", 3),
        ("010", 10),
        ("1:30", "1:30"),
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("2020-01-01", "2020-01-01"),
        ("1e5x", "1e5x"),
        ("'1e-5'", "1e-5"),
        ("0x10", "0x10"),
        ("<<", "<<"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = read(f"key: {text}")["key"]
    assert found == value and type(found) is type(value)


def test_on_is_a_key():
    assert read("on: rehearsal") == {"on": "rehearsal"}


def test_entries_know_their_line():
    tree, _ = read_text("a: 1\nb:\n  c: 2\n  d:\n    - 3\n    - {e: 4}\n", "r.yaml")
    found = {".".join(path): entry.origin for path, entry in leaves(tree)}
    assert found == {"a": "r.yaml:1", "b.c": "r.yaml:3", "b.d.0": "r.yaml:5", "b.d.1.e": "r.yaml:6"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2", ["r.yaml:2", "a", "twice", "first on 1"]),
        ("a: !!python/object/apply:os.system [ls]", ["r.yaml:1", "!!python/object/apply:os.system"]),
        ("a: !!python/name:os.system", ["python/name"]),
        ("a: !mine 3", ["the tag !mine"]),
        ("a: !!binary aGk=", ["the tag !!binary"]),
        ("a: &x {b: 1}\nc: *x", ["r.yaml:1", "c", "alias"]),
        ("a: &x [*x]", ["alias"]),
        ("a: [1, 2", ["not YAML"]),
        ("a: b: c", ["r.yaml:1", "not YAML"]),
        ("\ta: 1", ["not YAML"]),
        ("- a\n- b", ["not a mapping"]),
        ("", ["empty"]),
        ("? [a, b]\n: c", ["key that is not a word"]),
        ("a: !!int x", ["r.yaml:1", "a"]),
        ("a: 1\n---\nb: 2", ["not YAML"]),
    ],
)
def test_surprises_are_problems(text, words):
    found = problems_of(text)
    assert found
    assert all(word in found[0] for word in words), found


def test_a_file_that_is_not_text_is_a_problem(tmp_path):
    from quince.recipes.config.language.reading import read_file

    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in str(read_file(path)[1][0])


def test_overrides_are_yaml_and_the_last_wins():
    tree, problems = read_overrides(["a.b=1e-5", "a.c=[1, x]", "a.b=2", "d={e: null}", "f=", "g=x=y"])
    assert problems == []
    assert plain(tree) == {"a": {"b": 2, "c": [1, "x"]}, "d": {"e": None}, "f": None, "g": "x=y"}


@pytest.mark.parametrize("text", ["a.b", "=1", "a..b=1", "a=[1", "a=!!python/name:os.system"])
def test_bad_overrides_are_problems(text):
    assert [problem.where for problem in read_overrides([text])[1]] == ["command line"]


@pytest.mark.parametrize("value", ["1e-5", "on", "1:30", "null", "3", "true", "a: b", "# x", "", 1e-5, 0.1, None, True])
def test_what_is_written_is_read_again(value):
    import yaml

    text = yaml.dump({"key": value}, Dumper=CoreDumper)
    found = read(text)["key"]
    assert found == value and type(found) is type(value)
    assert plain(as_entry({"key": [value]})) == {"key": [value]}
