"""Loss and gradient norm of twenty steps of probe training, for every loss, gradient and target, against a file.

As in `test_curves.py`: one thread, float32, plain gradient descent in small steps. Where a change is meant:

    QUINCE_UPDATE_CURVES=1 python -m pytest tests/golden
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import SECONDS

FILE = Path(__file__).with_name("coverage_curves.json")

SETTINGS = [
    "data={values: 8, rows: [120]}",
    "architecture={layers: 2, width: 16, heads: 2}",
    "evaluate_every=20",
    "trainer.optim=sgd",
    "trainer.learning_rate=0.03",
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


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_is_what_it_was(name, train, curves):
    curves.check(name, train("coverage/tiny", *SETTINGS, *CURVES[name]))


def test_every_kind_has_a_curve_of_its_own(curves):
    curves.check_names(CURVES)


def test_the_curves_are_cheap(spent):
    assert sum(spent) < SECONDS
