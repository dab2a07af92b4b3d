import json

import pytest
from quince.data.maths.countdown import rows as countdown_rows
from quince.data.maths.countdown import solutions
from quince.rewards.answers.countdown import Countdown
from quince.rewards.answers.text import ExactMatch, Format, Length


@pytest.mark.parametrize(
    ("completion", "accepted", "outcome"),
    [
        (" b\n", ["a", "b"], "correct"),
        ("c", ["a", "b"], "wrong"),
        ("ab", ["a", "b"], "wrong"),  # neither a substring nor a prefix will do
        ("B", ["b"], "wrong"),  # case counts
        ("", [], "skipped"),
    ],
)
def test_exact_match(completion, accepted, outcome):
    assert ExactMatch().judge(completion, {"accepted": json.dumps(accepted)}).outcome == outcome


def test_exact_match_on_a_malformed_row_is_an_error_not_a_zero():
    [verdict] = ExactMatch().judge_batch(["a"], [{"accepted": '{"a": 1}'}])
    assert (verdict.value, verdict.outcome) == (None, "error")


@pytest.mark.parametrize(
    ("completion", "value"),
    [
        ("<think>x\ny</think>\nso \\boxed{1}", 1.0),
        ("so \\boxed{1}", 0.0),  # no thought
        ("<think>x</think> 1", 0.0),  # no box
    ],
)
def test_format(completion, value):
    assert Format(r"<think>.*</think>.*\\boxed\{.*\}").judge(completion, {}).value == value


@pytest.mark.parametrize(
    ("tokens", "value"), [(0, 0.0), (6, 0.0), (7, -0.25), (8, -0.5), (10, -1.0), (11, -1.0), (500, -1.0)]
)
def test_length_is_the_soft_overlong_punishment(tokens, value):
    assert Length(limit=10, margin=4).judge("", {"completion_ids": [1] * tokens}).value == value


def test_length_without_token_ids_is_skipped():
    assert Length(limit=10, margin=4).judge("text", {}).outcome == "skipped"


PUZZLE = {"numbers": [3, 7, 12], "target": 81}


@pytest.mark.parametrize(
    ("completion", "outcome"),
    [
        ("12 * 7 - 3", "correct"),
        ("I think.\n7 × 12 − 3\n", "correct"),
        ("12 * 7 - 3 = 81", "correct"),
        ("12 * 7 - 3 = 80", "correct"),  # only the expression is read
        ("first 1 + 1\n<answer>12*7-3</answer>\nbye", "correct"),
        ("so \\boxed{12 \\times 7 - 3}", "correct"),
        ("3 - 12 * 7", "wrong"),  # minus the target
        ("81", "wrong"),  # the target itself is not a given number
        ("12 * 7 - 3 + 7 - 7", "wrong"),  # a number more often than given
        ("127 - 3", "wrong"),  # numbers glued together
        ("12 * 7 - 3 + 0", "wrong"),  # a number that is not given, though it changes nothing
        ("12 * 7 / 1 - 3", "unparseable"),  # no division
        ("12 ** 7", "unparseable"),
        ("__import__('os')", "unparseable"),
        ("12 * (7 - 3", "unparseable"),
        ("9" * 1000, "unparseable"),
        ("", "unparseable"),
    ],
)
def test_countdown_table(completion, outcome):
    verdict = Countdown().judge(completion, PUZZLE)
    assert verdict.outcome == outcome
    assert verdict.value == (1.0 if outcome == "correct" else 0.0)


def test_countdown_accepts_every_enumerated_solution_and_tells_them_apart():
    for row in countdown_rows("test", size=5):
        found = solutions(row["numbers"], row["target"])
        assert all(Countdown().judge(text, row).value == 1.0 for text in found)
        assert len({Countdown().canonical(text, row) for text in found}) == len(found)


def test_countdown_canonical_joins_spellings():
    canonical = Countdown().canonical
    assert canonical("12 * 7 - 3", PUZZLE) == canonical("<answer>(7 * 12) - 3</answer>", PUZZLE)
    assert canonical("no", PUZZLE) is None
