from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from quince.eval.engines.base import Sampling
from quince.eval.measure.compare import compare
from quince.eval.measure.evaluate import Evaluation
from quince.eval.measure.metrics import KL_METRICS, Metric
from quince.eval.measure.problems import Answer, Problem, SampleLog
from quince.eval.measure.records import RecordError, find_records, list_records, read_record, write_record
from quince.eval.measure.settings import KlSettings, Settings, rows_sha256
from quince.eval.measure.statistics import Interval
from quince.eval.show.tables import p_text, power_sentence, suite_table
from rich.console import Console

SETTINGS = Settings(
    suite="arithmetic",
    model="runs/grpo/model",
    revision=None,
    model_fingerprint="abc",
    dtype="float32",
    engine="transformers",
    engine_version="5",
    sampling=Sampling(n=4, stop_token_ids=(7,)),
    reward={"kind": "countdown"},
    data=[{"kind": "countdown", "split": "test"}],
    rows_sha256="r",
    template_sha256="t",
    made_on={"commit": "c0ffee"},
)


def problem(name: str, correct: int, n: int = 4) -> Problem:
    right = Answer("yes", correct, 1.0, "correct", True, "yes", 2, -0.5, False)
    wrong = Answer("no </script>", n - correct, 0.0, "wrong", False, None, 3, -1.5, False)
    answers = tuple(a for a in (right, wrong) if a.count)
    return Problem(name, "arithmetic", f"question {name}", {"answer": "yes"}, answers, replace(right, count=1))


def write(folder, problems, settings=SETTINGS, ks=(1, 2, 4)):
    log = SampleLog(folder, settings.hash)
    log.append(problems)
    log.finish()
    return write_record(folder, Evaluation(tuple(problems), settings.sampling, ks, {"generate": 1.5}), settings)


def shown(table) -> str:
    """A table as the terminal shows it."""
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_a_record_reads_back(tmp_path):
    problems = [problem("a", 3), problem("b", 0), problem("c", 4)]
    path = write(tmp_path / "x", problems)
    record = read_record(path)
    assert record == read_record(tmp_path / "x")
    assert record.settings == SETTINGS
    assert (record.ks, record.seconds) == ((1, 2, 4), {"generate": 1.5})
    assert record.problems() == problems
    assert record.metrics == Evaluation(tuple(problems), SETTINGS.sampling, (1, 2, 4)).metrics()


def test_clusters_are_kept_with_the_intervals(tmp_path):
    problems = [replace(problem(str(i), 4 * (i % 2)), cluster=str(i // 2)) for i in range(8)]
    record = read_record(write(tmp_path, problems))
    assert record.metrics == Evaluation(tuple(problems), SETTINGS.sampling, (1, 2, 4)).metrics()
    assert record.metrics["pass@1"].clusters == record.metrics["greedy"].clusters == 4
    assert record.problems() == problems
    written = json.loads((tmp_path / "record.json").read_text())["evaluation_results"]
    methods = {r["score_details"]["uncertainty"]["confidence_interval"]["method"] for r in written}
    assert methods == {"analytic, over 4 clusters of problems"}


def test_why_there_is_no_interval_is_kept(tmp_path):
    problems = [replace(problem(str(i), i), cluster="one") for i in range(4)]
    record = read_record(write(tmp_path, problems))
    assert record.metrics == Evaluation(tuple(problems), SETTINGS.sampling, (1, 2, 4)).metrics()
    assert record.metrics["pass@1"].interval.refused == "no interval from 1 cluster"
    assert "Infinity" not in (tmp_path / "record.json").read_text().replace('"Infinity"', "").replace('"-Infinity"', "")
    assert "37.5 [no interval from 1 cluster]" in shown(suite_table(record))
    assert power_sentence(problems, (1,)) == ""


def test_reports_say_which_differences_cannot_be_seen(tmp_path):
    few, many = ([problem(str(i), (i % 5)) for i in range(n)] for n in (30, 120))
    assert "With n = 30, without pairing, a true difference of Pass@1 under" in power_sentence(few, (1, 2))
    points = [float(power_sentence(some, (1,)).split("under ")[1].split()[0]) for some in (few, many)]
    assert points[0] == pytest.approx(2 * points[1], rel=0.1)
    other = [problem(str(i), min(4, i % 5 + i % 2)) for i in range(30)]
    assert f"under {100 * compare(few, other, (1,)).detectable['pass@1']:.1f} points" in power_sentence(
        few, (1,), compare(few, other, (1,))
    )
    assert power_sentence(few[:1], (1,)) == ""
    base, after = (read_record(write(tmp_path / name, some)) for name, some in (("a", few), ("b", other)))
    assert "is found with a chance of less than 80 %" in suite_table(after, base).caption


def test_a_divergence_is_kept_and_changes_no_answers(tmp_path):
    settings = replace(SETTINGS, kl=KlSettings("tiny", None, "f", "float32", 64, 2))
    assert settings.hash == SETTINGS.hash
    kl = {name: Metric(name, "nats", Interval(0.2, -0.1, 0.4, 0.95), 3) for name in KL_METRICS}
    path = write_record(tmp_path, Evaluation((problem("a", 3),), settings.sampling, (1,), kl=kl), settings)
    record = read_record(path)
    assert record.settings == settings
    assert {name: record.metrics[name] for name in KL_METRICS} == kl
    result = json.loads(path.read_text())["evaluation_results"][-1]
    assert result["metric_config"]["metric_parameters"] == {"reference": "tiny"}
    assert result["generation_config"]["generation_args"] == {"temperature": 1.0, "top_p": 1.0, "max_tokens": 64}
    assert result["generation_config"]["additional_details"]["n"] == "2"


def test_a_record_has_the_shape_of_every_eval_ever(tmp_path):
    data = json.loads(write(tmp_path, [problem("a", 3), problem("b", 0)]).read_text())
    assert set(data) == {
        "schema_version",
        "evaluation_id",
        "evaluation_timestamp",
        "retrieved_timestamp",
        "source_metadata",
        "model_info",
        "eval_library",
        "evaluation_results",
    }
    assert data["schema_version"] == "0.3.0"
    for details in (data["eval_library"]["additional_details"], data["model_info"]["additional_details"]):
        assert all(isinstance(value, str) for value in details.values())
    for result in data["evaluation_results"]:
        assert {"evaluation_name", "source_data", "metric_config", "score_details"} <= set(result)
        assert result["metric_config"]["score_type"] == "continuous"
        assert {"min_score", "max_score", "lower_is_better"} <= set(result["metric_config"])
        known = result["score_details"]["uncertainty"]["num_samples"]
        assert result["score_details"]["details"]["no_interval"].startswith(f"no interval from {known} problem")


def test_samples_go_on_after_an_interruption(tmp_path):
    log = SampleLog(tmp_path, "h")
    log.append([problem("a", 1), problem("b", 2)])
    partial = next(tmp_path.glob("*.partial"))
    whole = partial.read_bytes()
    partial.write_bytes(whole[:-20])
    again = SampleLog(tmp_path, "h")
    assert [p.id for p in again.read()] == ["a"]
    again.append([problem("b", 2)])
    assert partial.read_bytes() == whole
    assert again.finished() is None
    again.finish()
    assert [p.id for p in again.finished()] == ["a", "b"]


def test_other_settings_never_mix(tmp_path):
    SampleLog(tmp_path, "h").append([problem("a", 1)])
    assert SampleLog(tmp_path, "g").read() == []
    SampleLog(tmp_path, "h").finish()
    assert SampleLog(tmp_path, "g").finished() is None


def test_a_record_refuses_answers_of_other_settings(tmp_path):
    write(tmp_path, [problem("a", 1)])
    log = SampleLog(tmp_path, "other")
    log.append([problem("a", 2)])
    log.finish()
    with pytest.raises(RecordError, match=r"samples.jsonl:1 · made with settings other.*evaluate again"):
        read_record(tmp_path).problems()


@pytest.mark.parametrize("content", ["{", "{}", '{"eval_library": {"additional_details": {}}}'])
def test_a_broken_record_says_so(tmp_path, content):
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(RecordError, match="evaluate again"):
        read_record(tmp_path)


def test_records_are_found_below_a_folder(tmp_path):
    for name in ("b", "a/deep"):
        write(tmp_path / name, [problem("a", 1)])
    assert list_records(tmp_path) == [tmp_path / "a/deep", tmp_path / "b"]
    assert find_records([tmp_path, tmp_path / "b"]) == [tmp_path / "a/deep", tmp_path / "b"]
    with pytest.raises(RecordError, match="no record here"):
        find_records([tmp_path / "c"])


@pytest.mark.parametrize(
    "change",
    [{"model_fingerprint": "new"}, {"sampling": Sampling(n=8)}, {"rows_sha256": "s"}, {"template_sha256": "u"}],
)
def test_the_hash_follows_what_decides_the_answers(change):
    assert replace(SETTINGS, **change).hash != SETTINGS.hash
    assert replace(SETTINGS, made_on={}).hash == SETTINGS.hash


def test_rows_hash_leaves_the_place_of_databases_out():
    assert rows_sha256([{"id": "a", "database": "/x"}]) == rows_sha256([{"id": "a", "database": "/y"}])
    assert rows_sha256([{"id": "a"}]) != rows_sha256([{"id": "b"}])


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("runs/grpo/model", "grpo"),
        ("/data/dph/checkpoint-20", "dph@20"),
        ("tiny", "tiny"),
        ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
    ],
)
def test_models_have_names(model, name):
    assert replace(SETTINGS, model=model).model_name == name


@pytest.mark.parametrize(("p", "text"), [(0.0, "< 0.001"), (0.00099, "< 0.001"), (0.001, "0.001"), (0.25, "0.250")])
def test_a_small_p_is_not_zero(p, text):
    assert p_text(Interval(0.1, 0.0, 0.2, 0.95, p)) == text


def test_unjudged_answers_and_the_worst_value_are_in_the_record(tmp_path):
    lost = Answer("?", 3, None, "error", False, None, 1, None, False, "no server")
    mixed = replace(problem("a", 1, 1), answers=(problem("a", 1, 1).answers[0], lost))
    record = read_record(write(tmp_path, [mixed, problem("b", 4)]))
    assert (record.unjudged.samples, record.unjudged.drawn, record.unjudged.first) == (3, 8, "a: no server")
    assert record.metrics["pass@1"].interval.estimate == 1 and record.unjudged.pass_at[1] == pytest.approx(0.625)


def test_a_finished_file_that_lost_its_end_is_read_and_taken_up_again(tmp_path, caplog):
    write(tmp_path, [problem("a", 1), problem("b", 2)])
    file = tmp_path / "samples.jsonl"
    file.write_bytes(file.read_bytes()[:-9])
    assert [p.id for p in read_record(tmp_path).problems()] == ["a"]
    assert "samples.jsonl:3 · the last line is cut off" in caplog.text
    log = SampleLog(tmp_path, SETTINGS.hash)
    assert [p.id for p in log.read()] == ["a"]
    log.append([problem("b", 2)])
    log.finish()
    assert [p.id for p in read_record(tmp_path).problems()] == ["a", "b"]


def test_a_broken_line_inside_is_named(tmp_path):
    write(tmp_path, [problem("a", 1), problem("b", 2)])
    lines = (tmp_path / "samples.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "samples.jsonl").write_text(lines[0] + lines[1][:20] + "\n" + lines[2])
    with pytest.raises(RecordError, match=r"samples\.jsonl:2 · not JSON .* evaluate again"):
        read_record(tmp_path).problems()


def test_a_limit_on_prompts_changes_the_hash_only_where_one_was_cut():
    assert replace(SETTINGS, longest=None).hash == SETTINGS.hash != replace(SETTINGS, longest=8).hash
