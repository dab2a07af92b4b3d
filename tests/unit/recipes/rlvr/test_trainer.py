"""The trainer around the objective: whose verdict counts, which rows train, what an entropy bonus does."""

from __future__ import annotations

import pytest
import torch
from quince.recipes.rlvr import objective
from quince.recipes.rlvr.train import build_trainer


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")


def rolled_out(trainer) -> dict[str, torch.Tensor]:
    trainer.model.train()
    trainer.current_gradient_accumulation_steps, trainer.micro_batches = 1, []
    return trainer.rolled_out([trainer.train_dataset[index // 8] for index in range(16)])


@pytest.mark.parametrize("weight", [0.5, 1.0, 3.0])
def test_correct_completions_gain_whatever_their_weight(toy, weight):
    trainer = build_trainer(toy("advantage={kind: w_reinforce}", f"rewards.0.weight={weight}"))
    batch = rolled_out(trainer)
    correct = batch["rewards"] == weight
    assert 0 < correct.sum() < 16
    torch.testing.assert_close(batch["advantages"], torch.where(correct, 0.1, -1.0))


@pytest.mark.parametrize(
    ("overrides", "skips"),
    [
        ([], True),
        (["trainer.top_entropy_quantile=0.5"], False),  # the quantile is one of all tokens
        (["trainer.entropy_coef=0.01"], False),
        (["divergence={kind: reverse_kl, on: rollouts, weight: 0.1, estimator: k2_loss}"], False),
        (["advantage={kind: group, skip_zero_variance: false}"], False),
    ],
)
def test_rows_without_advantage_train_where_they_count(toy, overrides, skips):
    assert build_trainer(toy(*overrides)).skip_zero_variance is skips


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo"])
def test_leaving_out_rows_without_advantage_keeps_loss_and_gradient(toy, loss_type):
    trainer = build_trainer(toy(f"trainer.loss_type={loss_type}"))
    batch = rolled_out(trainer)
    batch["advantages"] = torch.linspace(-1, 2, 16) * (torch.arange(16) % 3 > 0)
    found = []
    for trainer.skip_zero_variance in (False, True):
        trainer.model.zero_grad()
        loss = trainer.compute_loss(trainer.model, dict(batch))
        loss.backward()
        found.append((loss.detach(), torch.cat([weight.grad.flatten() for weight in trainer.model.parameters()])))
    torch.testing.assert_close(*found, atol=1e-6, rtol=0)


def test_the_entropy_quantile_is_that_of_all_rows(toy):
    trainer = build_trainer(toy("trainer.top_entropy_quantile=0.3", "trainer.loss_type=grpo"))
    batch = rolled_out(trainer)
    batch["advantages"][::2] = 0
    with_all = trainer.compute_loss(trainer.model, dict(batch))
    with_all.backward()
    ours = torch.cat([weight.grad.flatten() for weight in trainer.model.parameters()])
    trainer.model.zero_grad()
    trainer.loss_type = trainer.args.loss_type
    super(type(trainer), trainer)._compute_loss(trainer.model, dict(batch)).backward()
    theirs = torch.cat([weight.grad.flatten() for weight in trainer.model.parameters()])
    assert torch.allclose(ours, theirs, atol=1e-6) and theirs.abs().max() > 1e-4


@pytest.mark.parametrize("share_prompts", [False, True])
def test_the_entropy_bonus_has_a_gradient_of_its_own(toy, share_prompts):
    gradients = []
    for bonus in (0.0, 0.1):
        trainer = build_trainer(toy(f"trainer.entropy_coef={bonus}", f"share_prompts={str(share_prompts).lower()}"))
        batch = rolled_out(trainer)
        batch["advantages"] = torch.linspace(-1, 1, 16)
        trainer.compute_loss(trainer.model, batch).backward()
        gradients.append(torch.cat([weight.grad.flatten() for weight in trainer.model.parameters()]))
    assert (gradients[0] - gradients[1]).abs().max() > 1e-5


def test_adaptive_entropy_moves_the_weight_towards_the_target(toy):
    overrides = ["trainer.use_adaptive_entropy=true", "trainer.entropy_target=100.0", "trainer.entropy_coef_delta=0.01"]
    trainer = build_trainer(toy(*overrides))
    before = trainer.entropy_coef
    trainer.compute_loss(trainer.model, rolled_out(trainer))
    assert trainer.entropy_coef == pytest.approx(before + 0.01)
    assert objective.entropy_bonus(torch.ones(1, 2), torch.ones(1, 2), 1) == 1
