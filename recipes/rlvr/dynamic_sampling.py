"""Dull groups of a batch of rollouts give way to groups of fresh prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .prompt_order import reserve_prompts
from .rollouts import concatenate, loss_mask

if TYPE_CHECKING:
    from .trainer import RlvrTrainer


class Reserve:
    """Dynamic sampling (DAPO, https://huggingface.co/papers/2503.14476): dull groups give way to fresh prompts.

    A group whose advantages are all 0 teaches nothing. Up to `rounds` times, a whole batch of fresh prompts is rolled
    out and its informative groups take the places of dull ones; all processes do the same number of rounds.
    """

    def __init__(self, trainer: RlvrTrainer, rounds: int) -> None:
        self.trainer, self.rounds = trainer, rounds

    def replace_uninformative(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch of the same number of rows with as few dull groups as the rounds allow."""
        size, local = self.trainer.num_generations, len(batch["advantages"])
        wanted, used = local // size, 0
        for used in range(1, self.rounds + 1):
            dull = wanted - int(informative_groups(batch, size).sum())
            if not self.trainer.accelerator.reduce(torch.tensor(dull, device=batch["advantages"].device)).item():
                used -= 1
                break
            inputs = [row for row in self._fresh(wanted, used) for _ in range(size)]
            batch = best_groups(concatenate(batch, self.trainer._scored(inputs)), size, wanted)
        self.trainer._log("dynamic_sampling/rounds", float(used))
        tokens = self.trainer.accelerator.gather(loss_mask(batch).sum()).sum()
        return {**batch, "num_items_in_batch": tokens}

    def _fresh(self, count: int, draw: int) -> list[dict[str, Any]]:
        """This process's prompts of a round."""
        dataset, accelerator = self.trainer.train_dataset, self.trainer.accelerator
        rank, total = accelerator.process_index, count * accelerator.num_processes
        drawn = reserve_prompts(self.trainer.args.seed, self.trainer._step, draw, total, len(dataset))
        return [dataset[int(index)] for index in drawn[rank * count : (rank + 1) * count]]


def informative_groups(batch: dict[str, Any], size: int) -> Tensor:
    """True for groups with a non-zero advantage, `[groups]`."""
    return batch["advantages"].reshape(-1, size).abs().sum(1) > 0


def best_groups(batch: dict[str, Any], size: int, wanted: int) -> dict[str, Any]:
    """Keep `wanted` groups, informative ones first, in their order."""
    dull_last = torch.argsort(~informative_groups(batch, size), stable=True)[:wanted]
    keep = (dull_last.unsqueeze(1) * size + torch.arange(size, device=dull_last.device)).reshape(-1)
    total = len(batch["advantages"])
    return {
        name: value[keep] if isinstance(value, Tensor) and value.dim() > 0 and len(value) == total else value
        for name, value in batch.items()
    }
