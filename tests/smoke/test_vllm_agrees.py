"""The shipped model through `quince eval` on real vLLM, against the same command on transformers."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest
from quince.eval.measure.records import read_record

TINY = Path(str(files("quince.data") / "tiny"))
RECIPE = """
extends: _base/eval.yaml
model: {id: tiny, dtype: float32}
suites:
  - name: greedy
    data: [{kind: sql_idioms, split: in_domain, size: 24}]
    reward: {kind: sql_execution}
    sampling: {n: 1, temperature: 0}
  - name: sampled
    data: [{kind: strategies, split: test, size: 24}]
    reward: {kind: exact_match}
    sampling: {n: 16}
    ks: [1, 4, 16]
"""

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.skipif(not (TINY / "config.json").exists(), reason="data/tiny is not built"),
]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """`{engine: {suite: record}}`; each engine in a process of its own, so that vLLM's ends with it."""
    folder = tmp_path_factory.mktemp("vllm")
    (folder / "agree.yaml").write_text(RECIPE)
    found = {}
    for engine in ("vllm", "transformers"):
        command = [sys.executable, "-m", "quince.recipes.cli", "eval", str(folder / "agree.yaml")]
        command += [f"engine.kind={engine}", f"output_dir={folder / engine}"]
        environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, env=environment, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        found[engine] = {suite: read_record(folder / engine / suite) for suite in ("greedy", "sampled")}
    return found


def test_greedy_answers_are_the_same(records):
    ours, theirs = (records[engine]["greedy"].problems() for engine in ("transformers", "vllm"))
    assert len(ours) == 24
    for a, b in zip(ours, theirs, strict=True):
        assert a.greedy.text == b.greedy.text
        assert a.greedy.tokens == b.greedy.tokens
        assert a.greedy.logprob == pytest.approx(b.greedy.logprob, abs=1e-3)
        assert (a.correct, a.outcomes) == (b.correct, b.outcomes)


def test_sampled_answers_have_the_same_distribution(records):
    ours, theirs = (records[engine]["sampled"].metrics["pass@1"].interval for engine in ("transformers", "vllm"))
    assert max(ours.low, theirs.low) <= min(ours.high, theirs.high)


def test_records_name_their_engine(records):
    assert {r["greedy"].settings.engine for r in records.values()} == {"vllm", "transformers"}
    assert records["vllm"]["greedy"].settings.engine_version != "unknown"
