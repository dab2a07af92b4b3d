import json
import time

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


@pytest.mark.parametrize(
    "accepted", [["4"], '["4"]', "4", 4, 4.0, [4.0], [3, 4], "[4.0]", ("4", "5")]
)  # fmt: skip
def test_exact_match_takes_lists_and_numbers(accepted):
    reward, row = ExactMatch(), {"accepted": accepted}
    assert reward.judge(" 4\n", row).value == 1.0
    assert reward.judge("<think>5</think>4", row).value == 1.0
    assert [reward.judge(text, row).value for text in ("44", "<think>4", "<think>4</think>", "-4", "")] == [0.0] * 5
    assert reward.judge(reward.gold_completion(row), row).value == 1.0
    assert [reward.judge(miss, row).value for miss in reward.near_misses(row)] == [0.0] * 2


def test_exact_match_keeps_words_that_are_no_json():
    assert ExactMatch().judge("Paris", {"accepted": "Paris"}).value == 1.0
    assert ExactMatch().judge("add 22", {"accepted": ["add 22", "max 9"]}).value == 1.0


def test_a_row_without_its_column_says_which():
    for reward in (ExactMatch(), Countdown()):
        [verdict] = reward.judge_batch(["4"], [{"id": "r"}])
        assert (verdict.value, verdict.outcome) == (None, "skipped")
        assert f"no {reward.columns[0]}" in verdict.detail and reward.name in verdict.detail


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


def test_no_pattern_hangs():
    started = time.monotonic()
    for pattern in ("(a+)+$", "(a|aa)+$", "(a|a)*b", "(.*)*c"):
        verdict = Format(pattern).judge("a" * 20_000 + "!", {})
        assert (verdict.value, verdict.outcome) == (0.0, "wrong")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("pattern", ["(", "a{2000}{2000}", "(?=a)b", r"(a)\1", "[", "\ud800"])
def test_a_pattern_that_cannot_run_is_refused(pattern):
    with pytest.raises(ValueError, match="not a regular expression"):
        Format(pattern)


def test_a_completion_with_a_lone_surrogate_is_read():
    assert Format("a.b").judge("a\ud800b", {}).value == 1.0


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
        ("12 * 7 / 1 - 3", "wrong"),  # a number that is not given
        ("81 = 12 * 7 - 3", "correct"),
        ("$12 \\times 7 - 3 = 81$.", "correct"),
        ("\\(7 \\cdot 12 - 3\\)", "correct"),
        ("-3 + 7 * 12", "correct"),
        ("Answer: **12*7 - 3**", "correct"),
        ("12 * 7 / (3 - 3)", "wrong"),  # divides by zero
        ("<think>12 * 7 - 3", "unparseable"),  # an unfinished thought
        ("<think>12 * 7 - 3</think>7 + 12", "wrong"),
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


@pytest.mark.parametrize(
    ("completion", "value"),
    [
        ("8 / (3 - 8 / 3)", 1.0),  # the one solution of this game of 24
        (r"\boxed{\frac{8}{3 - \frac{8}{3}}}", 1.0),
        (r"$8 \div \left(3 - 8 \div 3\right) = 24$", 1.0),
        ("8 / (3 - 3) * 8 + 3", 0.0),
        ("8 * 3", 0.0),  # not all numbers
        ("(8 + 8 * 3) - 8", 0.0),
    ],
)
def test_the_game_of_24_divides_and_uses_every_number(completion, value):
    for row in ({"numbers": [3, 3, 8, 8], "target": 24}, {"numbers": "[3, 3.0, 8, 8]", "target": 24.0}):
        assert Countdown(use_all=True).judge(completion, row).value == value


def test_countdown_uses_a_number_at_most_once_or_once():
    row = {"numbers": [8, 3, 1], "target": 24}
    assert Countdown().judge("8 * 3", row).value == 1.0
    assert Countdown(use_all=True).judge("8 * 3", row).value == 0.0
    assert Countdown(use_all=True).judge("8 * 3 * 1", row).value == 1.0


@pytest.mark.parametrize("reward", [Countdown(), Countdown(use_all=True), Countdown(answer_format="tag")])
def test_countdown_names_its_gold_and_near_misses(reward):
    golds = 0
    for row in countdown_rows("test", size=20):
        gold = reward.gold_completion(row)
        assert gold is None or reward.judge(gold, row).value == 1.0
        golds += gold is not None
        assert bool(reward.near_misses(row)) == (gold is not None)
        assert all(reward.judge(miss, row).value == 0.0 for miss in reward.near_misses(row))
    assert golds >= 5


def test_countdown_accepts_every_enumerated_solution_and_tells_them_apart():
    for row in countdown_rows("test", size=5):
        found = solutions(row["numbers"], row["target"])
        assert all(Countdown().judge(text, row).value == 1.0 for text in found)
        assert len({Countdown().canonical(text, row) for text in found}) == len(found)


def test_countdown_canonical_joins_spellings():
    canonical = Countdown().canonical
    assert canonical("12 * 7 - 3", PUZZLE) == canonical("<answer>(7 * 12) - 3</answer>", PUZZLE)
    assert canonical("no", PUZZLE) is None
