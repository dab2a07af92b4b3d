"""Rewards joined, dull rows dropped without changing loss or gradient, buffers kept."""

import math

import pytest
import torch
from quince.recipes.rlvr import rollouts
from quince.recipes.rlvr.buffer import load_buffer, save_buffer
from quince.rewards.answers.text import ExactMatch

NAN = float("nan")


def batch(advantages: list[float], prompt: int = 3, completion: int = 4) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = len(advantages)
    lengths = torch.randint(1, completion + 1, (rows,), generator=generator)
    mask = (torch.arange(completion) < lengths.unsqueeze(1)).long()
    return {
        "prompt_ids": torch.randint(1, 9, (rows, prompt), generator=generator),
        "prompt_mask": torch.ones(rows, prompt, dtype=torch.long),
        "completion_ids": torch.randint(1, 9, (rows, completion), generator=generator) * mask,
        "completion_mask": mask,
        "advantages": torch.tensor(advantages),
        "num_items_in_batch": mask.sum(),
    }


def test_a_reward_that_applies_but_cannot_judge_masks_the_sum():
    rewards = torch.tensor([[1.0, 0.5], [NAN, 0.5], [NAN, 0.5], [NAN, NAN]])
    applies = torch.tensor([[True, True], [True, True], [False, True], [False, False]])
    total = rollouts.combine(rewards, applies, torch.tensor([1.0, 2.0]))
    assert total[0] == 2.0
    assert math.isnan(total[1]), "a time-out is not a 0"
    assert total[2] == 1.0, "a row of another task is judged by its own rewards"
    assert math.isnan(total[3])


def test_a_reward_of_weight_zero_masks_nothing():
    total = rollouts.combine(torch.tensor([[1.0, NAN]]), torch.tensor([[True, True]]), torch.tensor([1.0, 0.0]))
    assert total.item() == 1.0


def test_rewards_apply_to_rows_that_have_their_columns():
    rows = [{"accepted": "[]"}, {"accepted": None}, {}]
    assert rollouts.applicable(rows, [ExactMatch(), len]).tolist() == [[True, True], [False, True], [False, True]]


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo", "bnpo", "dapo"])
def test_dropping_dull_rows_keeps_loss_and_gradient(loss_type):
    full = batch([0.0, 1.0, -1.0, 0.0, 0.0, 0.5])
    weights = torch.randn(9, generator=torch.Generator().manual_seed(1), requires_grad=True)

    def loss(part: dict[str, torch.Tensor]) -> torch.Tensor:
        per_token = -weights[part["completion_ids"]] * part["advantages"].unsqueeze(1)
        mask = part["completion_mask"]
        if loss_type == "grpo":
            return ((per_token * mask).sum(1) / mask.sum(1)).mean()
        if loss_type == "dr_grpo":
            return (per_token * mask).sum() / (len(mask) * 7)
        if loss_type == "bnpo":
            return (per_token * mask).sum() / mask.sum()
        return (per_token * mask).sum() / part["num_items_in_batch"]

    part, scale = rollouts.informative(full, loss_type)
    assert len(part["advantages"]) == 3
    whole, kept = loss(full), loss(part) * scale
    torch.testing.assert_close(whole, kept)
    torch.testing.assert_close(*(torch.autograd.grad(value, weights)[0] for value in (whole, kept)))


def test_one_row_stays_when_all_are_dull():
    part, scale = rollouts.informative(batch([0.0, 0.0]), "grpo")
    assert len(part["advantages"]) == 1
    assert scale == 0.5


def test_columns_that_are_all_padding_go():
    part, _ = rollouts.informative(batch([1.0, 0.0]) | {"prompt_mask": torch.tensor([[0, 0, 1], [1, 1, 1]])}, "grpo")
    assert part["prompt_ids"].shape == (1, 1)
    assert part["completion_ids"].shape[1] == int(part["completion_mask"].sum())


def test_concatenated_batches_keep_their_tokens():
    joined = rollouts.concatenate(batch([1.0, 2.0]), batch([3.0], prompt=5, completion=6))
    assert joined["prompt_ids"].shape == (3, 5)
    assert joined["prompt_mask"][:2, :2].sum() == 0, "prompts are padded on the left"
    assert joined["completion_mask"].shape == (3, 6)
    assert joined["advantages"].tolist() == [1.0, 2.0, 3.0]


def test_a_buffer_survives_its_file(tmp_path):
    buffer = [batch([1.0, 0.0]), batch([0.5], completion=2)]
    save_buffer(buffer, tmp_path / "b.safetensors")
    loaded = load_buffer(tmp_path / "b.safetensors", torch.device("cpu"))
    for before, after in zip(buffer, loaded, strict=True):
        assert before.keys() == after.keys()
        for name in before:
            torch.testing.assert_close(before[name], after[name])


def test_as_many_rows_stay_as_another_process_keeps():
    full = batch([0.0, 1.0, 0.0, 0.0])
    part, scale = rollouts.informative(full, "grpo", least=3)
    assert len(part["advantages"]) == 3 and scale == 0.75
    assert part["advantages"].tolist() == [0.0, 1.0, 0.0]
    assert int(rollouts.counts(full).sum()) == 1


def test_what_a_tool_wrote_is_not_trained_on():
    mask = torch.tensor([[1, 1, 1, 0]])
    assert rollouts.loss_mask({"completion_mask": mask}).tolist() == [[1, 1, 1, 0]]
    assert rollouts.loss_mask({"completion_mask": mask, "tool_mask": torch.tensor([[1, 0, 1, 1]])}).tolist() == [
        [1, 0, 1, 0]
    ]


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dapo"])
def test_pieces_hold_every_row_once_and_weigh_as_much_as_the_whole(loss_type):
    whole = batch([1.0, -1.0, 0.5, 2.0, 0.0])
    pieces = rollouts.cut(whole, 3)
    assert [value for piece in pieces for value in piece["advantages"].tolist()] == whole["advantages"].tolist()
    assert sum(int(piece["completion_mask"].sum()) for piece in pieces) == int(whole["completion_mask"].sum())
    shares = [rollouts.share(piece, whole, loss_type) for piece in pieces]
    assert shares == [1.0] * 3 if loss_type == "dapo" else sum(shares) == pytest.approx(1.0)
    assert len(rollouts.cut(whole, 9)) == 5
