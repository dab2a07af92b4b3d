"""Loss and gradient norm of twenty steps of probe training, for every loss, gradient and target, against a file.

As in `test_curves.py`: one thread, float32, plain gradient descent. Where a change is meant:

    QUINCE_UPDATE_CURVES=1 python -m pytest tests/golden
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("coverage_curves.json")
UPDATE = "QUINCE_UPDATE_CURVES" in os.environ

SETTINGS = [
    "data={values: 8, rows: [120]}",
    "architecture={layers: 2, width: 16, heads: 2}",
    "evaluate_every=20",
    "trainer.optim=sgd",
    "trainer.learning_rate=0.5",
    "trainer.lr_scheduler_kwargs={num_decay_steps: 0}",
    "trainer.warmup_steps=0",
    "trainer.weight_decay=0.0",
    "trainer.max_steps=20",
    "trainer.logging_steps=1",
    "trainer.per_device_train_batch_size=32",
    "trainer.disable_tqdm=true",
]
CURVES = {
    "plain": [],
    "stablemax": ["loss=stablemax"],
    "perpendicular": ["gradient=perpendicular"],
    "cot": ["data.target=cot"],
    "filler": ["data.target=filler"],
    "non_tree": ["data.family=non_tree"],
    "modular addition": ["data={family: one_hop, values: 12, tables: modular_addition, seen: 1.0, rows: [72]}"],
}


@pytest.fixture(scope="module")
def curves():
    """The stored curves; where they are to be written anew, what the tests leave here."""
    if not UPDATE:
        yield json.loads(FILE.read_text(encoding="utf-8"))
        return
    fresh: dict[str, dict] = {}
    yield fresh
    FILE.write_text(json.dumps(fresh, indent=1) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_is_what_it_was(name, tmp_path, logged, curves):
    import torch
    from quince.recipes.config import load_recipe
    from quince.recipes.coverage.probe import build_trainer

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        trainer = build_trainer(load_recipe("coverage/tiny", [f"output_dir={tmp_path}", *SETTINGS, *CURVES[name]]))
        trainer.train()
    finally:
        torch.set_num_threads(threads)
    lines = logged(tmp_path)
    curve = {key: [line[key] for line in lines] for key in ("loss", "grad_norm")}
    if UPDATE:
        curves[name] = curve
    for key, values in curve.items():
        assert len(values) == 20
        assert values == pytest.approx(curves[name][key], rel=1e-5, abs=1e-6), key


def test_every_kind_has_a_curve_of_its_own(curves):
    assert set(curves) == set(CURVES)
    assert len({json.dumps(curve) for curve in curves.values()}) == len(CURVES)
