"""How many files of the package one step of reinforcement learning runs through, with its rollouts and rewards."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MOST_FILES = 15
SMALL = [
    "data.0.size=24",
    "split.rollouts=2",
    "split.threshold=1",
    "rehearsal.batch_size=2",
    "trainer.max_steps=2",
    "trainer.max_completion_length=16",
    "trainer.num_generations=4",
    "trainer.per_device_train_batch_size=8",
    "trainer.save_strategy=no",
]


def test_a_step_runs_through_few_files(tmp_path, monkeypatch):
    from quince.recipes.config import load_recipe
    from quince.recipes.rlvr.train import build_trainer

    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    trainer = build_trainer(load_recipe("rlvr/tiny_dph_js", [f"output_dir={tmp_path / 'run'}", *SMALL]))
    step, files = trainer.training_step, set()

    def look(frame, event, argument):
        if event == "call" and not frame.f_code.co_filename.startswith("<"):
            files.add(frame.f_code.co_filename)

    def looked_at(*args, **kwargs):
        sys.setprofile(look)
        try:
            return step(*args, **kwargs)
        finally:
            sys.setprofile(None)

    monkeypatch.setattr(trainer, "training_step", looked_at)
    trainer.train()
    paths = [Path(file).resolve() for file in files]
    floors = [ROOT / name for name in ("data", "rewards", "eval", "recipes")]
    ours = sorted(str(path.relative_to(ROOT)) for path in paths if any(map(path.is_relative_to, floors)))
    assert {"recipes/rlvr/trainer.py", "recipes/rlvr/objective.py", "recipes/rlvr/store.py"} <= set(ours)
    assert len(ours) <= MOST_FILES, "\n".join(ours)
