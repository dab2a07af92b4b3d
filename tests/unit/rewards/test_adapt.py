"""Your own rewards in every shape that people write them: adapted, or refused by name with the line."""

from __future__ import annotations

import asyncio
import math
import os
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from quince.recipes.config import RecipeErrors, load_recipe
from quince.rewards.adapt import adapted
from quince.rewards.base import Reward, Verdict

ROWS = [{"answer": "5", "id": "a"}, {"answer": "6", "id": "b"}]
TEXTS = ["5", "5"]


def trl(completions, answer, **kwargs):
    return [float(text == gold) for text, gold in zip(completions, answer, strict=True)]


async def trl_async(completions, answer, **kwargs):
    await asyncio.sleep(0)
    return trl(completions, answer)


def trl_chat(prompts, completions, answer, **kwargs):
    return [1.0 if chat[0]["content"] == gold else 0.0 for chat, gold in zip(completions, answer, strict=True)]


def trl_without_kwargs(completions, answer, scale=1.0):
    return [scale * (text == gold) for text, gold in zip(completions, answer, strict=True)]


def judge(completion, row):
    return completion == row["answer"]


async def judge_async(completion, row):
    return 1.0 if completion == row["answer"] else 0.0


class PlainJudge:
    def __init__(self, right=1.0):
        self.right = right

    def judge(self, completion, row):
        return self.right * (completion == row["answer"])


class PlainCall:
    def __call__(self, completions, answer, **kwargs):
        return trl(completions, answer)


@dataclass(frozen=True)
class FloatJudge(Reward):
    name: ClassVar[str] = "own"
    columns: ClassVar[tuple[str, ...]] = ("answer",)

    def judge(self, completion: str, row: Any) -> Any:
        return completion == row["answer"]


@dataclass(frozen=True)
class AsyncJudge(Reward):
    name: ClassVar[str] = "own"

    async def judge(self, completion: str, row: Any) -> Any:  # type: ignore[override]
        return float(completion == row["answer"])


@pytest.mark.parametrize(
    "found",
    [
        *(trl, trl_async, trl_chat, trl_without_kwargs, judge, judge_async),
        *(PlainJudge, PlainCall, FloatJudge, AsyncJudge, PlainJudge(), FloatJudge()),
    ],
    ids=lambda found: getattr(found, "__name__", "object"),
)
def test_every_shape_judges_alike(found):
    reward = adapted(found, {}, "own:found")
    verdicts = reward.judge_batch(TEXTS, ROWS)
    assert [(verdict.value, verdict.outcome) for verdict in verdicts] == [(1.0, "correct"), (0.0, "wrong")]
    assert reward.judge("6", ROWS[1]) in (1.0, True, Verdict(1.0, "correct")) or found is AsyncJudge
    chats = [[{"role": "assistant", "content": text}] for text in TEXTS]
    assert reward(prompts=["p", "p"], completions=chats, answer=["5", "6"], id=["a", "b"]) == [1.0, 0.0]


def test_columns_that_a_function_cannot_do_without_are_known_before_it_is_called():
    assert adapted(trl, {}, "own:trl").columns == ("answer",)
    assert adapted(trl_without_kwargs, {}, "own:f").columns == ("answer",)
    assert adapted(judge, {}, "own:judge").columns == ()
    (verdict,) = adapted(trl, {}, "own:trl").judge_batch(["5"], [{"id": "of another task"}])
    assert (verdict.value, verdict.outcome) == (None, "skipped") and "no answer" in verdict.detail


def test_options_go_to_classes_when_they_are_made_and_to_functions_at_each_call():
    assert adapted(PlainJudge, {"right": 2.0}, "own:P").judge("5", ROWS[0]).value == 2.0
    assert adapted(trl_without_kwargs, {"scale": 3.0}, "own:f").judge("5", ROWS[0]).value == 3.0


def test_none_is_not_judged():
    assert adapted(lambda completion, row: None, {}, "own:f").judge("5", ROWS[0]) == Verdict(
        None, "skipped", "not judged"
    )


def broken(completions, **columns):
    return columns["gold"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (lambda completion, row: math.nan, "reward f returned nan"),
        (lambda completion, row: -math.inf, "reward f returned -inf"),
        (lambda completion, row: "yes", "returned 'yes'"),
        (lambda completions, **columns: [math.nan], "reward f returned nan"),
        (lambda completions, **columns: [1.0, 2.0], "for 1 completions"),
        (lambda completions, **columns: 1.0, "for 1 completions"),
        (lambda completion, row: Verdict(math.nan, "correct"), "reward f returned nan"),
        (broken, "in broken: KeyError: 'gold'"),
        (lambda completion, row: row["gold"], "KeyError: 'gold'"),
    ],
)
def test_what_is_no_reward_is_an_error_that_names_it_and_the_line(found, words):
    (verdict,) = adapted(found, {}, "own:f").judge_batch(["5"], ROWS[:1])
    assert (verdict.value, verdict.outcome) == (None, "error") and words in verdict.detail
    if "in broken" in words:
        assert verdict.detail.startswith(__file__) or os.path.basename(__file__) in verdict.detail


@pytest.mark.parametrize(
    ("found", "kept"), [(judge, True), (trl, True), (trl_without_kwargs, False), (PlainJudge, True)]
)
def test_training_keeps_the_columns_that_a_reward_may_read(found, kept):
    from quince.recipes.rlvr.train import dataset

    rows = [{"id": "a", "task": "t", "prompt": [{"role": "user", "content": "?"}], "answer": "5", "other": "x"}]
    columns = dataset(rows, [adapted(found, {}, "own:found")]).column_names
    assert ("other" in columns) == kept and "answer" in columns


class Nothing:
    pass


@dataclass(frozen=True)
class NoJudge(Reward):
    name: ClassVar[str] = "none"


def other(text, gold):
    return 1.0


def one(completion):
    return 1.0


@pytest.mark.parametrize(
    ("found", "options", "words"),
    [
        (Nothing, {}, "Nothing cannot be called"),
        (NoJudge, {}, "without `judge`"),
        (other, {}, r"other: takes \(text, gold\)"),
        (one, {}, r"one: takes \(completion\)"),
        (judge, {"strict": 1}, "takes no option strict"),
        (PlainJudge, {"wrong": 1}, "unexpected keyword argument 'wrong'"),
        (FloatJudge(), {"a": 1}, "takes no options"),
    ],
)
def test_other_shapes_are_refused_with_their_line(found, options, words):
    with pytest.raises(ValueError, match=words) as caught:
        adapted(found, options, "own:found")
    assert re.match(rf"{re.escape(__file__)}:\d+ ", str(caught.value))


CODE = """
def good(completions, gold_sql, **columns):
    return [float("select" in text) for text in completions]

def lacking(completions, answer, **columns):
    return [1.0 for _ in completions]

def other(a, b, c):
    return 1.0

def rows(split, size):
    return []
"""


@pytest.mark.parametrize(
    ("section", "field", "words"),
    [
        ("rewards: [{kind: custom, path: 'own_code:other'}]", "rewards.0.path", "own_code.py:8 other: takes (a, b, c)"),
        ("rewards: [{kind: custom, path: 'own_code:lacking'}]", "rewards.0", "needs the columns answer"),
        ("data: [{kind: custom, path: 'own_code:rows'}]", "data.0.path", "own_code.py:11 rows: too many positional"),
        ("rewards: [{kind: custom, path: 'own_bad:f'}]", "rewards.0.path", "own_bad.py:2 in <module>: NameError"),
    ],
)
def test_the_contract_is_checked_at_validate(section, field, words, tmp_path, monkeypatch):
    (tmp_path / "own_code.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "own_bad.py").write_text("\nundefined\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "good.yaml").write_text(
        "extends: rlvr/tiny_grpo.yaml\nrewards: [{kind: custom, path: 'own_code:good'}]\n", encoding="utf-8"
    )
    assert load_recipe(str(tmp_path / "good.yaml")).recipe.rewards[0].reads() == ("gold_sql",)
    (tmp_path / "bad.yaml").write_text(f"extends: rlvr/tiny_grpo.yaml\n{section}\n", encoding="utf-8")
    with pytest.raises(RecipeErrors) as caught:
        load_recipe(str(tmp_path / "bad.yaml"))
    (problem,) = caught.value.problems
    assert problem.field == field and words in problem.found
