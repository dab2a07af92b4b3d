from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from quince.eval.engines.base import Sampling
from quince.eval.measure.evaluate import Evaluation
from quince.eval.measure.problems import Answer, Problem, SampleLog
from quince.eval.measure.records import read_record, write_record
from quince.eval.measure.settings import Settings
from quince.eval.show.hub_results import Benchmark, HubError, eval_results, model_index, parse_benchmark
from quince.recipes.parts.fingerprint import files_fingerprint
from quince.recipes.run.cards import CardError, with_results, write_results

SETTINGS = Settings(
    suite="gsm8k",
    model="runs/one/model",
    revision=None,
    model_fingerprint="abc",
    dtype="float32",
    engine="vllm",
    engine_version="0.31",
    sampling=Sampling(n=4, max_tokens=512),
    reward={"kind": "math"},
    data=[{"kind": "gsm8k", "split": "test"}],
    rows_sha256="r",
    template_sha256="t",
)
BENCHMARK = Benchmark("openai/gsm8k", "main", "a" * 40)
CARD = "---\nlibrary_name: transformers\ntags: [quince, rlvr]\n---\n# one\n\nText.\n\n```yaml\nkind: rlvr\n```\n"


def record(folder, settings=SETTINGS):
    right = Answer("yes", 3, 1.0, "correct", True, "yes", 2, -0.5, False)
    wrong = Answer("no", 1, 0.0, "wrong", False, None, 3, -1.5, False)
    greedy = replace(right, count=1)
    problems = tuple(Problem(f"p{i}", "t", "q", {}, (right, wrong), greedy) for i in range(8))
    log = SampleLog(folder, settings.hash)
    log.append(problems)
    log.finish()
    return read_record(write_record(folder, Evaluation(problems, settings.sampling, (1, 4)), settings))


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "README.md").write_text(CARD)
    return folder


def test_results_are_those_of_the_hub_with_n_and_interval(tmp_path):
    files = eval_results(record(tmp_path), BENCHMARK)
    assert list(files) == ["gsm8k.yaml", "gsm8k_greedy.yaml"]
    (entry,) = parse_eval_result_entries(files["gsm8k.yaml"])
    assert (entry.dataset_id, entry.task_id, entry.dataset_revision, entry.value) == (
        "openai/gsm8k",
        "main",
        "a" * 40,
        75.0,
    )
    assert entry.notes.startswith(
        "Pass@1, %: 95 % interval 47.99 to 85.79, n = 8 problems, 4 samples each at temperature 1"
    )
    (greedy,) = parse_eval_result_entries(files["gsm8k_greedy.yaml"])
    assert greedy.value == 100.0 and "interval 61.15 to 100.00, n = 8 problems, greedy" in greedy.notes
    assert set(files["gsm8k.yaml"][0]) == {"dataset", "value", "date", "notes"}


def test_every_value_of_the_model_index_has_its_n_and_interval(tmp_path):
    ((index,),) = [model_index("one", [record(tmp_path)], {})]
    (result,) = index["results"]
    assert result["dataset"] == {"type": "gsm8k", "name": "gsm8k", "split": "test"}
    assert [m["type"] for m in result["metrics"]] == ["pass@1", "pass@4", "greedy"]
    assert all("interval" in m["name"] and "n = 8 problems" in m["name"] for m in result["metrics"])


def test_a_card_with_results_is_read_by_the_hub_and_written_again_the_same(tmp_path):
    found = [record(tmp_path)]
    once = with_results(CARD, found, {"gsm8k": BENCHMARK})
    assert with_results(once, found, {"gsm8k": BENCHMARK}) == once
    assert once.count("## Evaluation") == 1 and "# one\n\nText." in once and "kind: rlvr" in once
    assert "| gsm8k | Pass@4 | 100.0 | 61.2 – 100.0 | 8 | 4 | 0 |" in once
    data = ModelCard(once).data
    assert data.tags == ["quince", "rlvr"]
    first = data.eval_results[0]
    assert (first.dataset_type, first.metric_type, first.metric_value) == ("openai/gsm8k", "pass@1", 75.0)
    fewer = with_results(once, [], {})
    assert "gsm8k" not in fewer


def with_unjudged(folder, samples: int, greedy: bool = False):
    """A record of 100 problems, 4 samples each, in which some samples, or a greedy answer, are not judged."""
    right = Answer("yes", 3, 1.0, "correct", True, "yes", 2, -0.5, False)
    wrong = Answer("no", 1, 0.0, "wrong", False, None, 3, -1.5, False)
    lost = replace(wrong, value=None, outcome="error")
    problems = tuple(
        Problem(
            f"p{i}",
            "t",
            "q",
            {},
            (right, lost if i < samples else wrong),
            replace(lost if greedy and i < 2 else right, count=1),
        )
        for i in range(100)
    )
    log = SampleLog(folder, SETTINGS.hash)
    log.append(problems)
    log.finish()
    return read_record(write_record(folder, Evaluation(problems, SETTINGS.sampling, (1,)), SETTINGS))


def test_unjudged_answers_stand_beside_a_published_value(tmp_path):
    """A judge that fails takes its answers out of the denominator."""
    found = with_unjudged(tmp_path, 4)
    notes = eval_results(found, BENCHMARK)["gsm8k.yaml"][0]["notes"]
    assert "1.00 % of answers not judged, 75.00 with those as wrong" in notes
    assert "| 1.00 (75.0) |" in with_results(CARD, [found], {})
    assert eval_results(replace(found, unjudged=None), BENCHMARK)["gsm8k.yaml"][0]["notes"] == notes


@pytest.mark.parametrize(("samples", "greedy", "name"), [(5, False, "Pass@1"), (0, True, "Greedy")])
def test_values_that_rest_on_too_few_judged_answers_are_not_published(tmp_path, samples, greedy, name):
    found = with_unjudged(tmp_path, samples, greedy)
    for publish in (lambda: eval_results(found, BENCHMARK), lambda: model_index("one", [found], {})):
        with pytest.raises(
            HubError, match=rf"% of the answers behind {name} are not judged.*at most 1 % are published"
        ):
            publish()


def test_results_are_written_into_the_model_they_are_of(tmp_path, model):
    record(tmp_path / "eval", replace(SETTINGS, model_fingerprint=files_fingerprint(model)))
    files = write_results(tmp_path / "eval", model, {"gsm8k": BENCHMARK})
    assert [file.relative_to(model).as_posix() for file in files] == [
        "README.md",
        ".eval_results/gsm8k.yaml",
        ".eval_results/gsm8k_greedy.yaml",
    ]
    assert yaml.safe_load(files[1].read_text())[0]["dataset"]["task_id"] == "main"
    # Its card is no part of a model: the record is still of it, and results may be written again.
    assert write_results(tmp_path / "eval", model, {}) == files[:1]


def test_results_of_another_model_are_refused(tmp_path, model):
    record(tmp_path / "eval")
    with pytest.raises(CardError, match=r"is of runs/one/model \(abc\).*evaluate this model"):
        write_results(tmp_path / "eval", model, {})
    assert (model / "README.md").read_text() == CARD


def test_suites_are_one_record_each_and_known(tmp_path, model):
    own = replace(SETTINGS, model_fingerprint=files_fingerprint(model))
    record(tmp_path / "eval/a", own)
    with pytest.raises(CardError, match=r"dataset · found 'math' · one of gsm8k"):
        write_results(tmp_path / "eval", model, {"math": BENCHMARK})
    record(tmp_path / "eval/b", replace(own, sampling=Sampling(n=4, max_tokens=64)))
    with pytest.raises(CardError, match="2 records of 1 suites"):
        write_results(tmp_path / "eval", model, {})


def test_benchmarks_are_written_in_one_way():
    assert parse_benchmark("gsm8k=openai/gsm8k:main") == ("gsm8k", Benchmark("openai/gsm8k", "main"))
    assert parse_benchmark(f"m=a/b:c@{'a' * 40}") == ("m", Benchmark("a/b", "c", "a" * 40))
    for text in ("gsm8k", "gsm8k=openai:main", "gsm8k=openai/gsm8k", "=a/b:c"):
        with pytest.raises(HubError, match="write SUITE=ORG/NAME:TASK"):
            parse_benchmark(text)
