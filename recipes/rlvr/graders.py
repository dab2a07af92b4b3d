"""Graders that fail end the run, if they fail often: what is left to train on would be what their failures chose."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object

if TYPE_CHECKING:
    from accelerate import Accelerator

    from ...rewards.base import Verdict

BATCHES = 10
"""Rollout batches that are looked back at."""
LEAST = 20
"""Judgements before a share means something."""


class GraderError(RuntimeError):
    """Rewards fail on more answers than the recipe allows."""


class GraderWatch:
    """Counts the judgements of all rewards and processes, and those that ended in an error.

    Rows that a reward does not judge (`skipped`) do not count. A time-out is the answer's doing and no error.

    Args:
        limit: Largest share of errors over the last rollout batches; 1 never stops.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.recent: deque[tuple[int, int]] = deque(maxlen=BATCHES)

    def look(self, rows: Sequence[dict[str, Any]], accelerator: Accelerator) -> None:
        """Count a batch of rows whose `verdicts` rewards have filled.

        Raises:
            GraderError: On every process, with an example.
        """
        given: list[tuple[str, Verdict]] = [pair for row in rows for pair in row["verdicts"]]
        judged = [verdict.outcome == "error" for _, verdict in given if verdict.outcome != "skipped"]
        counts = torch.tensor([len(judged), sum(judged)], device=accelerator.device)
        self.recent.append(tuple(accelerator.reduce(counts).tolist()))
        answers, errors = (sum(column) for column in zip(*self.recent, strict=True))
        if answers < LEAST or errors <= self.limit * answers:
            return
        own = [f"{name}: {verdict.detail}" for name, verdict in given if verdict.outcome == "error"][:1]
        example = next(iter(gather_object(own)), "see the warnings above")
        raise GraderError(
            f"rewards · {errors} of the last {answers} judgements failed, max_grader_errors is {self.limit:g}"
            f" · for example {example} · mend the reward and go on with --resume"
        )
