from __future__ import annotations

import json
from dataclasses import replace

import pytest
from quince.eval.compression import measures
from quince.eval.compression.costs import Timing
from quince.eval.compression.results import CAPSULE, FULL, NONE, RANDOM_FACTS, SWAPPED, Results
from quince.eval.compression.seeds import SeedsError, over_seeds, pool
from quince.eval.measure.statistics import bounded_mean
from quince.eval.show.tables import spread
from quince.scripts.bench.compression import capsules


def run(right: float, written: int = 12, grounded: float | None = 1.0, seconds: float = 2.0) -> Results:
    """Eight passages of which every capsule is worth the same."""
    shares = {FULL: 1.0, CAPSULE: right, RANDOM_FACTS: 0.5, SWAPPED: 0.0, NONE: 0.0}
    return Results(
        ids=[str(i) for i in range(8)],
        readers=["a", "b"],
        right={source: {name: [share] * 8 for name in "ab"} for source, share in shares.items()},
        tokens={source: {name: [100 if source == FULL else 12] * 8 for name in "ab"} for source in shares},
        budgets=[12] * 8,
        written=[written] * 8,
        stopped=[True] * 8,
        grounded=[grounded] * 8,
        similarity=[0.5] * 8,
        compressor_read=[110] * 8,
        compressor_written=[13] * 8,
        timings={name: [Timing(8, seconds, 4.0, 1.0)] for name in "ab"},
    )


def test_runs_are_averaged_by_passage_and_counted_over_capsules():
    of = pool([run(0.75, seconds=1.0), run(0.25, written=20, grounded=None, seconds=5.0), run(0.5, seconds=3.0)])
    assert measures.accuracy(of, CAPSULE, "a").estimate == 0.5
    assert measures.over_budget(of).estimate == pytest.approx(1 / 3)
    assert len(of.written) == 24 and len(of.right[CAPSULE]["a"]) == 8
    assert of.grounded == [1.0] * 8
    assert of.timings["b"] == [Timing(8, 3.0, 4.0, 1.0)]


def test_one_run_is_itself():
    assert pool([run(0.75)]) == run(0.75)


def test_the_range_over_seeds():
    runs = [run(0.75), run(0.25)]
    assert over_seeds(runs, lambda r: measures.accuracy(r, CAPSULE, "a")) == (0.25, 0.75)
    assert over_seeds([run(0.0), run(0.5)], lambda r: measures.transfer(r, "b")) is None


def test_runs_of_other_passages_are_refused():
    with pytest.raises(SeedsError, match="passages"):
        pool([run(0.5), replace(run(0.5), ids=[str(i) for i in range(1, 9)])])


def test_the_page_says_what_held(tmp_path):
    runs = {
        "grpo_0": run(0.95),
        "grpo_1": run(0.85),
        "sft_0": replace(run(0.3, grounded=0.95), similarity=[-0.5] * 8),
        "semantics_0": replace(run(0.1), similarity=[0.9] * 8),
        "early_0": run(0.3, grounded=0.95),
        "grounding_0": run(0.6, grounded=1.0),
        "no_grounding_0": run(0.6, grounded=0.7),
        "no_gate_0": run(0.6, written=24),
        "paper_0": run(0.3),
    }
    for name, results in runs.items():
        file = tmp_path / "runs" / name / "compression" / "analysis.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"settings_hash": "x", "data": results.as_dict()}))
    found = capsules.report(tmp_path / "runs", tmp_path / "out")
    text = capsules.render(found)
    held = {aim["what"]: aim["held"] for aim in found["aims"]}
    assert held.pop("paper mode: right, %") is None
    assert all(held.values())
    right = spread(bounded_mean([0.9] * 8), "proportion")
    assert f"| grpo | 2 | {right} | 85.0 to 95.0 |" in text.replace("\\", "")
    assert (tmp_path / "out" / "compression" / "compression_tiny_1_1.svg").is_file()


def test_what_does_not_hold_is_said():
    short = {aim.what: aim.held for aim in capsules.main_aims(run(0.6, written=14))}
    assert short["length cut, %"] and not short["capsules written over the budget, %"]
    assert not short["right minus random facts, reader a, points"]
