"""Loss and gradient norm of twenty steps, for every divergence and every advantage, against a file.

A change of the method changes the curves. Where that is meant, write them anew and look at the difference:

    QUINCE_UPDATE_CURVES=1 python -m pytest tests/golden

The policy is a random model on one thread in float32, trained by `quince train`. Its optimizer is plain gradient
descent, since Adam divides gradients that are rounding errors by their own size. Its steps are so small that rounding,
which differs from processor to processor, stays below the tolerance for twenty of them: at five times the learning rate
curves of two processors come apart by up to 4e-5, at this one by 1e-7.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import SECONDS, questions

FILE = Path(__file__).with_name("curves.json")

SETTINGS = [
    "rewards=[{kind: format, pattern: '(?s).*[A-Za-z].*'}]",
    "trainer.optim=sgd",
    "trainer.learning_rate=0.1",
    "trainer.max_steps=20",
    "trainer.max_completion_length=5",
]
ACCUMULATED = ["trainer.per_device_train_batch_size=8", "trainer.gradient_accumulation_steps=2"]
JS_FULL = "divergence={kind: jensen_shannon, weight: 1.0, estimator: full}"
CURVES = {
    "none": [],
    "forward_kl": ["divergence={kind: forward_kl, weight: 1.0}"],
    "forward_kl on lost tokens": ["divergence={kind: forward_kl, weight: 1.0, tokens: lost}"],
    "forward_kl top_k": ["divergence={kind: forward_kl, weight: 1.0, estimator: top_k, top_k: 8}"],
    "reverse_kl": ["divergence={kind: reverse_kl, weight: 1.0}"],
    "jensen_shannon": ["divergence={kind: jensen_shannon, weight: 1.0}"],
    "jensen_shannon accumulated": ["divergence={kind: jensen_shannon, weight: 1.0}", *ACCUMULATED],
    "jensen_shannon full": [JS_FULL],
    "jensen_shannon full, cooler": [JS_FULL, "trainer.temperature=0.5"],
    "alpha": ["divergence={kind: alpha, alpha: 0.3, weight: 1.0}"],
    "nll": ["divergence={kind: nll, weight: 0.5, aggregate: sequence_mean}"],
    "k1 in the reward": ["divergence={kind: reverse_kl, on: rollouts, weight: 0.1, estimator: k1_reward}"],
    "k2 loss": ["divergence={kind: reverse_kl, on: rollouts, weight: 1.0, estimator: k2_loss}"],
    "k2 loss accumulated": [
        "divergence={kind: reverse_kl, on: rollouts, weight: 1.0, estimator: k2_loss}",
        *ACCUMULATED,
    ],
    "k3 loss": ["divergence={kind: reverse_kl, on: rollouts, weight: 1.0, estimator: k3_loss}"],
    "jensen_shannon by definition": ["divergence={kind: jensen_shannon_definition, weight: 1.0}"],
    "dr_grpo": ["advantage={kind: dr_grpo}"],
    "leave_one_out": ["advantage={kind: leave_one_out}"],
    "pass_at_k": ["advantage={kind: pass_at_k, k: 4}"],
    "pkpo": ["advantage={kind: pkpo, k: 4}"],
    "w_reinforce": ["advantage={kind: w_reinforce}"],
    "focal": ["advantage={kind: focal}"],
    "unlikeliness": ["advantage={kind: unlikeliness}"],
    "dynamic sampling": ["advantage={kind: group, dynamic_sampling_rounds: 1}", "trainer.num_generations=4"],
    "every row trains": ["advantage={kind: group, skip_zero_variance: false}", "trainer.num_generations=4"],
}
"""`none` is also the curve of the advantage `group`."""
ALIKE = [{"jensen_shannon", "jensen_shannon accumulated"}, {"k2 loss", "k2 loss accumulated"}]


@pytest.fixture(scope="module")
def world(golden_model, rows_file) -> list[str]:
    """Overrides of the toy recipe: the random model and its questions."""
    asked = enumerate(questions())
    rows = rows_file("sums", [{"id": str(number), "task": "sum", "prompt": [question]} for number, question in asked])
    return [f"model.id={golden_model}", f"data=[{{kind: jsonl, path: {rows}}}]"]


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_is_what_it_was(name, toy, train, world, curves):
    curves.check(name, train(toy().path, *world, *SETTINGS, *CURVES[name]))


def test_every_kind_has_a_curve_of_its_own(curves):
    curves.check_names(CURVES, ALIKE)


def test_the_curves_are_cheap(spent):
    assert sum(spent) < SECONDS
