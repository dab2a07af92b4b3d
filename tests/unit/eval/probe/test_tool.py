"""The command, readers, baselines and calibration on generated rows."""

import json
import os
import re
import warnings

import numpy as np
import pytest
from quince.data.function_calling.generator import demonstrations, rows
from quince.data.sources import load_rows
from quince.eval.probe.answers import Reply
from quince.eval.probe.calibration import calibrate
from quince.eval.probe.nearest_rows import divergence, ngram_overlap, t_way
from quince.eval.probe.predictors import auc, compare, figures, output_figures
from quince.eval.probe.read.read_calls import benchmark_record, record
from quince.eval.probe.read.read_sql import record as sql_record
from quince.eval.probe.read.slot_schema import ProbeError
from quince.eval.probe.slot_analysis import analyse, read_joined, read_sets
from quince.eval.probe.statuses import STATUSES
from quince.recipes.cli import main
from quince.recipes.config import load_recipe
from quince.scripts.bench.probe.training_figures import pooled


def write(path, made):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made))
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    train = write(folder / "train.jsonl", demonstrations("train", 500, 0, max_tools=4))
    return train, write(folder / "test.jsonl", rows("test", 80, 0, max_tools=4))


@pytest.fixture(scope="module")
def found(files):
    """What the probe makes of them."""
    return analyse(*read_joined(files[0], "function_calls", [files[1]]))


def quince(*arguments):
    """Exit code of a command."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


def test_views_of_generated_rows_say_where_values_come_from():
    seen = [record(row) for row in rows("train", 300, 1)]
    asks = [view for view in seen if view["decision"] == "ask"]
    assert asks and all(view["complete"] == "no" and view["first_tool"] is None for view in asks)
    refused = [view for view in seen if view["decision"] == "refuse"]
    assert {view["served"] for view in refused} == {"no"}
    called = [view for view in seen if view["decision"] == "call"]
    assert all(view["complete"] == "yes" and view["served"] == "yes" for view in called)
    sources = {item.split("=")[1] for view in called for item in view["first_sources"]}
    assert sources == {"copied", "computed", "earlier", "defaulted"}
    assert {view["turn"] for view in seen} == {"request", "reply", "result", "error", "busy"}


def test_made_up_names_do_not_change_the_view():
    plain, masked = (rows("train", 60, 2, masking=share) for share in (0.0, 1.0))
    kept = ("decision", "tools", "first_arguments", "first_sources", "complete", "served", "intent", "turn")
    pairs = [(record(a), record(b)) for a, b in zip(plain, masked, strict=True)]
    same = [[left[key] for key in kept] == [right[key] for key in kept] for left, right in pairs if left["calls"]]
    assert np.mean(same) > 0.8  # masking may draw another row where a made-up name is a value


def test_benchmark_view_abstracts_names():
    view = benchmark_record(next(row for row in rows("train", 200, 3) if row["scenario"] == "parallel_different"))
    assert view["tools"] == ["A", "B"] and view["filled"] and view["origins"]


def test_sql_view_of_generated_rows():
    view = sql_record(load_rows("sql_idioms", split="train", size=1)[0])
    assert view["skeleton"].startswith("select") and view["template"] and view["tables"] >= 1
    with pytest.raises(ValueError, match="no gold_sql"):
        sql_record({"id": "x"})


def test_wrong_reader_is_named(tmp_path):
    data = write(tmp_path / "d.jsonl", [{"id": "a", "task": "t", "prompt": [{"role": "user", "content": "hi"}]}])
    with pytest.raises(ProbeError, match=re.escape("d.jsonl:1 · row · no gold_sql")):
        read_sets(data, "sql", data)


def test_generated_rows_get_sensible_statuses(files, found, tmp_path):
    assert found.counts()["seen"] > 0.6 * len(found.test)
    for place in range(len(found.components)):
        assert all(right == of for status, (right, of) in found.right(place).items() if status == "determined")
    german = rows("language", 30, 0)
    unseen = analyse(*read_sets(files[0], "function_calls", write(tmp_path / "german.jsonl", german))[:2])
    assert unseen.counts()["new-primitive"] == 30


def test_analyse_writes_a_page_and_fails_under(files, tmp_path, capsys):
    common = ("probe", "analyse", files[0], "--schema", "function_calls", "--test", files[1], "--out", tmp_path / "out")
    assert quince(*common) == 0
    data = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert sum(data["statuses"].values()) == data["requests"] == 80
    html = (tmp_path / "out" / "index.html").read_text()
    assert html.count("<svg") >= 2 and "prefers-color-scheme: dark" in html and "<script" not in html
    assert quince(*common, "--fail-under", 1.0) == 1
    assert "less than 1" in capsys.readouterr().err


def test_text_of_rows_cannot_end_an_element(tmp_path):
    evil = '<script>alert("x")</script>'
    schema = tmp_path / "s.yaml"
    schema.write_text(
        "name: t\nslots: [{name: a, path: a}, {name: b, path: b}]\noutputs: [{name: o, path: o, relevant: [a, b]}]\n"
    )
    made = [{"id": f"{i}{evil}", "a": evil, "b": str(i % 3), "o": evil, "prompt": evil} for i in range(20)]
    data = write(tmp_path / "d.jsonl", [*made, {"id": "q", "a": "new", "b": evil, "o": "x", "prompt": evil}])
    assert quince("probe", "analyse", data, "--schema", schema, "--out", tmp_path / "out", "--holdout", 0.4) == 0
    assert "<script" not in (tmp_path / "out" / "index.html").read_text()


def test_explain_prints_witnesses_and_names_unknown_rows(files, found, capsys):
    rows_by_status = {STATUSES[status]: found.test.ids[row] for row, status in enumerate(found.worst)}
    name = rows_by_status.get("determined") or rows_by_status["seen"]
    common = ("--schema", "function_calls", "--test", files[1])
    assert quince("probe", "explain", files[0], name, *common) == 0
    out = capsys.readouterr().out
    assert "decision: seen" in out and "function_calls/demonstrations/train/0/" in out
    others = found.test.ids[:2]
    assert quince("probe", "explain", files[0], *others, *common) == 0
    out = capsys.readouterr().out
    assert all(f"{other}: " in out for other in others) and out.count("decision: ") == 2
    assert quince("probe", "explain", files[0], "nobody", *common) == 2
    assert "'nobody' is no row" in capsys.readouterr().err


def test_split_plan_and_recipes_are_one_loop(tmp_path):
    out = tmp_path / "split"
    pool = write(tmp_path / "pool.jsonl", demonstrations("train", 900, 5, max_tools=4))
    assert (
        quince("probe", "split", pool, "--schema", "function_calls", "--out", out, "--test-size", 20, "--tries", 1) == 0
    )
    info = json.loads((out / "split.json").read_text())
    assert info["tests"]["seen"] == info["tests"]["new-primitive"] == 20
    weak = next(out / f"test_{name}.jsonl" for name in ("weak", "uncovered", "determined") if info["tests"][name])
    assert_trains_and_evaluates(out, weak, tmp_path)
    hard = out / "test_new-primitive.jsonl"
    arguments = ("--schema", "function_calls", "--test", hard, "--pool", out / "rest.jsonl", "--rows", 30)
    assert quince("probe", "plan", out / "train.jsonl", *arguments, "--out", tmp_path / "plan") == 0
    chosen, random, prompts = (
        (tmp_path / "plan" / f"{name}.jsonl").read_text().splitlines() for name in ("rows", "random", "plan")
    )
    assert 0 < len(chosen) == len(random) <= 30 and len(prompts) >= len(chosen)
    assert all(json.loads(line)["messages"] for line in chosen)
    assert json.loads(prompts[0])["prompt"].startswith("Write a row like the one shown")


def assert_trains_and_evaluates(out, requests, tmp_path):
    sft, evaluation = tmp_path / "sft.yaml", tmp_path / "eval.yaml"
    sft.write_text(
        "extends: _base/sft.yaml\nmodel: {id: tiny, dtype: float32, chat_template: hermes_signatures}\n"
        f"data: [{{kind: jsonl, path: {out / 'train.jsonl'}}}]\ntrainer: {{max_length: 512, max_steps: 2}}\n"
    )
    evaluation.write_text(
        "extends: _base/eval.yaml\nmodel: {id: tiny, dtype: float32}\nsuites:\n  - name: weak\n"
        f"    data: [{{kind: jsonl, path: {requests}}}]\n    reward: {{kind: function_call}}\n"
        "    sampling: {n: 1, temperature: 0.0, max_tokens: 16}\n"
    )
    for recipe in (sft, evaluation):
        assert load_recipe(str(recipe), []).recipe.kind in ("sft", "eval")
    made = load_rows("jsonl", split="test", path=str(requests))
    assert all(row["prompt"][-1]["role"] in ("user", "tool") and row["gold"] and "messages" not in row for row in made)


def test_schema_command(tmp_path, capsys):
    assert quince("probe", "schema") == 0
    assert capsys.readouterr().out.split() == ["bfcl", "function_calls", "spider", "sql"]
    assert quince("probe", "schema", "sql") == 0
    own = tmp_path / "own.yaml"
    own.write_text(capsys.readouterr().out)
    assert quince("probe", "schema", own) == 0
    assert "valid, 10 slots, 4 outputs" in capsys.readouterr().out
    own.write_text("name: x\nslots: 3\n")
    assert quince("probe", "schema", own) == 2
    assert "own.yaml:2 · slots" in capsys.readouterr().err


def test_baselines_by_hand(files):
    overlaps = ngram_overlap(["book a table"], ["book a table", "a table now", "now book a table"])
    assert overlaps.tolist() == pytest.approx([1, 0, 0.5])  # ends count: < book a, book a table, a table >
    assert divergence({"a": 2, "b": 2}, {"a": 1, "b": 1}, 0.5) == pytest.approx(0)
    assert divergence({"a": 1}, {"b": 1}, 0.1) == 1
    train, _, _ = read_sets(files[0], "function_calls", files[1])
    assert t_way(train, train, 2).min() == t_way(train, train, 3).min() == 1


def test_area_under_the_curve():
    right = np.array([0.0, 0, 1, 1])
    assert auc(np.array([1.0, 2, 3, 4]), right) == 1
    assert auc(np.array([1.0, 1, 1, 1]), right) == 0.5
    assert auc(np.array([4.0, 3, 2, 1]), right) == 0
    # Weights: 0.25 and 0.75 right, 0.75 and 0.25 wrong; ties of a request with itself count half.
    assert auc(np.array([1.0, 2]), np.array([0.25, 0.75])) == pytest.approx(0.75 * 0.75 + 0.5 * 2 * 0.75 * 0.25)


def test_calibration_reads_accuracy_by_status(found):
    answers = {name: Reply(float(status == 0)) for name, status in zip(found.test.ids, found.worst, strict=True)}
    made = calibrate(found, "toy", answers)
    assert made.whole.statuses["seen"].estimate == 1 and made.whole.cutoffs["seen"].estimate > 0.9
    assert sum(made.whole.counts[name] for name in made.whole.statuses) == made.requests == 80
    assert {part.name for part in made.whole.predictors} == set(figures(found))
    assert next(part.auc.estimate for part in made.whole.predictors if part.name == "status") == 1
    assert made.parts is None and 1 < made.inputs <= 80  # no texts to read
    with pytest.raises(ProbeError, match="no request has an answer"):
        calibrate(found, "toy", {})


def test_calibration_judges_each_output_of_answers(found):
    mute = {name: Reply(0.0, (("", 1.0),)) for name in found.test.ids}
    made = calibrate(found, "toy", mute)
    assert made.parts is not None and {share.estimate for share in made.parts.statuses.values()} == {0.0}
    assert {part.name for part in made.parts.predictors} == set(output_figures(found))
    assert all(part.auc is None for part in made.parts.predictors)  # nothing is right
    assert set(made.outputs) == {part.name for part in found.components}


def test_answers_of_several_seeds_are_pooled():
    runs = [{"a": Reply(1.0, (("x", 1.0),)), "b": Reply(1.0)}, {"a": Reply(0.0, (("y", 1.0),))}]
    assert pooled(runs) == {"a": Reply(0.5, (("x", 0.5), ("y", 0.5)))}


def test_areas_are_compared_within_a_column():
    right = np.array([[1.0, 0], [0, np.nan], [np.nan, 1]])
    good, level = np.array([[2.0, 5], [1, 0], [0, 6]]), np.ones((3, 2))
    first, second = compare({"k-cutoff": good, "level": level}, right, right >= 0, np.arange(3))
    assert first.auc.estimate == 1 and first.behind is None
    assert second.auc.estimate == second.behind.estimate == 0.5


@pytest.mark.skipif(not os.environ.get("QUINCE_DATA"), reason="QUINCE_DATA names no folder of data")
@pytest.mark.parametrize(
    ("schema", "train", "test"),
    [
        ("bfcl", "bfcl:split=parallel_multiple", "bfcl:split=multiple"),
        ("spider", "spider:split=dev,style=compact", None),
    ],
)
def test_public_sets_can_be_analysed(schema, train, test):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = analyse(*read_sets(train, schema, test)[:2], agreement=0.8)
    assert sum(found.counts().values()) == len(found.test) >= 190
