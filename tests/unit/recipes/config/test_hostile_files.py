"""Files that are no recipe: one message that names what is wrong, at once, and nothing that follows from it."""

from __future__ import annotations

import time

import pytest
from quince.recipes.config import RecipeErrors, load_recipe
from quince.recipes.config.language.reading import LONGEST

CHILD = "extends: rlvr/tiny_grpo.yaml\n"


def problems(text, tmp_path, *overrides):
    path = tmp_path / "r.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RecipeErrors) as caught:
        load_recipe(str(path), overrides)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: [1]\n", "kind · found a list of 1"),
        ("kind: {a: 1}\n", "kind · found a mapping with a"),
        ("kind: 3\n", "kind · found 3"),
        ("kind: rlvr\ndata: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        ("kind: rlvr\ndata: " + "[" * 3000, "nested too deeply"),
        ("kind: rlvr\ndata: " + "{a: " * 1500 + "1" + "}" * 1500, "nested too deeply"),
        ("kind: rlvr\ndata: " + "[" * 100 + "]" * 100, "nested too deeply"),
        ("kind: rlvr\n" + "".join(" " * level + f"a{level}:\n" for level in range(60)), "nested too deeply"),
        ("kind: rlvr\n" + "".join(" " * level + f"a{level}:\n" for level in range(1200)), "characters"),
        ("kind: rlvr\ndata: " + "- " * 1200, "not YAML"),
        (CHILD + "".join(f"k{number}: 1\n" for number in range(300_000)), "characters"),
        (b"\xff\xfe\x00", "cannot be read"),
        ("", "the file is empty"),
        ("- 1\n", "the file is not a mapping"),
        ("kind: rlvr: 3\n", "not YAML"),
        ("extends: nowhere.yaml\n", "no such file 'nowhere.yaml'"),
        ("extends: [1]\nkind: rlvr\n", "no such file [1]"),
    ],
    ids=range(17),
)
def test_one_message_within_two_seconds(text, words, tmp_path):
    started = time.process_time()
    (problem,) = problems(text, tmp_path)
    assert time.process_time() - started < 2
    assert words in str(problem)


def test_thousands_of_unknown_fields_are_counted(tmp_path):
    found = problems(CHILD + "".join(f"k{number}: 1\n" for number in range(1000)), tmp_path)
    assert len(found) == 51 and "950 more problems" in str(found[0])


@pytest.mark.parametrize("override", [".".join("a" * 2000) + "=1", "a=" + "[" * 3000, "a=" + "x" * (LONGEST + 1)])
def test_the_command_line_has_the_same_limits(override, tmp_path):
    (problem,) = problems(CHILD, tmp_path, override)
    assert ("not an override" in str(problem) or "nested too deeply" in str(problem)) and len(str(problem)) < 400


@pytest.mark.parametrize("field", ["data", "rehearsal.data"])
def test_a_data_file_that_is_not_there_is_a_problem(field, tmp_path, monkeypatch):
    monkeypatch.delenv("QUINCE_DATA", raising=False)
    (problem,) = problems(CHILD, tmp_path, f"{field}=[{{kind: jsonl, path: '{tmp_path}/rows-{{split}}.jsonl'}}]")
    assert problem.field == f"{field}.0.path" and f"no file at {tmp_path}/rows-train.jsonl" in problem.found
    (tmp_path / "rows-train.jsonl").touch()
    assert load_recipe(str(tmp_path / "r.yaml"), [f"{field}=[{{kind: jsonl, path: '{tmp_path}/rows-train.jsonl'}}]"])


def test_a_folder_that_is_not_there_is_a_problem(tmp_path):
    (problem,) = problems(CHILD, tmp_path, "data=[{kind: jsonl, path: a.jsonl, root: /nowhere}]")
    assert problem.field == "data.0.root" and "/nowhere" in problem.found
    (problem,) = problems(CHILD, tmp_path, "data=[{kind: spider, root: /nowhere}]")
    assert problem.field == "data.0.root" and "/nowhere" in problem.found


def test_what_a_shipped_recipe_leaves_to_the_reader_is_a_note(monkeypatch, tmp_path):
    monkeypatch.setenv("QUINCE_DATA", str(tmp_path))
    (note,) = load_recipe("function_calling/bggpt_2_6b_lora").notes
    assert note.startswith("data.2.path: no file at ")
