from __future__ import annotations

import shutil

import pytest
from quince.eval.records import read_record
from quince.eval.reference import KL_METRICS
from quince.eval.samples import RecordError
from quince.recipes import engines, evaluation
from quince.recipes.config import RecipeError, load_recipe

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
        monkeypatch.setattr(engines, "build_engine", lambda *_: pytest.fail("an engine was loaded"))

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
    monkeypatch.setattr("quince.eval.evaluate._SAMPLES_AT_ONCE", 8)
    judge, calls = evaluation.evaluate.__globals__["judge"], []

    def stop_at_the_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return judge(*arguments)

    monkeypatch.setattr("quince.eval.evaluate.judge", stop_at_the_second)
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
