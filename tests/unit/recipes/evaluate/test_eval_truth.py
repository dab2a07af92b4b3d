"""An evaluation that ends well says what the model at hand answered to every row."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from quince.data.cache import FileError, one_writer
from quince.data.rows import RowError
from quince.eval.measure.evaluate import EvaluationError
from quince.eval.measure.records import read_record
from quince.recipes.config import load_recipe
from quince.recipes.evaluate import evaluation
from quince.recipes.parts import loading

RECIPE = """
extends: _base/eval.yaml
model: {id: MODEL, dtype: float32}
suites:
  - name: own
    data: [{kind: jsonl, path: DATA}]
    reward: {kind: exact_match}
    sampling: {n: 4, max_tokens: 6}
"""


@pytest.fixture
def rows(tmp_path):
    """`rows([...])` writes the rows of the suite."""

    def write(some):
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))

    write([row(i) for i in range(6)])
    return write


def row(index, question="Say something.", **columns):
    prompt = [{"role": "user", "content": f"{question} {index}"}]
    return {"id": f"r{index}", "task": "own", "prompt": prompt, "accepted": '["4"]', **columns}


@pytest.fixture
def recipe(tmp_path, random_model, rows):
    model = shutil.copytree(random_model, tmp_path / "model")
    text = RECIPE.replace("MODEL", str(model)).replace("DATA", str(tmp_path / "rows.jsonl"))
    (tmp_path / "recipe.yaml").write_text(text)

    def load(*overrides):
        return load_recipe(str(tmp_path / "recipe.yaml"), [f"output_dir={tmp_path / 'run'}", *overrides])

    return load


@pytest.fixture
def no_model(monkeypatch):
    monkeypatch.setattr(loading, "build_engine", lambda *_: pytest.fail("a model was loaded"))


def test_two_evaluations_do_not_write_into_one_folder(recipe, tmp_path, no_model):
    with one_writer(tmp_path / "run"), pytest.raises(FileError, match=r"run · process \d+ on .+ is writing there"):
        evaluation.run(recipe())


def test_a_lost_row_is_answered_again_and_only_that_one(recipe, tmp_path, monkeypatch):
    (folder,) = evaluation.run(recipe())
    whole = read_record(folder).problems()
    lines = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    (folder / "samples.jsonl").write_text("".join([*lines[:3], *lines[1:2], *lines[4:]]))
    asked = []
    generate = loading.build_engine

    def build(*arguments):
        engine = generate(*arguments)
        real = engine.generate
        monkeypatch.setattr(engine, "generate", lambda prompts, s: asked.append(len(prompts)) or real(prompts, s))
        return engine

    monkeypatch.setattr(loading, "build_engine", build)
    evaluation.run(recipe())
    assert asked == [1, 1], "one row, sampled and greedy"
    assert sorted(p.id for p in read_record(folder).problems()) == sorted(p.id for p in whole)
    monkeypatch.setattr(loading, "build_engine", lambda *_: pytest.fail("a model was loaded"))
    evaluation.run(recipe())


def test_changed_weights_are_another_model(recipe, tmp_path):
    from safetensors.torch import load_file, save_file

    (folder,) = evaluation.run(recipe())
    before = read_record(folder).settings
    file = tmp_path / "model" / "model.safetensors"
    tensors = load_file(file)
    tensors["model.layers.0.mlp.up_proj.weight"] *= -3.0
    save_file(tensors, file, metadata={"format": "pt"})
    evaluation.run(recipe())
    assert read_record(folder).settings.model_fingerprint != before.model_fingerprint
    assert read_record(folder).settings.hash != before.hash


def test_rows_without_the_rewards_column_are_refused_before_a_model_is_loaded(recipe, rows, no_model):
    rows([{k: v for k, v in row(i).items() if k != "accepted"} for i in range(4)])
    words = r"suites · own · data · rows that cannot be judged: 4 of 4 · r0: no reward can read it \(exact_match needs"
    with pytest.raises(RowError, match=words):
        evaluation.run(recipe())


def test_a_few_such_rows_are_left_out_and_said(recipe, rows, capsys):
    rows([row(0) | {"accepted": None}, *(row(i) for i in range(1, 12))])
    (folder,) = evaluation.run(recipe())
    assert "rows that cannot be judged: 1 of 12 · r0" in capsys.readouterr().out
    assert len(read_record(folder).problems()) == 11
    with pytest.raises(RowError, match=r"1 of 12.*max_unjudgeable is 0\.05"):
        evaluation.run(recipe("max_unjudgeable=0.05"))


@pytest.mark.parametrize("how", ["refuse", "drop", "cut_left"])
def test_prompts_beyond_the_context_are_dealt_with_as_the_recipe_says(how, recipe, rows, no_model, monkeypatch):
    rows([row(0), row(1, "word " * 300)])
    load = recipe(f"long_prompts={how}")
    if how == "refuse":
        with pytest.raises(RowError, match=r"1 of 2 prompts are too long, the longest is r1 with \d+ tokens · 251 fit"):
            evaluation.run(load)
        return
    monkeypatch.undo()
    (folder,) = evaluation.run(load)
    assert [p.id for p in read_record(folder).problems()] == (["r0"] if how == "drop" else ["r0", "r1"])
    assert read_record(folder).settings.longest == (251 if how == "cut_left" else None)


def test_nothing_judged_is_an_error_and_leaves_no_record(recipe, tmp_path, monkeypatch):
    def broken(self, completion, row):
        raise OSError("no server")

    monkeypatch.setattr("quince.rewards.answers.text.ExactMatch.judge", broken)
    monkeypatch.setattr("quince.recipes.evaluate.evaluation.judgeable", lambda rows, *_: list(rows))
    with pytest.raises(EvaluationError, match=r"none of \d+ answers to 6 rows could be judged .* OSError: no server"):
        evaluation.run(recipe())
    assert not (tmp_path / "run" / "own" / "record.json").exists()


def test_an_evaluation_runs_through_few_files(recipe, tmp_path):
    """Who wants to follow `quince eval` reads these."""
    few = [f"suites.{suite}.sampling.n=16" for suite in range(3)]
    load = load_recipe("eval/tiny", [f"output_dir={tmp_path / 'tiny'}", "limit=2", *few])
    root, seen = Path(evaluation.__file__).resolve().parents[2], set()
    evaluation.run(load_recipe("eval/tiny", [f"output_dir={tmp_path / 'warm'}", "limit=1", *few]))

    def look(frame, event, argument):
        if event == "call" and frame.f_code.co_name != "<module>":
            seen.add(frame.f_code.co_filename)

    sys.setprofile(look)
    try:
        evaluation.run(load)
    finally:
        sys.setprofile(None)
    floors = [root / name for name in ("data", "rewards", "eval", "recipes")]
    own = {file for name in seen if any(map((file := Path(name).resolve()).is_relative_to, floors))}
    assert len(own) <= 40, sorted(str(file.relative_to(root)) for file in own)
