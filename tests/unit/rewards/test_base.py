import copy
import pickle
from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar

import pytest
from quince.rewards.base import (
    OUTCOMES,
    REWARDS,
    AnswerLimit,
    Reward,
    Verdict,
    completion_text,
    make_reward,
    reward_class,
)


@dataclass(frozen=True)
class Fragile(Reward):
    name: ClassVar[str] = "fragile"
    columns: ClassVar[tuple[str, ...]] = ("answer",)

    def judge(self, completion, row):
        if completion == "boom":
            raise RuntimeError("the grader broke")
        return Verdict(1.0, "correct") if completion == row["answer"] else Verdict(0.0, "wrong")


def test_a_judge_that_raises_masks_its_sample_only():
    values = Fragile()(["p"] * 3, ["a", "boom", "x"], answer=["a", "a", "a"])
    assert values == [1.0, None, 0.0]


@dataclass(frozen=True)
class Limited(Reward):
    name: ClassVar[str] = "limited"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def judge(self, completion, row):
        raise {"limit": AnswerLimit, "memory": MemoryError, "depth": RecursionError, "io": TimeoutError}[completion]


def test_a_limit_that_the_answer_ran_into_is_the_low_end_and_a_failure_is_nothing():
    verdicts = Limited().judge_batch(["limit", "memory", "depth", "io"], [{}] * 4)
    assert [(v.value, v.outcome) for v in verdicts] == [(-1.0, "timeout")] * 3 + [(None, "error")]


def test_a_row_of_another_task_is_skipped():
    [verdict] = Fragile().judge_batch(["a"], [{"answer": None}])
    assert (verdict.value, verdict.outcome) == (None, "skipped")


def test_outcome_shares_are_logged_with_their_zeros():
    logged = defaultdict(list)
    Fragile()(
        ["p"] * 4,
        ["a", "boom", "x", "x"],
        answer=["a"] * 4,
        trainer_state=object(),
        log_metric=lambda name, value: logged[name].append(value),
    )
    assert logged == {
        f"outcome/fragile/{outcome}": [{"correct": 0.25, "wrong": 0.5, "error": 0.25}.get(outcome, 0.0)]
        for outcome in OUTCOMES
    }


def test_a_missing_column_is_a_mistake_of_the_recipe():
    with pytest.raises(ValueError, match="column answer is not in the data"):
        Fragile()(["p"], ["a"])


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("plain", "plain"),
        ([{"role": "assistant", "content": "one"}], "one"),
        ([{"role": "assistant", "content": "one"}, {"role": "tool", "content": "t"}], "one"),
        ([{"role": "assistant", "content": None}], ""),
        ([{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}], "a"),
        ([], ""),
    ],
)
def test_text_of_a_completion(completion, text):
    assert completion_text(completion) == text


OPTIONS = {"format": {"pattern": "a+"}, "length": {"limit": 10, "margin": 4}}


@pytest.mark.parametrize("kind", REWARDS)
def test_every_kind_is_built_pickles_and_is_called_by_its_name(kind):
    reward = make_reward(kind, **OPTIONS.get(kind, {}))
    assert copy.deepcopy(reward) == reward and pickle.dumps(reward)
    assert reward.__name__ == kind == reward_class(kind).name


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("sql_exection", {}, "did you mean 'sql_execution'"),
        ("math", {"timeout": 1}, "did you mean 'timeout_s'"),
        ("length", {"limit": 5}, "margin"),
        ("length", {"limit": 5, "margin": 6}, "margin 6"),
        ("format", {"pattern": "("}, "not a regular expression"),
        ("sql_execution", {"semantics": "list"}, "set, bag, ordered"),
        ("math", {"timeout_s": 0}, "above 0"),
    ],
)
def test_bad_options_are_named(kind, options, message):
    with pytest.raises(ValueError, match=message):
        make_reward(kind, **options)
