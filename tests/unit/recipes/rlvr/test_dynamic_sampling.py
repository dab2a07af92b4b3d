"""The groups that stay in a batch are those that teach something."""

import torch
from quince.recipes.rlvr.dynamic_sampling import best_groups, informative_groups


def test_informative_groups_come_first():
    batch = {"advantages": torch.tensor([0.0, 0, 1, -1, 0, 0, 2, -2]), "num_items_in_batch": torch.tensor(8)}
    assert informative_groups(batch, 2).tolist() == [False, True, False, True]
    kept = best_groups(batch, size=2, wanted=3)
    assert kept["advantages"].tolist() == [1, -1, 2, -2, 0, 0]
    assert kept["num_items_in_batch"] == 8
