"""Advantages against enumeration, and their handling of unjudged completions."""

import itertools
import math

import pytest
import torch
from quince.recipes.rlvr import advantages as a

NAN = float("nan")


def row(*rewards: float) -> torch.Tensor:
    return torch.tensor([rewards], dtype=torch.float64)


def test_group_equals_grpo():
    rewards = row(1, 0, 0, 1, 1, 0, 0, 0)
    expected = (rewards - rewards.mean()) / (rewards.std() + a.EPSILON)
    torch.testing.assert_close(a.group(rewards), expected)


def test_leave_one_out_equals_the_definition():
    rewards = row(1, 0, 0.5, 1)
    expected = [r - (rewards.sum().item() - r) / 3 for r in rewards[0].tolist()]
    torch.testing.assert_close(a.leave_one_out(rewards), row(*expected))


@pytest.mark.parametrize(
    "function",
    [a.group, a.dr_grpo, a.leave_one_out, a.pass_at_k(2), a.pkpo(2), a.focal(1.0)],
    ids=["group", "dr_grpo", "leave_one_out", "pass_at_k", "pkpo", "focal"],
)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_zero_variance_gives_zero(function, value):
    assert (function(torch.full((3, 8), value, dtype=torch.float64)) == 0).all()


@pytest.mark.parametrize("function", [a.group, a.dr_grpo, a.leave_one_out, a.w_reinforce(0.1), a.focal(1.0)])
def test_unjudged_completions_get_zero_and_change_no_mean(function):
    with_gap, without = function(row(1, NAN, 0, 0)), function(row(1, 0, 0))
    assert with_gap[0, 1] == 0
    torch.testing.assert_close(with_gap[:, [0, 2, 3]], without)
    assert (function(row(NAN, NAN)) == 0).all()


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("correct", range(1, 6))
def test_pass_at_k_is_the_mean_normalised_reward_of_the_sets_that_hold_a_completion(k, correct):
    rewards = [1.0] * correct + [0.0] * (6 - correct)
    best = {s: max(rewards[i] for i in s) for s in itertools.combinations(range(6), k)}
    mean = sum(best.values()) / len(best)
    spread = math.sqrt(mean * (1 - mean)) + a.EPSILON
    expected = []
    for i in range(6):
        mine = [value for s, value in best.items() if i in s]
        expected.append((sum(mine) / len(mine) - mean) / spread)
    torch.testing.assert_close(a.pass_at_k(k)(row(*rewards)), row(*expected), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_pkpo_equals_enumeration(k):
    rewards = [0.3, 1.0, 0.0, 0.7, 1.0]
    expected = []
    for i in range(5):
        others = [j for j in range(5) if j != i]
        if k == 1:
            expected.append(rewards[i] - sum(rewards[j] for j in others) / 4)
            continue
        sets = list(itertools.combinations(others, k - 1))
        gains = [max(0.0, rewards[i] - max(rewards[j] for j in s)) for s in sets]
        expected.append(sum(gains) / len(sets))
    torch.testing.assert_close(a.pkpo(k)(row(*rewards)), row(*expected), atol=1e-9, rtol=0)


def test_w_reinforce_punishes_fully_and_rewards_little():
    torch.testing.assert_close(a.w_reinforce(0.1)(row(1, 0, 1)), row(0.1, -1, 0.1))


def test_focal_turns_down_easy_groups():
    rewards = torch.stack([row(1, 1, 1, 0)[0], row(1, 0, 0, 0)[0]])
    scaled = a.focal(1.0)(rewards) / a.group(rewards)
    torch.testing.assert_close(scaled, torch.tensor([[0.25] * 4, [0.75] * 4], dtype=torch.float64))


def test_unlikeliness_pays_rare_correct_answers_more():
    rewards, log_probs = row(1, 1, 0, 0), row(-1, -9, -2, -3)
    advantages = a.unlikeliness(rewards, log_probs, strength=0.5)
    assert advantages[0, 1] > advantages[0, 0] > advantages[0, 2]
    torch.testing.assert_close(a.unlikeliness(rewards, log_probs, 0.0), a.group(rewards))
