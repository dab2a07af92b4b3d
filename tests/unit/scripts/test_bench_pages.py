"""Every page of docs/results is what its JSON renders to, and the JSON says where its figures come from."""

from __future__ import annotations

import ast
import json
import re
import sys

import pytest
from quince.scripts.bench import pages
from quince.scripts.bench.pages import (
    BEGIN,
    END,
    RESULTS,
    ROOT,
    Page,
    bench,
    dumped,
    joined,
    rendered,
    sentences,
    table,
)

FILES = pages.files()
NAMES = [str(file.relative_to(RESULTS)) for file in FILES]
SCRIPTS = sorted((ROOT / "scripts").rglob("*.py"))


def contents(file):
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_a_page_is_what_its_json_renders_to(file):
    page = pages.page_of(file)
    text = file.with_suffix(".md").read_text(encoding="utf-8")
    assert text == pages.render_file(page, file)
    assert text.startswith(f"# {page.title}\n")


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_a_page_opens_with_two_sentences(file):
    text = file.with_suffix(".md").read_text(encoding="utf-8")
    assert len(sentences(pages.opening(text))) == 2, pages.opening(text)


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_the_json_says_where_its_figures_come_from(file):
    made = contents(file)["provenance"]
    assert set(pages.KEYS) <= set(made)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", made["date"])
    assert made["commit"] is None or all(re.fullmatch("[0-9a-f]{40}", name) for name in made["commit"].split(", "))
    script = re.search(r"scripts/\S+\.py", made["command"])
    assert (ROOT / script[0]).is_file()
    said = "Commit not recorded; measured" if made["commit"] is None else "Measured"
    assert f"{said} {made.get('since', made['date'])}" in file.with_suffix(".md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_notes_are_about_the_measurement_that_is_there(file):
    """Whoever measures again reads the notes again and changes the date of their heading."""
    made = contents(file)["provenance"]
    days = f"{made['since']} to {made['date']}" if "since" in made else made["date"]
    after = file.with_suffix(".md").read_text(encoding="utf-8").partition(END)[2]
    assert set(re.findall(r"measurement of (\d{4}.*)", after)) <= {days}


def test_every_page_has_a_json_and_the_index_lists_all():
    index = RESULTS / "README.md"
    assert {file.with_suffix(".json") for file in RESULTS.rglob("*.md")} - {index.with_suffix(".json")} == set(FILES)
    assert index.read_text(encoding="utf-8") == pages.index()


def test_rules_that_explain_a_disagreement_are_described():
    text = (RESULTS / "function_call_oracle.md").read_text(encoding="utf-8")
    judges = contents(RESULTS / "function_call_oracle.json")["judges"]
    names = {name for judge in judges for rule in judge["rules"] for name in rule.split(" + ")}
    assert [name for name in names if f"- **{name}** " not in text] == []


def test_commands_that_documents_name_exist():
    texts = [path.read_text(encoding="utf-8") for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))]
    named = {name for text in texts for name in re.findall(r"scripts/[\w/]+\.(?:py|sh)", text)}
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=[str(path.relative_to(ROOT)) for path in SCRIPTS])
def test_help_runs_nothing(path):
    """What runs as a script begins with the command line: `bench`, or a parser's `parse_args`."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            called = ast.unparse(node.body)
            first = called.splitlines()[0]
            assert first.startswith("bench(") or ("ArgumentParser" in first and "parse_args()" in called), first


PAGE = Page("made/up", "Made up", lambda found: f"It is {found['x']}.\nThat is all.", seeds=[3])


def call(monkeypatch, *arguments, **verbs):
    monkeypatch.setattr(sys, "argv", ["script.py", *map(str, arguments)])
    for name, value in pages.QUIET.items():
        monkeypatch.setenv(name, value)
    measure = verbs.pop("measure", None)
    bench(PAGE, measure, **verbs)


def test_a_bench_writes_its_page_and_keeps_what_people_wrote(tmp_path, monkeypatch):
    def measure(times: int = 2, names: list[str] = ("a", "b")) -> dict:
        return {"x": times * len(names)}

    call(monkeypatch, "--times", 4, "--names", "b", "--out", tmp_path, measure=measure)
    made = contents(tmp_path / "made" / "up.json")
    assert made["x"] == 4
    assert made["provenance"]["seeds"] == [3]
    assert made["provenance"]["command"] == "python script.py --times 4 --names b --out FOLDER"
    shown = tmp_path / "made" / "up.md"
    shown.write_text(shown.read_text().replace(END, f"{END}\n\nBy hand."))
    call(monkeypatch, "--out", tmp_path, measure=measure)
    text = shown.read_text()
    assert text.startswith("# Made up\n\n<!-- generated from up.json") and text.endswith("By hand.\n")
    assert "It is 4.\nThat is all.\n" in text and "script.py --out FOLDER" in text


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["no_such_verb"]])
def test_a_wrong_call_or_a_call_for_help_runs_nothing(monkeypatch, arguments):
    def run(seed: int = 0) -> None:
        raise AssertionError("it ran")

    with pytest.raises(SystemExit):
        call(monkeypatch, *arguments, run=run)


def test_parts_are_joined_without_inventing_a_commit():
    one = {"date": "2026-01-02", "commit": "a" * 40, "modified": False, "machine": "m", "versions": {"v": "1"}}
    two = one | {"date": "2026-01-05", "commit": "b" * 40, "modified": True, "versions": {"v": "2"}}
    old = one | {"date": "2026-01-01", "commit": None, "modified": None}
    assert joined([one]) == one
    both = joined([one, two])
    assert (both["since"], both["date"], both["modified"]) == ("2026-01-02", "2026-01-05", True)
    assert both["commit"] == f"{'a' * 40}, {'b' * 40}" and both["versions"] == {"v": "2"}
    assert joined([one, old])["commit"] is None


def test_an_unknown_commit_is_said_to_be():
    made = {"date": "2026-01-01", "commit": None, "modified": None, "machine": "m", "versions": {}, "seeds": []}
    text = rendered(PAGE, {"x": 1, "provenance": made | {"command": "python x.py"}})
    assert "Commit not recorded; measured 2026-01-01; m; versions not recorded; no random numbers." in text
    assert BEGIN.format("up.json") in text


def test_json_is_short_and_the_same():
    value = {"a": [1, 2, {"b": None}], "long": ["x" * 70, "y" * 70], "empty": {}, "ü": [[0.5] * 40]}
    assert json.loads(dumped(value)) == value
    assert max(map(len, dumped(value).splitlines())) <= 210


def test_tables_put_numbers_to_the_right():
    assert table(["name", "n"], [["a", 1], ["b", "2.5 [1, 3]"]]).splitlines()[1] == "| --- | ---: |"
    assert table(["name", "n"], [["a", "one"]]).splitlines()[1] == "| --- | --- |"
