"""Which rows a step of verl reads: prompts to roll out, and stored answers, in a fixed proportion."""

from __future__ import annotations

from dataclasses import dataclass

from ...rlvr.store import RehearsalOrder

PROMPTS_SEED = 7919
"""Added to the seed for the order of the prompts, which is another than that of the stored answers."""


@dataclass(frozen=True)
class MixedOrder:
    """Place in the run -> row of the table in which the prompts come first and the stored answers after them.

    It follows from the place alone, so that verl's loader can stop and resume anywhere.

    Attributes:
        prompts: Rows with prompts.
        stored: Rows with stored answers.
        prompts_per_step: Of each rollout batch.
        stored_per_step: Likewise.
        steps: Rollout batches of the run.
        seed: Of both orders.
    """

    prompts: int
    stored: int
    prompts_per_step: int
    stored_per_step: int
    steps: int
    seed: int

    @property
    def per_step(self) -> int:
        """Rows of a rollout batch: verl's `data.train_batch_size`."""
        return self.prompts_per_step + self.stored_per_step

    def __len__(self) -> int:
        return self.per_step * self.steps

    def __getitem__(self, place: int) -> int:
        step, within = divmod(place, self.per_step)
        if within < self.prompts_per_step:
            order = RehearsalOrder(self.prompts, self.seed + PROMPTS_SEED)
            return int(order.take(step * self.prompts_per_step + within, 1)[0])
        order = RehearsalOrder(self.stored, self.seed)
        return self.prompts + int(order.take(step * self.stored_per_step + within - self.prompts_per_step, 1)[0])
