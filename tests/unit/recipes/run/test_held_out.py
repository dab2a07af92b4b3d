"""Held-out rows are measured while training, and the best model so far is kept."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
import torch
from quince.recipes.config import RecipeErrors, load_recipe
from quince.recipes.rlvr.rollouts import passes_at_k
from quince.recipes.run.held_out import BEST_FOLDER, KeepsBest, evaluation_options

SFT = """kind: sft
model: {id: tiny}
data: [{kind: countdown, size: 12}]
held_out: {every: 1, data: [{kind: countdown, split: test, size: 4}]}
trainer: {max_steps: 2, per_device_train_batch_size: 4, logging_steps: 1, learning_rate: 1e-3, save_strategy: "no"}
"""
RLVR = """kind: rlvr
model: {id: tiny}
data: [{kind: countdown, size: 8}]
rewards: [{kind: countdown}]
held_out: {every: 2, data: [{kind: countdown, split: test, size: 3}], samples: 4, ks: [1, 4]}
trainer: {max_steps: 2, per_device_train_batch_size: 4, num_generations: 4, max_completion_length: 16, logging_steps: 1,
  save_strategy: "no"}
"""


def load(text, tmp_path, *overrides):
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    return load_recipe(str(tmp_path / "r.yaml"), [f"output_dir={tmp_path}/run", *overrides])


def keeper(folder, higher):
    saved = []

    def save(target):
        from pathlib import Path

        Path(target).mkdir(parents=True)
        (Path(target) / "model.txt").write_text(str(len(saved)), encoding="utf-8")
        saved.append(target)

    trainer = SimpleNamespace(save_model=save, accelerator=SimpleNamespace(wait_for_everyone=lambda: None))
    return KeepsBest(trainer, folder, "eval_x", higher)


def look(callback, step, value):
    state = SimpleNamespace(global_step=step, is_world_process_zero=True, log_history=[{"eval_x": value}])
    callback.on_evaluate(None, state, None, metrics={})


@pytest.mark.parametrize(("higher", "step"), [(True, 2), (False, 3)])
def test_the_strictly_best_model_is_kept(higher, step, tmp_path):
    callback = keeper(tmp_path, higher)
    for number, value in enumerate([0.5, 0.9, 0.1, 0.9, 0.1], start=1):
        look(callback, number, value)
    assert json.loads((tmp_path / "best.json").read_text())["step"] == step
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [BEST_FOLDER]


def test_a_resumed_run_knows_the_best_before_it_and_forgets_what_came_later(tmp_path):
    look(keeper(tmp_path, True), 10, 0.9)
    for start, step in ((20, 10), (5, 6)):
        callback = keeper(tmp_path, True)
        callback.on_train_begin(None, SimpleNamespace(global_step=start), None)
        look(callback, start + 1, 0.8)
        assert json.loads((tmp_path / "best.json").read_text())["step"] == step


def test_a_figure_that_is_missing_or_nan_is_not_the_best(tmp_path):
    callback = keeper(tmp_path, True)
    look(callback, 1, math.nan)
    look(callback, 2, None)
    look(callback, 3, 0.2)
    look(callback, 4, math.nan)
    assert json.loads((tmp_path / "best.json").read_text())["step"] == 3


def test_pass_at_k_of_judged_samples():
    correct = torch.tensor([[1.0, 0, 0, 0], [math.nan, 1, 1, 0], [math.nan, math.nan, math.nan, 1]])
    assert passes_at_k(correct, 1) == pytest.approx([1 / 4, 2 / 3, 1])
    assert passes_at_k(correct, 3) == pytest.approx([3 / 4, 1])
    assert passes_at_k(correct, 4) == pytest.approx([1])


def test_groups_stay_whole_in_a_batch_of_an_evaluation(tmp_path):
    options = evaluation_options(load(RLVR, tmp_path, "held_out.samples=3", "held_out.ks=[1]").recipe)
    assert (options["per_device_eval_batch_size"], options["num_generations_eval"]) == (3, 3)
    options = evaluation_options(load(RLVR, tmp_path, "trainer.per_device_train_batch_size=8").recipe)
    assert options["per_device_eval_batch_size"] == 8


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("held_out.ks=[8]", "k of at most 4"),
        ("held_out.data=[{kind: sql_idioms}]", "no reward can judge"),
        ("held_out.every=0", "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_measured_is_a_problem(override, words, tmp_path):
    with pytest.raises(RecipeErrors, match=words):
        load(RLVR, tmp_path, override)


@pytest.mark.parametrize(("text", "figure"), [(SFT, "eval_loss"), (RLVR, "eval_pass@4")], ids=["sft", "rlvr"])
def test_a_run_logs_its_held_out_figures_and_keeps_its_best_model(text, figure, tmp_path):
    from quince.recipes.rlvr.train import run as reinforce
    from quince.recipes.sft.train import run as tune

    loaded = load(text, tmp_path)
    folder = (tune if loaded.recipe.kind == "sft" else reinforce)(loaded)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    values = {line["step"]: line[figure] for line in lines if figure in line}
    assert set(values) == ({1, 2} if text is SFT else {2}) and all(map(math.isfinite, values.values()))
    best = json.loads((folder / "best.json").read_text(encoding="utf-8"))
    assert best[figure] == values[best["step"]] and (text is RLVR or best[figure] == min(values.values()))
    assert (folder / BEST_FOLDER / "model.safetensors").is_file()
