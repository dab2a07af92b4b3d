"""Records against the schema of Every Eval Ever 0.3.0, a copy of which lies in `fixtures` with its licence (MIT)."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from quince.eval.engines.base import Sampling
from quince.eval.measure.evaluate import Evaluation
from quince.eval.measure.metrics import KL_METRICS, Metric
from quince.eval.measure.problems import Answer, Problem
from quince.eval.measure.records import SCHEMA_VERSION, write_record
from quince.eval.measure.settings import KlSettings, Settings
from quince.eval.measure.statistics import LEAST_UNITS, Interval
from quince.rewards.base import OUTCOMES

jsonschema = pytest.importorskip("jsonschema")
SCHEMA = Path(__file__).parents[2] / "fixtures" / "every_eval_ever" / f"eval-{SCHEMA_VERSION}.schema.json"
SETTINGS = Settings(
    suite="sums",
    model="org/name",
    revision="main",
    model_fingerprint=None,
    dtype="auto",
    engine="vllm",
    engine_version="0.31",
    sampling=Sampling(n=6),
    reward={"kind": "countdown", "cyrillic": "да"},
    data=[{"kind": "countdown", "split": "test"}],
    rows_sha256="r",
    template_sha256="t",
)


def problem(name: str, outcomes: tuple[str, ...], cluster: str | None = None) -> Problem:
    answers = tuple(
        Answer(o, 6 // len(outcomes), {"correct": 1.0, "wrong": 0.0}.get(o), o, o == "correct", o, 2, -0.5, False)
        for o in outcomes
    )
    return Problem(name, "t", "q", {"answer": "1"}, answers, replace(answers[0], count=1), cluster)


def written(folder, problems, settings=SETTINGS, **more) -> dict:
    evaluation = Evaluation(tuple(problems), settings.sampling, (1, 2), **more)
    return json.loads(write_record(folder, evaluation, settings).read_text(encoding="utf-8"))


def problems_of(data: dict) -> list[str]:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert schema["version"] == SCHEMA_VERSION
    validator = jsonschema.validators.validator_for(schema)(schema)
    return [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(data)]


KL = {name: Metric(name, "nats", Interval(0.2, -0.1, 0.4, 0.95), 3) for name in KL_METRICS}
CASES = {
    "both outcomes": ([problem("a", ("correct", "wrong")), problem("b", ("wrong",))], {}),
    "one problem": ([problem("a", ("correct",))], {}),
    "every outcome": ([problem("a", OUTCOMES), problem("b", ("correct", "wrong"))], {}),
    "clusters": ([problem(str(i), ("correct", "wrong"), f"c{i % 2}") for i in range(4)], {}),
    "seconds and a divergence": ([problem("a", ("wrong",))], {"seconds": {"generate": 1.5}, "kl": KL}),
}


@pytest.mark.parametrize("case", CASES)
def test_records_are_valid(tmp_path, case):
    problems, more = CASES[case]
    settings = replace(SETTINGS, kl=KlSettings("tiny", None, "f", "float32", 64, 2)) if "kl" in more else SETTINGS
    data = written(tmp_path, problems, settings, **more)
    assert problems_of(data) == []
    assert len(data["evaluation_results"]) > 8


def test_the_schema_is_looked_at(tmp_path):
    data = written(tmp_path, CASES["one problem"][0])
    del data["evaluation_results"][0]["metric_config"]["max_score"]
    data["model_info"]["additional_details"]["deployment_type"] = "mine"
    data["more"] = 1
    assert len(problems_of(data)) >= 2


@pytest.mark.parametrize("case", CASES)
def test_scores_lie_within_their_bounds(tmp_path, case):
    # What the project's own validator asks for beyond the schema.
    problems, more = CASES[case]
    for result in written(tmp_path, problems, **more)["evaluation_results"]:
        low, high = (float(result["metric_config"][name]) for name in ("min_score", "max_score"))
        score = result["score_details"]["score"]
        uncertainty = result["score_details"]["uncertainty"]
        assert low <= score <= high
        assert ("confidence_interval" in uncertainty) == (
            uncertainty["num_samples"] >= LEAST_UNITS and case != "clusters"
        )
        bounds = uncertainty.get("confidence_interval", {})
        assert all(math.isfinite(bounds[name]) for name in bounds if name != "method")
