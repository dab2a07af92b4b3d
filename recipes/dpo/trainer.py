"""TRL's `DPOTrainer` on pairs that are tokens already, with whole checkpoints."""

from __future__ import annotations

from typing import Any

from trl import DPOTrainer

from ..survival import Survives


class DpoTrainer(Survives, DPOTrainer):
    """`DPOTrainer` on the pairs of `recipes.dpo.pairs`, in which control tokens of content are text."""

    def _prepare_dataset(self, dataset: Any, *arguments: Any, **options: Any) -> Any:
        return dataset
