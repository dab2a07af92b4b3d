"""Loss and gradient norm of twenty steps, for every divergence and every advantage, against a file.

A change of the method changes the curves. Where that is meant, write them anew and look at the difference:

    QUINCE_UPDATE_CURVES=1 python -m pytest tests/golden

The policy is a random model on one thread in float32. Its optimizer is plain gradient descent, since Adam divides
gradients that are rounding errors by their own size.
"""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("curves.json")
UPDATE = "QUINCE_UPDATE_CURVES" in os.environ
TOLERANCE = {"rel": 1e-6, "abs": 1e-6}

SETTINGS = [
    "rewards=[{kind: format, pattern: '(?s).*[A-Za-z].*'}]",
    "trainer.optim=sgd",
    "trainer.learning_rate=0.5",
    "trainer.max_steps=20",
]
CURVES = {
    "none": [],
    "forward_kl": ["divergence={kind: forward_kl, weight: 1.0}"],
    "forward_kl on lost tokens": ["divergence={kind: forward_kl, weight: 1.0, tokens: lost}"],
    "forward_kl top_k": ["divergence={kind: forward_kl, weight: 1.0, estimator: top_k, top_k: 8}"],
    "reverse_kl": ["divergence={kind: reverse_kl, weight: 1.0}"],
    "jensen_shannon": ["divergence={kind: jensen_shannon, weight: 1.0}"],
    "jensen_shannon full": ["divergence={kind: jensen_shannon, weight: 1.0, estimator: full}"],
    "alpha": ["divergence={kind: alpha, alpha: 0.3, weight: 1.0}"],
    "nll": ["divergence={kind: nll, weight: 0.5, aggregate: sequence_mean}"],
    "k1 in the reward": ["divergence={kind: reverse_kl, on: rollouts, weight: 0.1, estimator: k1_reward}"],
    "k2 loss": ["divergence={kind: reverse_kl, on: rollouts, weight: 1.0, estimator: k2_loss}"],
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


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> list[str]:
    """A random model and questions that depend on nothing but this file, as overrides of the toy recipe."""
    import torch
    from quince.recipes.config.pretrain import Architecture
    from quince.recipes.pretrain.tokenizer import train_tokenizer
    from quince.recipes.pretrain.train import new_model

    folder = tmp_path_factory.mktemp("golden")
    questions = [{"role": "user", "content": f"{number} + {number * 7 % 13}"} for number in range(12)]
    tokenizer = train_tokenizer([{"messages": questions}], vocab_size=288, max_length=64)
    sizes = {"hidden_size": 16, "layers": 2, "heads": 2, "kv_heads": 1, "head_dim": 8, "intermediate_size": 32}
    torch.manual_seed(0)
    model = new_model(Architecture(**sizes, max_positions=64), tokenizer)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *range(3, 288, 4)]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    rows = [{"id": str(number), "task": "sum", "prompt": [question]} for number, question in enumerate(questions)]
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return [f"model.id={folder}", f"data=[{{kind: jsonl, path: {folder / 'rows.jsonl'}}}]"]


@pytest.fixture(scope="module")
def curves():
    """The stored curves; where they are to be written anew, what the tests leave here."""
    if not UPDATE:
        yield json.loads(FILE.read_text(encoding="utf-8"))["curves"]
        return
    fresh: dict[str, dict] = {}
    yield fresh
    versions = {name: version(name) for name in ("torch", "transformers", "trl", "accelerate")}
    FILE.write_text(json.dumps({"versions": versions, "curves": fresh}, indent=1) + "\n", encoding="utf-8")


@pytest.fixture
def one_thread():
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_is_what_it_was(name, toy, logged, world, curves, one_thread):
    from quince.recipes.rlvr.train import build_trainer

    loaded = toy(*world, *SETTINGS, *CURVES[name])
    trainer = build_trainer(loaded)
    trainer.train()
    lines = logged(loaded.recipe.output_dir)
    curve = {key: [line[key] for line in lines] for key in ("loss", "grad_norm")}
    if UPDATE:
        curves[name] = curve
    for key, values in curve.items():
        assert len(values) == 20
        assert values == pytest.approx(curves[name][key], **TOLERANCE), key


def test_every_kind_has_a_curve_of_its_own(curves):
    told_apart = {json.dumps(curve) for curve in curves.values()}
    assert set(curves) == set(CURVES)
    assert len(told_apart) == len(CURVES)
