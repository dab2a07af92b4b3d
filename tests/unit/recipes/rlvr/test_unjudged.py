"""A training checks its rows first, has one writer, and does not end well when nothing was judged."""

from __future__ import annotations

import json

import pytest
from quince.data.cache import FileError, one_writer
from quince.data.rows import RowError
from quince.recipes.parts.preflight import judgeable
from quince.recipes.rlvr.samples import UnjudgedError
from quince.recipes.rlvr.train import run
from quince.recipes.run.run_folder import keep_lines
from quince.rewards.answers.text import ExactMatch
from quince.rewards.base import Verdict


@pytest.fixture
def exact(toy, tmp_path):
    """The toy recipe on a file of rows with `exact_match`."""

    def load(rows, *overrides):
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        data = f"data=[{{kind: jsonl, path: {tmp_path / 'rows.jsonl'}}}]"
        return toy(data, "rewards=[{kind: exact_match}]", "split=null", *overrides)

    return load


def row(index, words=1, **columns):
    prompt = [{"role": "user", "content": "word " * words}]
    return {"id": f"r{index}", "task": "t", "prompt": prompt, "accepted": '["4"]', **columns}


def no_model(*_, **__):
    pytest.fail("a model was loaded")


def test_rows_are_tried_before_a_model_is_loaded(exact, monkeypatch):
    monkeypatch.setattr("quince.recipes.parts.models.load_policy", no_model)
    bad = [row(i) for i in range(8)] + [row(8, accepted=None), row(9, accepted="[]")]
    with pytest.raises(RowError, match=r"^data · rows that cannot be judged: 2 of 10 · r8: no reward can read it"):
        run(exact(bad))


def test_prompts_are_measured_before_a_model_is_loaded(exact, monkeypatch):
    monkeypatch.setattr("quince.recipes.parts.models.load_policy", no_model)
    with pytest.raises(RowError, match=r"1 of 5 prompts are too long, the longest is r4 with \d+ tokens · 249 fit"):
        run(exact([*(row(i) for i in range(4)), row(4, 400)]))


def test_a_run_has_one_writer(exact, monkeypatch, tmp_path):
    monkeypatch.setattr("quince.recipes.parts.models.load_policy", no_model)
    with one_writer(tmp_path / "run"), pytest.raises(FileError, match=r"run · process \d+ on .+ is writing there"):
        run(exact([row(i) for i in range(8)]))


def test_a_training_in_which_nothing_is_judged_fails_with_the_reason(exact, monkeypatch, tmp_path):
    monkeypatch.setattr(
        ExactMatch, "judge_batch", lambda self, texts, rows: [Verdict(None, "skipped", "why")] * len(rows)
    )
    monkeypatch.setattr("quince.recipes.rlvr.split.judgeable", lambda rows, *_: list(rows))
    with pytest.raises(UnjudgedError, match=r"no completion could be judged in 3 steps · of row r0, exact_match: why"):
        run(exact([row(i) for i in range(8)]))
    assert not (tmp_path / "run" / "model").exists()


def test_judging_is_the_rewards_own(exact):
    good = [row(i) for i in range(3)]
    assert judgeable(good, [ExactMatch()], 0.0, "data") == good


def test_a_resumed_log_loses_its_cut_line_and_later_steps(tmp_path, caplog):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1, "loss": NaN}\n{"step": 2, "loss": 0.25}\n{"step": 3}\n{"step": 4, "lo')
    keep_lines(file, 2)
    assert file.read_text() == '{"step": 1, "loss": NaN}\n{"step": 2, "loss": 0.25}\n'
    assert "metrics.jsonl:4 · the last line is cut off" in caplog.text
    file.write_text('{"step": 1\n{"step": 2}\n')
    with pytest.raises(FileError, match=r"metrics\.jsonl:1 · not JSON"):
        keep_lines(file, 2)
    keep_lines(file, 0)
    assert file.read_text() == ""
