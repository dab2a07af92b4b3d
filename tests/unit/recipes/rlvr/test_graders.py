"""A grader that raises masks its sample; above a share of errors the run ends."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import ClassVar

import pytest
from quince.recipes.rlvr.graders import GraderError, GraderWatch
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


def rows(*outcomes: str) -> list[dict]:
    return [{"verdicts": [("r", Verdict(None, outcome, f"{outcome} here"))]} for outcome in outcomes]


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
        watch.look(rows(*[outcome] * 20), Alone)


def test_the_share_is_of_what_was_judged_lately():
    watch = GraderWatch(0.05)
    watch.look(rows("error", *["correct"] * 7), Alone)  # too few to say
    watch.look(rows(*["correct"] * 12, *["skipped"] * 100), Alone)
    with pytest.raises(
        GraderError, match=r"2 of the last 21 judgements failed, .* is 0.05 · for example r: error here"
    ):
        watch.look(rows("error"), Alone)


def test_errors_are_forgotten():
    watch = GraderWatch(0.05)
    watch.look(rows("error", *["correct"] * 19), Alone)
    for _ in range(10):
        watch.look(rows(*["correct"] * 4), Alone)
    watch.look(rows("error", *["correct"] * 19), Alone)
    with pytest.raises(GraderError):
        watch.look(rows("error", "error"), Alone)


def test_one_never_stops():
    GraderWatch(1.0).look(rows(*["error"] * 50), Alone)
