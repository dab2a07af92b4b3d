from __future__ import annotations

import numpy as np
import pytest
from quince.eval.measure.holdout import HoldoutError, Thresholdout


def test_where_the_sets_agree_nothing_is_spent():
    guard = Thresholdout(threshold=0.1, noise=1e-6)
    for number in range(50):
        look = guard.ask(f"model {number}", 0.5, 0.55)
        assert (look.value, look.overfit, look.budget) == (0.5, False, 10)


def test_where_they_disagree_the_answer_is_the_holdouts_with_noise():
    guard = Thresholdout(threshold=0.05, noise=0.002)
    values = [guard.ask(str(number), 0.9, 0.5) for number in range(10)]
    assert all(look.overfit and 0 < abs(look.value - 0.5) < 0.05 for look in values)
    assert [look.budget for look in values] == list(range(9, -1, -1))
    with pytest.raises(HoldoutError, match="the whole budget"):
        guard.ask("another", 0.5, 0.5)


def test_an_equal_question_has_its_old_answer():
    guard = Thresholdout(budget=1)
    first = guard.ask("a", 0.9, 0.1)
    assert guard.ask("a", 0.9, 0.1) == first and guard.spent == 1


def test_a_state_goes_on_as_if_it_had_never_been_away(tmp_path):
    whole, path = Thresholdout(seed=3), tmp_path / "holdout.json"
    expected = [whole.ask(str(i), 0.5 + 0.02 * i, 0.5) for i in range(10)]
    found = []
    for i in range(10):
        guard = Thresholdout.read(path, 0.04, 0.01, 10, 3)
        found.append(guard.ask(str(i), 0.5 + 0.02 * i, 0.5))
        guard.write(path)
    assert found == expected
    assert Thresholdout.read(path, 0.04, 0.01, 10, 3) == whole


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "budget 99, it began with 10"),
        ("{}", "not the state"),
        ("half", "not the state"),
        ("[]", "not the state"),
    ],
)
def test_another_or_a_broken_state_is_refused(tmp_path, text, message):
    path = Thresholdout().write(tmp_path / "holdout.json")
    if text is not None:
        path.write_text(text)
    with pytest.raises(HoldoutError, match=message):
        Thresholdout.read(path, 0.04, 0.01, 99, 0)


def test_nonsense_is_refused():
    with pytest.raises(HoldoutError, match="all are above 0"):
        Thresholdout(noise=0.0)


def test_choosing_by_it_does_not_fit_the_holdout():
    """Models guess at random; the best of 400 on the holdout itself looks good, the best by the guard does not."""
    rng = np.random.default_rng(0)
    gains = []
    for trial in range(20):
        development, holdout = (rng.random((400, 250)) < 0.5 for _ in range(2))
        guard = Thresholdout(threshold=0.16, noise=0.005, budget=200, seed=trial)
        means = zip(development.mean(1), holdout.mean(1), strict=True)
        answers = [guard.ask(str(i), *pair).value for i, pair in enumerate(means)]
        gains.append((holdout.mean(1).max() - 0.5, holdout[int(np.argmax(answers))].mean() - 0.5))
    naive, guarded = np.mean(gains, axis=0)
    assert naive > 0.07 and abs(guarded) < 0.02


def test_the_margin_is_drawn_anew_with_every_disagreement_and_only_then():
    guard, margins = Thresholdout(threshold=0.05, noise=0.01), []
    for number in range(6):
        guard.ask(f"same {number}", 0.5, 0.5)
        margins.append(guard.margin)
        if number % 2:
            assert guard.ask(f"other {number}", 0.9, 0.1).overfit
    assert margins[0] == margins[1] != margins[2] == margins[3] != margins[4] == margins[5]
    assert len(set(margins)) == 3
