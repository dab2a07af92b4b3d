"""The objective against TRL's own loss, value and gradient, and its parts against their definitions."""

from __future__ import annotations

import os
from collections import defaultdict
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from quince.recipes.config.trainer_fields import CHOICES
from quince.recipes.methods.divergences import k3
from quince.recipes.rlvr import objective
from quince.recipes.rlvr.objective import Counts, PolicySettings, Rollouts

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
from trl import GRPOConfig, GRPOTrainer

LOSS_TYPES = CHOICES["rlvr"]["loss_type"]
OPTIONS = {
    "as it is": {},
    "sequence ratios": {"importance_sampling_level": "sequence"},
    "two-sided clipping": {"delta": 1.4, "epsilon_high": 0.28},
    "off-policy rows masked": {"off_policy_mask_threshold": 0.01},
    "high entropy only": {"top_entropy_quantile": 0.4},
    "engine corrected": {"use_vllm": True},
    "other shapes": {"sapo_temperature_neg": 2.0, "vespo_k_pos": 1.0, "vespo_lambda_neg": 0.5, "epsilon": 0.05},
}


class Alone:
    """An accelerator of one process."""

    num_processes = 1
    gather = staticmethod(lambda value: value)
    reduce = staticmethod(lambda value, reduction="sum": value)
    pad_across_processes = staticmethod(lambda value, **_: value)


def settings(**options) -> tuple[GRPOConfig, PolicySettings]:
    """TRL's configuration, and what the objective reads of it."""
    options = {"epsilon_high": 0.3, "max_completion_length": 9} | options
    options.pop("use_vllm", None)  # needs the library
    args = GRPOConfig(output_dir="unused", use_cpu=True, bf16=False, report_to="none", **options)
    return args, PolicySettings.read(partial(getattr, args))


def batch(seed: int = 0, rows: int = 6, tokens: int = 5) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)
    mask = (torch.arange(tokens) < torch.randint(1, tokens + 1, (rows, 1), generator=generator)).long()
    new = -draw(rows, tokens).abs()
    return {
        "log_probs": new.requires_grad_(),
        "old": new.detach() + 0.3 * draw(rows, tokens),
        "reference": new.detach() + 0.3 * draw(rows, tokens),
        "engine": new.detach() + 0.3 * draw(rows, tokens),
        "correction": 1 + 0.1 * draw(rows, tokens),
        "entropies": draw(rows, tokens).abs(),
        "advantages": draw(rows),
        "mask": mask,
    }


def loss_of_trl(args: GRPOConfig, given: dict[str, torch.Tensor], accumulation: int, vllm: bool) -> torch.Tensor:
    """TRL's `_compute_loss` of a trainer that has nothing but these settings."""
    trainer = SimpleNamespace(
        args=args,
        accelerator=Alone(),
        model=SimpleNamespace(training=True),
        loss_type=args.loss_type,
        beta=args.beta,
        importance_sampling_level=args.importance_sampling_level,
        epsilon_low=args.epsilon,
        epsilon_high=args.epsilon_high,
        max_completion_length=args.max_completion_length,
        off_policy_mask_threshold=args.off_policy_mask_threshold,
        top_entropy_quantile=args.top_entropy_quantile,
        use_vllm=vllm,
        vllm_importance_sampling_correction=vllm,
        current_gradient_accumulation_steps=accumulation,
        aux_loss_enabled=False,
        _entropy_bonus_enabled=False,
        _metrics=defaultdict(lambda: defaultdict(list)),
        get_off_policy_mask=GRPOTrainer.get_off_policy_mask,
        get_gamma_weights=GRPOTrainer.get_gamma_weights,
        _get_per_token_logps_and_entropies=lambda *_, **__: (given["log_probs"], given["entropies"], None),
    )
    trainer.get_high_entropy_mask = partial(GRPOTrainer.get_high_entropy_mask, trainer)
    ids = torch.zeros_like(given["mask"])
    inputs = {
        "prompt_ids": ids,
        "prompt_mask": ids,
        "completion_ids": ids,
        "completion_mask": given["mask"],
        "advantages": given["advantages"],
        "old_per_token_logps": given["old"],
        "ref_per_token_logps": given["reference"],
        "num_items_in_batch": 2 * given["mask"].sum(),
    }
    if vllm:
        inputs |= {"sampling_per_token_logps": given["engine"], "importance_sampling_ratio": given["correction"]}
    return GRPOTrainer._compute_loss(trainer, None, inputs)


def ours(
    args: GRPOConfig, policy: PolicySettings, given: dict[str, torch.Tensor], accumulation: int, vllm: bool
) -> tuple[Rollouts, Counts]:
    chosen = None
    if args.top_entropy_quantile < 1:
        trainer = SimpleNamespace(accelerator=Alone())
        chosen = GRPOTrainer.get_high_entropy_mask(
            trainer, given["entropies"], given["mask"], 1 - args.top_entropy_quantile
        )
    rollouts = Rollouts(
        given["log_probs"],
        given["old"],
        given["advantages"].unsqueeze(1),
        given["mask"],
        engine_log_probs=given["engine"] if vllm else None,
        correction=given["correction"] if vllm else None,
        chosen=chosen,
    )
    tokens = given["mask"].sum()
    return rollouts, Counts(len(tokens.new_zeros(6)) * accumulation, tokens * accumulation, 2 * tokens * accumulation)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_the_policy_term_is_that_of_trl(loss_type, name):
    args, policy = settings(loss_type=loss_type, steps_per_generation=1, **OPTIONS[name])
    vllm, given = "use_vllm" in OPTIONS[name], batch()
    theirs = loss_of_trl(args, given, 1, vllm)
    mine = objective.policy(policy, *ours(args, policy, given, 1, vllm))
    gradients = [torch.autograd.grad(value, given["log_probs"], retain_graph=True)[0] for value in (theirs, mine)]
    assert mine.item() == pytest.approx(theirs.item(), abs=1e-6) and abs(theirs.item()) > 1e-6
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=0)
    assert gradients[0].abs().max() > 1e-5


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_micro_batches_weigh_as_in_trl(loss_type):
    args, policy = settings(loss_type=loss_type, steps_per_generation=3, gradient_accumulation_steps=3)
    given = batch()
    theirs = loss_of_trl(args, given, 3, False)
    rollouts, counts = ours(args, policy, given, 3, False)
    counts = Counts(counts.rows, counts.micro_tokens, 2 * given["mask"].sum() * 3 / args.steps_per_generation)
    assert objective.policy(policy, rollouts, counts).item() == pytest.approx(theirs.item(), abs=1e-6)


def test_the_k3_divergence_on_rollouts_is_the_kl_term_of_trl():
    given = batch()
    plain = {"loss_type": "dapo", "steps_per_generation": 1, "use_bias_correction_kl": False}
    pair = [settings(beta=beta, **plain) for beta in (0.0, 0.3)]
    without, with_kl = (loss_of_trl(args, given, 1, False) for args, _ in pair)
    _, counts = ours(*pair[0], given, 1, False)
    term = 0.3 * objective.on_rollouts(k3, given["log_probs"], given["reference"], given["mask"], counts)
    assert term.item() == pytest.approx((with_kl - without).item(), abs=1e-6)
    gradients = [torch.autograd.grad(value, given["log_probs"])[0] for value in (term, with_kl - without)]
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=0)


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_rows_without_advantage_can_go_and_pieces_add_up(loss_type):
    args, policy = settings(loss_type=loss_type, steps_per_generation=1)
    given = batch()
    given["advantages"][[1, 4]] = 0
    rollouts, counts = ours(args, policy, given, 1, False)

    def part(rows: list[int]) -> torch.Tensor:
        names = ("log_probs", "old_log_probs", "advantages", "mask")
        return objective.policy(policy, Rollouts(*(getattr(rollouts, name)[rows] for name in names)), counts)

    whole = objective.policy(policy, rollouts, counts)
    torch.testing.assert_close(whole, part([0, 2, 3, 5]))
    torch.testing.assert_close(whole, part([0, 1]) + part([2, 3, 4]) + part([5]))


def test_the_loss_is_policy_plus_weight_times_rehearsal():
    assert objective.loss(torch.tensor(2.0), torch.tensor(3.0), 0.5).item() == 3.5
    assert (objective.loss(policy=torch.tensor(2.0)) + objective.loss(rehearsal=torch.tensor(3.0), weight=0.5)) == 3.5


def test_k1_in_the_reward_takes_off_the_log_ratio_of_the_sequence():
    mask, ratio = torch.tensor([[1, 1], [1, 0]]), torch.tensor([[0.5, 1.0], [2.0, 9.0]])
    found = objective.k1_in_reward(torch.tensor([1.0, torch.nan]), ratio, mask, 0.1)
    assert found[0].item() == pytest.approx(0.85) and found[1].isnan()


def test_the_entropy_bonus_is_a_mean_over_tokens():
    mask = torch.tensor([[1, 1], [1, 0]])
    assert objective.entropy_bonus(torch.tensor([[1.0, 2.0], [6.0, 9.0]]), mask, 2).item() == 1.5


def test_every_loss_type_of_recipes_has_its_average():
    assert set(objective.AGGREGATES) == set(LOSS_TYPES)
