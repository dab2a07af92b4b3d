"""From verdicts to rewards and correctness, and the watch over rewards that fail."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from ...eval.measure.statistics import pass_at_k

if TYPE_CHECKING:
    from accelerate import Accelerator

    from ...rewards.base import Reward, Verdict

BATCHES = 10  # rollout batches that are looked back at
LEAST = 20  # judgements before a share means something
MOST_ROWS = 0.5  # share of rows without one judgement from which the reward is the cause, and not the rows


class Judge:
    """A reward as TRL calls it, which keeps the values and verdicts of the last batch, in a phase of the clock.

    It may be a function like those of TRL, which gives no verdicts and so cannot be the verifier.
    """

    def __init__(self, reward: Reward, timed: Callable[[], AbstractContextManager[None]]) -> None:
        self.reward, self.timed = reward, timed
        self.__name__ = reward.__name__
        self.values: list[float | None] = []
        self.verdicts: list[list[tuple[str, Verdict]]] = []

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """Judge a batch; see `Reward.__call__`."""
        self.verdicts = [[] for _ in completions]
        with self.timed():
            columns = columns | {"verdicts": self.verdicts}
            self.values = self.reward(prompts=prompts, completions=completions, **columns)
        return self.values


def judged(
    judges: Sequence[Judge], rows: Sequence[Mapping[str, Any]], weights: Tensor, verifiers: Sequence[int]
) -> Tensor:
    """Rewards (of `weights`) and correctness of the batch that was judged last, `[2, rows]`, NaN where not known.

    `verifiers` are the indices of the rewards whose verdicts say what is correct.
    """
    values = [[torch.nan if value is None else value for value in judge.values] for judge in judges]
    rewards = torch.tensor(values, dtype=torch.float32).T
    applies = applicable(rows, [judge.reward for judge in judges])
    known = [correctness([judges[index].verdicts[row] for index in verifiers]) for row in range(len(rows))]
    return torch.stack([combine(rewards, applies, weights.cpu()), torch.tensor(known)])


def correctness(given: Sequence[Sequence[tuple[str, Verdict]]]) -> float:
    """1 if every verifier that judges a completion finds it correct, 0 if one does not, NaN if one could not say."""
    verdicts = [verdict for pairs in given for _, verdict in pairs if verdict.outcome != "skipped"]
    if not verdicts or any(verdict.value is None for verdict in verdicts):
        return torch.nan
    return float(all(verdict.outcome == "correct" for verdict in verdicts))


def applicable(rows: Sequence[Mapping[str, Any]], rewards: Sequence[Any]) -> Tensor:
    """Which rewards judge which rows: those whose columns the row has, `[batch, rewards]` of bool."""
    columns = [getattr(reward, "columns", ()) for reward in rewards]
    table = [[all(row.get(name) is not None for name in names) for names in columns] for row in rows]
    return torch.tensor(table, dtype=torch.bool)


def combine(rewards: Tensor, applies: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of the rewards that apply, NaN where one of them could not judge.

    TRL counts a missing reward as 0 when another reward is there, which would turn a broken grader into a wrong answer.

    Args:
        rewards: `[batch, rewards]`, NaN where a reward gave None.
        applies: `[batch, rewards]`.
        weights: `[rewards]`.

    Returns:
        `[batch]`.
    """
    applies = applies & (weights != 0)
    return (rewards.where(applies, 0) * weights).sum(1).where(applies.any(1), torch.nan)


def passes_at_k(correct: Tensor, k: int) -> list[float]:
    """Unbiased Pass@k of each prompt of `[prompts, samples]`, 1 for correct and NaN for not judged.

    Prompts with fewer than k judged samples are left out.
    """
    counts, right = (~correct.isnan()).sum(1), correct.nansum(1)
    kept = counts >= k
    return pass_at_k(counts[kept].cpu().numpy(), right[kept].cpu().numpy(), k).tolist()


class GraderError(RuntimeError):
    """Rewards fail on more completions than the recipe allows."""


class GraderWatch:
    """Ends a run whose rewards fail often: what is left to train on would be what their failures chose.

    Only `error` verdicts count. Where they hit some completions of a row, the share of judgements that failed must
    stay below the limit. A row on which a reward failed for every completion is taken for a row that cannot be judged
    (a gold query that does not run): it is left out and counted, and ends the run only if most rows are like that.
    The limit is a share of the judgements of the last rollout batches; 1 never stops.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.recent: deque[tuple[int, ...]] = deque(maxlen=BATCHES)

    def look(
        self, rows: Sequence[Mapping[str, Any]], judges: Sequence[Judge], accelerator: Accelerator
    ) -> dict[str, float]:
        """Count a batch that was just judged, and return what to log.

        Raises:
            GraderError: On every process, with an example.
        """
        counts, example = [0, 0, 0, 0], list[str]()
        for judge in judges:
            for group in by_row(rows, judge.verdicts):
                errors = [f"{name}: {verdict.detail}" for name, verdict in group if verdict.outcome == "error"]
                whole = len(errors) == len(group) > 1
                found = (0, 0, 1, 1) if whole else (len(group), len(errors), bool(group), 0)
                counts = [a + b for a, b in zip(counts, found, strict=True)]
                example = example or errors[:1]
        total = accelerator.reduce(torch.tensor(counts, device=accelerator.device)).tolist()
        self.recent.append(tuple(total))
        given, failed, judged_rows, failed_rows = (sum(column) for column in zip(*self.recent, strict=True))
        often = given >= LEAST and failed > self.limit * given
        mostly = judged_rows > 1 and failed_rows > MOST_ROWS * judged_rows and self.limit < 1
        if often or mostly:
            first = next(iter(gather_object(example)), "see the warnings above")
            share = (failed, given, "judgements") if often else (failed_rows, judged_rows, "rows")
            what = "{} of the last {} {}".format(*share)
            raise GraderError(
                f"rewards · {what} failed, max_grader_errors is {self.limit:g}"
                f" · for example {first} · repair the reward and go on with --resume"
            )
        return {"reward/rows_not_judged": total[3] / max(total[2], 1)}


def by_row(
    rows: Sequence[Mapping[str, Any]], verdicts: Sequence[Sequence[tuple[str, Verdict]]]
) -> Iterator[list[tuple[str, Verdict]]]:
    """The verdicts on each row's completions, which follow each other, without `skipped` ones."""
    ids = [row.get("id", place) for place, row in enumerate(rows)]
    for _, members in groupby(zip(ids, verdicts, strict=True), key=lambda pair: pair[0]):
        yield [pair for _, given in members for pair in given if pair[1].outcome != "skipped"]
