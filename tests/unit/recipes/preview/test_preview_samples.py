from __future__ import annotations

from quince.recipes.cli import main
from quince.recipes.preview.previews import OUTCOME_STYLES, cells, show_rewards
from quince.rewards.base import OUTCOMES, Verdict


def test_answers_of_the_recipes_model_are_judged(toy, capsys):
    show_rewards(toy(), rows=2, samples=3)
    known, _, sampled = capsys.readouterr().out.partition("answers of")
    assert "gold" in known
    rows = [line.split() for line in sampled.splitlines() if line.strip().startswith(("1 strategies", "2 strategies"))]
    assert sum(int(row[2]) for row in rows if row[0] == "1") == 3
    assert sum(int(row[2]) for row in rows if row[0] == "2") == 3
    assert "format" in sampled


def test_another_model_may_answer(toy, random_model, capsys):
    show_rewards(toy(), rows=1, samples=1, model=str(random_model))
    assert f"answers of {random_model}"[:40] in capsys.readouterr().out.replace("\n", "")


def test_without_samples_no_model_is_loaded(toy, capsys):
    show_rewards(toy("model.id=/nowhere"), rows=1)
    assert "answers of" not in capsys.readouterr().out


def test_every_outcome_has_a_colour():
    assert set(OUTCOME_STYLES) == set(OUTCOMES)
    value, outcome, detail = cells(Verdict(None, "timeout", "slow"))
    assert (value, str(outcome), str(outcome.style), detail) == ("not judged", "timeout", "red", "slow")


def test_the_command_samples_the_tiny_model(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    main_result = None
    try:
        main(["preview", "rewards", "rlvr/tiny_grpo", "-n", "1", "--samples", "4"])
    except SystemExit as end:
        main_result = end.code
    assert main_result in (0, None)
    out = capsys.readouterr().out.partition("answers of tiny")[2]
    assert sum(int(line.split()[2]) for line in out.splitlines() if line.strip().startswith("1 sql_idioms")) == 4
    assert "SELECT" in out
