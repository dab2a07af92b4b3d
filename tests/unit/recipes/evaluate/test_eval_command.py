from __future__ import annotations

import shutil

import pytest
from quince.data.rows import RowError
from quince.eval.measure.holdout import HoldoutError
from quince.eval.measure.metrics import KL_METRICS
from quince.eval.measure.problems import RecordError
from quince.eval.measure.records import read_record
from quince.recipes.config import RecipeError, load_recipe
from quince.recipes.evaluate import evaluation
from quince.recipes.parts import loading

RECIPE = """
extends: _base/eval.yaml
model: {id: MODEL, dtype: float32}
suites:
  - name: old_skill
    data: [{kind: strategies, split: test, size: 6}]
    reward: {kind: exact_match}
    sampling: {n: 4, max_tokens: 6}
    ks: [1, 2]
"""


@pytest.fixture
def recipe(tmp_path, random_model):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("MODEL", str(random_model)))

    def load(*overrides: str):
        return load_recipe(str(path), [f"output_dir={tmp_path / 'run'}", *overrides])

    return load


@pytest.fixture
def refuse_engines(monkeypatch):
    def use():
        monkeypatch.setattr(loading, "build_engine", lambda *_: pytest.fail("an engine was loaded"))

    return use


def test_a_suite_becomes_a_record_and_a_page(recipe, tmp_path, capsys):
    (folder,) = evaluation.run(recipe())
    record = read_record(folder)
    assert folder == tmp_path / "run" / "old_skill"
    assert len(record.problems()) == 6
    assert {"pass@1", "pass@2", "greedy"} <= set(record.metrics)
    assert record.settings.made_on["packages"]["torch"]
    assert (tmp_path / "run/board/index.html").exists()
    assert "Pass@2" in capsys.readouterr().out


def test_what_is_done_is_not_done_again(recipe, refuse_engines, capsys):
    (folder,) = evaluation.run(recipe())
    before = (folder / "record.json").read_bytes()
    refuse_engines()
    evaluation.run(recipe())
    assert (folder / "record.json").read_bytes() == before
    assert "nothing to run" in capsys.readouterr().out


def test_other_ks_are_measured_on_the_same_answers(recipe, refuse_engines):
    (folder,) = evaluation.run(recipe())
    answers = (folder / "samples.jsonl").read_bytes()
    refuse_engines()
    evaluation.run(recipe("suites.0.ks=[1,4]"))
    assert read_record(folder).ks == (1, 4)
    assert (folder / "samples.jsonl").read_bytes() == answers


@pytest.fixture(scope="module")
def other_model(random_model, tmp_path_factory):
    """`random_model` with other weights."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("other") / "model"
    shutil.copytree(random_model, folder)
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.init_weights()
    model.lm_head.weight.data.normal_(std=0.3)
    model.save_pretrained(folder)
    return folder


def test_a_divergence_is_measured_once_on_answers_of_its_own(recipe, other_model, refuse_engines, monkeypatch, capsys):
    kl = [f"kl.model.id={other_model}", "kl.model.dtype=float32", "kl.prompts=3"]
    (folder,) = evaluation.run(recipe())
    answers = (folder / "samples.jsonl").read_bytes()
    monkeypatch.setattr(evaluation, "evaluate", lambda *_, **__: pytest.fail("answers were drawn again"))
    evaluation.run(recipe(*kl))
    few = read_record(folder).metrics
    assert all(few[name].interval.estimate > 0.1 and few[name].problems == 3 for name in KL_METRICS)
    evaluation.run(recipe(*kl, "kl.samples=64"))
    many = read_record(folder).metrics
    assert all(few[name] != many[name] for name in KL_METRICS)
    refuse_engines()
    capsys.readouterr()
    evaluation.run(recipe(*kl, "kl.samples=64", "suites.0.ks=[1,4]"))
    assert {name: read_record(folder).metrics[name] for name in KL_METRICS} == {name: many[name] for name in KL_METRICS}
    assert "KL(model ‖ reference)" in capsys.readouterr().out
    evaluation.run(recipe())
    assert not set(KL_METRICS) & set(read_record(folder).metrics)
    assert (folder / "samples.jsonl").read_bytes() == answers


def test_a_model_does_not_diverge_from_itself(recipe, random_model):
    (folder,) = evaluation.run(recipe(f"kl.model.id={random_model}/../{random_model.name}", "kl.model.dtype=float32"))
    intervals = [read_record(folder).metrics[name].interval for name in KL_METRICS]
    assert [(i.estimate, i.low, i.high) for i in intervals] == [(0, 0, 0)] * 2
    assert "to reference, nats" in (folder.parent / "board/index.html").read_text()


def test_a_reference_with_other_tokens_is_refused(recipe):
    with pytest.raises(RecipeError, match=r"kl\.model · the vocabulary of tiny is not that of .* kl=null"):
        evaluation.run(recipe("kl.model.id=tiny"))


def test_an_interrupted_run_goes_on_to_the_same_answers(recipe, tmp_path, monkeypatch):
    (whole,) = evaluation.run(recipe())
    monkeypatch.setattr("quince.eval.measure.evaluate._SAMPLES_AT_ONCE", 8)
    judge, calls = evaluation.evaluate.__globals__["judge"], []

    def stop_at_the_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return judge(*arguments)

    monkeypatch.setattr("quince.eval.measure.evaluate.judge", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        evaluation.run(recipe(f"output_dir={tmp_path / 'again'}"))
    (again,) = evaluation.run(recipe(f"output_dir={tmp_path / 'again'}"))
    assert len(calls) == 4
    strip = lambda problem: [(a.text, a.count) for a in problem.answers]  # noqa: E731
    assert list(map(strip, read_record(again).problems())) == list(map(strip, read_record(whole).problems()))


def test_a_baseline_is_compared_with(recipe, tmp_path, capsys):
    evaluation.run(recipe(f"output_dir={tmp_path / 'base'}"))
    evaluation.run(recipe(f"baseline={tmp_path / 'base'}", "suites.0.sampling.seed=1"))
    assert "Difference" in capsys.readouterr().out


def test_a_baseline_without_records_is_refused(recipe, tmp_path):
    with pytest.raises(RecordError, match="holds no record"):
        evaluation.run(recipe(f"baseline={tmp_path / 'nothing'}"))


def test_a_suite_names_the_column_of_its_clusters(recipe):
    (folder,) = evaluation.run(recipe("suites.0.cluster=task"))
    problems, metric = read_record(folder).problems(), read_record(folder).metrics["pass@1"]
    assert {problem.cluster for problem in problems} == {"strategies"} and metric.clusters == 1
    with pytest.raises(RowError, match=r"old_skill · cluster · found 'passage' · a column: id, task, prompt"):
        evaluation.run(recipe("suites.0.cluster=passage"))


def test_nothing_to_evaluate_is_refused(recipe):
    with pytest.raises(RecipeError, match="nothing to evaluate"):
        recipe("suites=[]")


HOLDOUT = "suites.0.holdout={data: [{kind: strategies, split: test, size: 8, seed: 1}], state: STATE, budget: 1}"


def test_a_holdout_is_looked_at_as_often_as_its_budget_allows(recipe, tmp_path, refuse_engines, capsys):
    state = tmp_path / "state" / "looks.json"
    ask = [HOLDOUT.replace("STATE", str(state)), "suites.0.holdout.threshold=1e-6", "suites.0.holdout.noise=1e-9"]
    evaluation.run(recipe(*ask))
    said = " ".join(capsys.readouterr().out.split())
    assert "old_skill · holdout · Pass@1" in said
    assert [file.name for file in state.parent.iterdir()] == ["looks.json"]  # its answers are forgotten
    before = state.read_bytes()
    refuse_engines()
    evaluation.run(recipe(*ask))
    assert state.read_bytes() == before
    with pytest.raises(HoldoutError, match=r"threshold 0\.5, it began with 1e-06"):
        evaluation.run(recipe(*ask, "suites.0.holdout.threshold=0.5"))


def test_a_spent_holdout_is_not_answered(recipe, tmp_path, refuse_engines):
    state = tmp_path / "looks.json"
    state.write_text('{"threshold": 0.04, "noise": 0.01, "budget": 1, "seed": 0, "spent": 1, "answers": {}}')
    (folder,) = evaluation.run(recipe())
    refuse_engines()
    with pytest.raises(HoldoutError, match="the whole budget"):
        evaluation.run(recipe(HOLDOUT.replace("STATE", str(state))))
    assert read_record(folder).problems()


CAPSULE = """
extends: _base/eval.yaml
model: {id: MODEL, dtype: float32}
suites:
  - name: capsules
    data: [{kind: passages, split: test, size: 2}]
    reward: {kind: capsule, utility: agreement, helped_only: false}
    sampling: {n: 2, max_tokens: 6}
long_prompts: cut_left
readers: [{model: {id: MODEL, dtype: float32}}]
"""


def test_capsules_are_judged_by_the_readers_of_the_recipe(tmp_path, random_model, refuse_engines):
    path = tmp_path / "recipe.yaml"
    path.write_text(CAPSULE.replace("MODEL", str(random_model)))
    (folder,) = evaluation.run(load_recipe(str(path), [f"output_dir={tmp_path / 'run'}"]))
    problems, settings = read_record(folder).problems(), read_record(folder).settings
    assert len(problems) == 2 and all(problem.drawn == 2 for problem in problems)
    assert settings.reward["weights"] == [settings.model_fingerprint]
    with pytest.raises(RecipeError, match="`capsule` asks a reader, and there is none"):
        load_recipe(str(path), ["readers=[]"])
    with pytest.raises(RecipeError, match="no reward asks a reader"):
        load_recipe(str(path), ["suites.0.reward={kind: exact_match}"])
