"""Uninformative rows dropped, batches cut and joined, buffers kept."""

import torch
from quince.recipes.rlvr import rollouts


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


def test_one_row_stays_when_all_are_uninformative():
    assert len(rollouts.informative(batch([0.0, 0.0]))["advantages"]) == 1


def test_only_rows_with_an_advantage_stay():
    assert rollouts.informative(batch([0.0, 1.0, 0.0, -2.0]))["advantages"].tolist() == [1.0, -2.0]


def test_columns_that_are_all_padding_go():
    part = rollouts.informative(batch([1.0, 0.0]) | {"prompt_mask": torch.tensor([[0, 0, 1], [1, 1, 1]])})
    assert part["prompt_ids"].shape == (1, 1)
    assert part["completion_ids"].shape[1] == int(part["completion_mask"].sum())


def test_columns_that_are_no_tokens_stay_whatever_their_width():
    part = rollouts.informative(batch([1.0, 0.0]) | {"repeated": torch.ones(2, 4)})
    assert part["completion_ids"].shape[1] < 4 and part["repeated"].shape == (1, 4)


def test_informative_groups_come_first():
    found = {"advantages": torch.tensor([0.0, 0, 1, -1, 0, 0, 2, -2]), "num_items_in_batch": torch.tensor(8)}
    assert rollouts.informative_groups(found, 2).tolist() == [False, True, False, True]
    kept = rollouts.best_groups(found, size=2, wanted=3)
    assert kept["advantages"].tolist() == [1, -1, 2, -2, 0, 0]
    assert kept["num_items_in_batch"] == 8


def test_concatenated_batches_keep_their_tokens():
    joined = rollouts.concatenate(batch([1.0, 2.0]), batch([3.0], prompt=5, completion=6))
    assert joined["prompt_ids"].shape == (3, 5)
    assert joined["prompt_mask"][:2, :2].sum() == 0, "prompts are padded on the left"
    assert joined["completion_mask"].shape == (3, 6)
    assert joined["advantages"].tolist() == [1.0, 2.0, 3.0]


def test_a_buffer_survives_its_file(tmp_path):
    buffer = [batch([1.0, 0.0]), batch([0.5], completion=2)]
    rollouts.save_buffer(buffer, tmp_path / "b.safetensors")
    loaded = rollouts.load_buffer(tmp_path / "b.safetensors", torch.device("cpu"))
    for before, after in zip(buffer, loaded, strict=True):
        assert before.keys() == after.keys()
        for name in before:
            torch.testing.assert_close(before[name], after[name])


def test_what_a_tool_wrote_is_not_trained_on():
    mask = torch.tensor([[1, 1, 1, 0]])
    assert rollouts.loss_mask({"completion_mask": mask}).tolist() == [[1, 1, 1, 0]]
    assert rollouts.loss_mask({"completion_mask": mask, "tool_mask": torch.tensor([[1, 0, 1, 1]])}).tolist() == [
        [1, 0, 1, 0]
    ]


def test_pieces_hold_every_row_once():
    whole = batch([1.0, -1.0, 0.5, 2.0, 0.0])
    pieces = rollouts.cut(whole, 3)
    assert [value for piece in pieces for value in piece["advantages"].tolist()] == whole["advantages"].tolist()
    assert sum(int(piece["completion_mask"].sum()) for piece in pieces) == int(whole["completion_mask"].sum())
    assert len(rollouts.cut(whole, 9)) == 5
