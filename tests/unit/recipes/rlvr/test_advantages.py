"""Advantages against enumeration, and their handling of unjudged completions."""

import itertools
import math

import pytest
import torch
from quince.recipes.methods import advantages as a
from quince.recipes.methods.advantages import ADVANTAGES, Advantage

NAN = float("nan")


def row(*rewards: float) -> torch.Tensor:
    return torch.tensor([rewards], dtype=torch.float64)


def of(advantage: Advantage, rewards: torch.Tensor) -> torch.Tensor:
    """Advantages where the reward is the verifier's and lies in [0, 1]."""
    return advantage(rewards, torch.where(rewards.isnan(), rewards, (rewards > 0.5).to(rewards.dtype)))


def test_group_equals_grpo():
    rewards = row(1, 0, 0, 1, 1, 0, 0, 0)
    expected = (rewards - rewards.mean()) / (rewards.std() + a.EPSILON)
    torch.testing.assert_close(of(a.Group(), rewards), expected)


def test_leave_one_out_equals_the_definition():
    rewards = row(1, 0, 0.5, 1)
    expected = [r - (rewards.sum().item() - r) / 3 for r in rewards[0].tolist()]
    torch.testing.assert_close(of(a.LeaveOneOut(), rewards), row(*expected))


CENTRED = [a.Group(), a.DrGrpo(), a.LeaveOneOut(), a.PassAtK(k=2), a.Pkpo(k=2), a.Focal()]


@pytest.mark.parametrize("advantage", CENTRED, ids=lambda found: found.kind)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_zero_variance_gives_zero(advantage, value):
    assert (of(advantage, torch.full((3, 8), value, dtype=torch.float64)) == 0).all()


@pytest.mark.parametrize("advantage", [*CENTRED, a.Pkpo(k=1), a.Pkpo(k=3), a.WReinforce()], ids=str)
def test_unjudged_completions_get_zero_and_change_no_mean(advantage):
    with_gap, without = of(advantage, row(1, NAN, 0, 0.3, 0)), of(advantage, row(1, 0, 0.3, 0))
    assert with_gap[0, 1] == 0
    torch.testing.assert_close(with_gap[:, [0, 2, 3, 4]], without)
    assert (of(advantage, row(NAN, NAN)) == 0).all()


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
    torch.testing.assert_close(of(a.PassAtK(k=k), row(*rewards)), row(*expected), atol=1e-6, rtol=1e-6)


def gains(rewards: list[float], k: int) -> list[float]:
    """PKPO by enumeration."""
    found = []
    for i, mine in enumerate(rewards):
        others = [reward for j, reward in enumerate(rewards) if j != i]
        sets = list(itertools.combinations(others, k - 1))
        leads = [max(0.0, mine - max(s)) if s else mine - sum(others) / len(others) for s in sets]
        found.append(sum(leads) / len(sets))
    return found


@pytest.mark.parametrize("k", [1, 2, 3])
def test_pkpo_equals_enumeration(k):
    rewards = [0.3, 1.0, 0.0, 0.7, 1.0]
    torch.testing.assert_close(of(a.Pkpo(k=k), row(*rewards)), row(*gains(rewards, k)), atol=1e-9, rtol=0)


def test_pkpo_uses_the_judged_completions_where_at_least_k_are_judged():
    rewards = torch.cat([row(0.2, NAN, 0.9, 0.5), row(NAN, NAN, 0.9, 0.5)])
    found = of(a.Pkpo(k=3), rewards)
    torch.testing.assert_close(found[:1, [0, 2, 3]], row(*gains([0.2, 0.9, 0.5], 3)), atol=1e-9, rtol=0)
    assert (found[1] == 0).all(), "no set of three can be made of two"


def test_w_reinforce_punishes_fully_and_rewards_little():
    torch.testing.assert_close(of(a.WReinforce(), row(1, 0, 1)), row(0.1, -1, 0.1))


def test_focal_turns_down_easy_groups():
    rewards = torch.stack([row(1, 1, 1, 0)[0], row(1, 0, 0, 0)[0]])
    scaled = of(a.Focal(), rewards) / of(a.Group(), rewards)
    torch.testing.assert_close(scaled, torch.tensor([[0.25] * 4, [0.75] * 4], dtype=torch.float64))


def test_unlikeliness_pays_rare_correct_completions_more():
    rewards, log_probs = row(1, 1, 0, 0), row(-1, -9, -2, -3)
    found = a.Unlikeliness(strength=0.5)(rewards, rewards, log_probs)
    assert found[0, 1] > found[0, 0] > found[0, 2]
    same = a.Unlikeliness(strength=0.0)(rewards, rewards, log_probs)
    torch.testing.assert_close(same, of(a.Group(), rewards))
    with pytest.raises(ValueError, match="log-probabilities"):
        a.Unlikeliness()(rewards, rewards)


BINARY = [found() for found in ADVANTAGES.values() if found.reads_correctness]


@pytest.mark.parametrize("advantage", BINARY, ids=lambda found: found.kind)
@pytest.mark.parametrize("weight", [0.25, 1.0, 7.0])
def test_what_is_correct_does_not_depend_on_the_weights_of_rewards(advantage, weight):
    correct, log_probs = row(1, 0, 0, 0, 0, 0), row(-1, -2, -3, -4, -5, -6)
    well_written = row(1, 1, 0, 0, 1, 0)
    for rewards in (weight * correct, weight * (correct + well_written)):
        found = advantage(rewards, correct, log_probs)
        assert found[0, 0] > found[0, 1], "a wrong, well-formatted completion is not correct"
    plain = advantage(correct, correct, log_probs)
    torch.testing.assert_close(advantage(weight * correct, correct, log_probs), plain, atol=5e-3, rtol=0)


def test_options_are_checked_in_code_as_in_a_recipe():
    for wrong in ({"k": 1}, {"k": 2.5}, {"k": "4"}, {"width": 3}):
        with pytest.raises(ValueError):
            a.PassAtK(**wrong)
