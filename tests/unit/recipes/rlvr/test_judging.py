"""Verdicts become rewards and correctness; a reward that fails masks its completion, and above a share ends the run."""

from __future__ import annotations

import math
import signal
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from quince.recipes.rlvr.rollouts import GraderError, GraderWatch, Judge, applicable, combine, correctness, judged
from quince.rewards.answers.text import ExactMatch, Format
from quince.rewards.base import Reward, Verdict, time_limit


@dataclass(frozen=True)
class Fragile(Reward):
    name: ClassVar[str] = "fragile"
    patience_s: ClassVar[float] = 0.05

    def judge(self, completion, row):
        if completion == "boom":
            raise RuntimeError("the grader broke")
        while completion == "hang":
            pass
        return Verdict(1.0, "correct")


class Alone:
    """An accelerator of one process."""

    device = "cpu"

    @staticmethod
    def reduce(counts):
        return counts


def verdict(outcome: str) -> Verdict:
    values = {"correct": 1.0, "wrong": 0.0, "unparseable": 0.0}
    return Verdict(values.get(outcome), outcome, f"{outcome} here")


def judge(*outcomes: str) -> Judge:
    """A judge that has just given these verdicts."""
    found = Judge(Fragile(), nullcontext)
    found.verdicts = [[("r", verdict(outcome))] for outcome in outcomes]
    found.values = [pairs[0][1].value for pairs in found.verdicts]
    return found


def look(watch: GraderWatch, *outcomes: str) -> None:
    """Completions of as many rows."""
    watch.look([{"id": str(place)} for place in range(len(outcomes))], [judge(*outcomes)], Alone)


def test_an_answer_that_takes_too_long_is_wrong():
    sinks = [[], []]
    started = time.monotonic()
    assert Fragile()(["p"] * 2, ["hang", "x"], verdicts=sinks) == [0.0, 1.0]
    assert time.monotonic() - started < 5
    assert sinks[0] == [("fragile", Verdict(0.0, "timeout", "no judgement within 0.05 s"))]
    assert sinks[1][0][1].outcome == "correct"


def test_a_timer_of_someone_else_goes_on():
    old = signal.getsignal(signal.SIGALRM)
    before = signal.setitimer(signal.ITIMER_REAL, 300)
    with time_limit(5):
        pass
    left, _ = signal.setitimer(signal.ITIMER_REAL, *before)
    assert 290 < left <= 300
    assert signal.getsignal(signal.SIGALRM) == old


@pytest.mark.parametrize("outcome", ["timeout", "wrong", "unparseable", "skipped"])
def test_what_is_no_error_never_ends_a_run(outcome):
    watch = GraderWatch(0.0)
    for _ in range(5):
        look(watch, *[outcome] * 20)


def test_the_share_is_of_what_was_judged_lately():
    watch = GraderWatch(0.05)
    look(watch, "error", *["correct"] * 7)  # too few to say
    look(watch, *["correct"] * 12, *["skipped"] * 100)
    with pytest.raises(
        GraderError, match=r"2 of the last 21 judgements failed, .* is 0.05 · for example r: error here"
    ):
        look(watch, "error")


def test_errors_are_forgotten():
    watch = GraderWatch(0.05)
    look(watch, "error", *["correct"] * 19)
    for _ in range(10):
        look(watch, *["correct"] * 4)
    look(watch, "error", *["correct"] * 19)
    with pytest.raises(GraderError):
        look(watch, "error", "error")


def test_one_never_stops():
    look(GraderWatch(1.0), *["error"] * 50)


def rows_of(*rows: str) -> list[dict]:
    return [{"id": row} for row in rows for _ in range(4)]


def test_rows_that_cannot_be_judged_are_counted_and_end_no_run():
    watch = GraderWatch(0.05)
    for _ in range(10):  # one gold query in four does not run
        shown = watch.look(rows_of(*"abcd"), [judge(*["error"] * 4, *["correct", "wrong"] * 6)], Alone)
    assert shown == {"reward/rows_not_judged": 0.25}


def test_a_reward_that_fails_on_most_rows_ends_the_run():
    with pytest.raises(GraderError, match=r"2 of the last 3 rows failed"):
        GraderWatch(0.05).look(rows_of(*"abc"), [judge(*["error"] * 8, *["correct"] * 4)], Alone)


def test_failures_that_some_completions_cause_end_the_run():
    with pytest.raises(GraderError, match=r"6 of the last 24 judgements failed"):
        GraderWatch(0.05).look(rows_of(*"abcdef"), [judge(*["error", "correct", "wrong", "wrong"] * 6)], Alone)


def test_a_reward_that_applies_but_cannot_judge_masks_the_sum():
    rewards = torch.tensor([[1.0, 0.5], [torch.nan, 0.5], [torch.nan, 0.5], [torch.nan, torch.nan]])
    applies = torch.tensor([[True, True], [True, True], [False, True], [False, False]])
    total = combine(rewards, applies, torch.tensor([1.0, 2.0]))
    assert total[0] == 2.0
    assert math.isnan(total[1]), "a broken grader is not a 0"
    assert total[2] == 1.0, "a row of another task is judged by its own rewards"
    assert math.isnan(total[3])


def test_a_reward_of_weight_zero_masks_nothing():
    total = combine(torch.tensor([[1.0, torch.nan]]), torch.tensor([[True, True]]), torch.tensor([1.0, 0.0]))
    assert total.item() == 1.0


def test_rewards_apply_to_rows_that_have_their_columns():
    rows = [{"accepted": "[]"}, {"accepted": None}, {}]
    assert applicable(rows, [ExactMatch(), len]).tolist() == [[True, True], [False, True], [False, True]]


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["correct"], 1.0),
        (["wrong"], 0.0),
        (["unparseable"], 0.0),
        (["skipped", "correct"], 1.0),
        (["correct", "wrong"], 0.0),
        (["error"], None),
        (["correct", "error"], None),
        (["skipped"], None),
        ([], None),
    ],
)
def test_correctness_is_the_verifiers(outcomes, expected):
    found = correctness([[("r", verdict(outcome))] for outcome in outcomes])
    assert math.isnan(found) if expected is None else found == expected


def test_a_wrong_completion_in_the_right_format_is_wrong():
    judges = [Judge(reward, nullcontext) for reward in (ExactMatch(), Format(pattern="[0-9]+"))]
    rows = [{"accepted": '["42"]'}] * 3
    for one in judges:
        one(["p"] * 3, ["42", "7", "x"], accepted=['["42"]'] * 3)
    rewards, correct = judged(judges, rows, torch.tensor([0.5, 1.0]), verifiers=[0])
    assert rewards.tolist() == [1.5, 1.0, 0.0]
    assert correct.tolist() == [1.0, 0.0, 0.0]


def test_a_function_like_those_of_trl_gives_rewards_and_no_verdicts():
    def short(completions, **_):
        return [float(len(text) < 3) for text in completions]

    one = Judge(short, nullcontext)
    assert one.__name__ == "short" and one(["p"] * 2, ["ab", "abc"]) == [1.0, 0.0]
    rewards, correct = judged([one], [{}, {}], torch.tensor([2.0]), verifiers=[0])
    assert rewards.tolist() == [2.0, 0.0] and correct.isnan().all()
