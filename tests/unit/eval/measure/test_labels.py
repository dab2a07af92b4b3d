from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from quince.eval.engines.base import Sampling
from quince.eval.measure.records import Record, differing, record_labels, suite_labels
from quince.eval.measure.settings import Settings

SETTINGS = Settings(
    suite="sums",
    model="runs/one/model",
    revision=None,
    model_fingerprint="abcdefghij",
    dtype="float32",
    engine="vllm",
    engine_version="1",
    sampling=Sampling(n=4),
    reward={"kind": "math"},
    data=[],
    rows_sha256="0123456789",
    template_sha256="fedcba98",
)


def record(folder: str, **changes: object) -> Record:
    """A record in a folder; fields of `Sampling` may be named too."""
    drawn = {name: changes.pop(name) for name in list(changes) if hasattr(SETTINGS.sampling, name)}
    settings = replace(SETTINGS, sampling=replace(SETTINGS.sampling, **drawn), **changes)
    return Record(Path(folder), settings, (1,), {}, {}, "2026-01-01")


def names(*records: Record) -> list[str]:
    return [record_labels(records)[str(r.folder)] for r in records]


@pytest.mark.parametrize("suite", ["sums", "words"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"temperature": 1.3}, ("temperature 1.0", "temperature 1.3")),
        ({"n": 16}, ("n 4", "n 16")),
        ({"max_tokens": 512}, ("max tokens 64", "max tokens 512")),
        ({"top_p": 0.9, "seed": 1}, ("top p 1.0, seed 0", "top p 0.9, seed 1")),
        ({"template_sha256": "1234567890"}, ("template fedcba", "template 123456")),
        ({"model_fingerprint": "other"}, ("weights abcdefgh", "weights other")),
        ({"engine": "transformers"}, ("engine vllm 1", "engine transformers 1")),
        ({"longest": 100}, ("prompts cut to None", "prompts cut to 100")),
    ],
)
def test_records_of_one_model_are_named_by_what_differs(changes, said, suite):
    """In one suite or in two: a line of the board never has figures of both."""
    found = names(record("a/sums"), record(f"b/{suite}", suite=suite, **changes))
    assert found == [f"one ({text})" for text in said]
    assert names(record("x"), record("y", suite=suite, **changes)) == found


def test_suites_of_one_evaluation_share_a_name():
    both = record("a/sums"), record("a/words", suite="words", n=16)
    assert names(*both) == ["one", "one"]
    assert names(*both, record("b/sums", model="runs/two/model")) == ["one", "one", "two"]
    assert names(*both, record("b/sums")) == ["one (n 16/4)", "one (n 16/4)", "one (n 4)"]


def test_equal_evaluations_of_other_suites_share_a_name_and_of_one_suite_do_not():
    assert names(record("a/sums"), record("b/words", suite="words")) == ["one", "one"]
    assert names(record("a/sums"), record("b/sums")) == ["one (in a)", "one (in b)"]


def test_suites_of_one_name_are_named_by_rows_and_judge():
    one, rows, judge = record("a"), record("b", rows_sha256="zzzzzzzz"), record("c", reward={"kind": "text"})
    assert set(suite_labels([one, record("d")]).values()) == {"sums"}
    assert suite_labels([one, rows]) == {"a": "sums (rows 012345)", "b": "sums (rows zzzzzz)"}
    found = suite_labels([one, judge])
    assert len(set(found.values())) == 2 and all(name.startswith("sums (reward ") for name in found.values())


def test_settings_that_differ_between_models_are_said():
    assert differing([record("a"), record("b", model="runs/two/model", model_fingerprint="x")]) == []
    assert differing([record("a"), record("b", temperature=0.0, n=1)]) == ["n", "temperature"]
    assert differing([]) == []
