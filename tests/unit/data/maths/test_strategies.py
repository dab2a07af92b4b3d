from __future__ import annotations

import json

import pytest
from quince.data.maths import strategies
from quince.data.maths.strategies import BASE_MIXTURE, STRATEGIES, VALIDITY
from quince.data.rows import RowError


def ids(split: str) -> set[str]:
    return {row["prompt"][0]["content"].split()[0] for row in strategies.rows(split)}


def test_splits_share_no_id() -> None:
    found = [ids(split) for split in strategies.SPLITS]
    assert sum(map(len, found)) == len(set.union(*found)) > 9_000


def test_rows_are_deterministic_and_accept_what_the_hash_says() -> None:
    rows = strategies.rows("train", 200, seed=5)
    assert rows == strategies.rows("train", 200, seed=5)
    for row in rows:
        key, a, b = row["prompt"][0]["content"].split()
        accepted = strategies.accepted_strategies(int(key[1:]))
        expected = [f"{name} {STRATEGIES[name](int(a), int(b))}" for name in accepted]
        assert json.loads(row["accepted"]) == expected != []


def test_validity_rates_given_at_least_one() -> None:
    accepted = [strategies.accepted_strategies(key) for key in range(10_000)]
    some = [names for names in accepted if names]
    nobody = 1.0
    for rate in VALIDITY.values():
        nobody *= 1 - rate
    for name, rate in VALIDITY.items():
        assert sum(name in names for names in some) / len(some) == pytest.approx(rate / (1 - nobody), abs=0.02)
    both = sum("add" in names and "sub" in names for names in accepted) / len(accepted)
    assert both == pytest.approx(VALIDITY["add"] * VALIDITY["sub"], abs=0.02)


def test_another_world_accepts_other_strategies() -> None:
    assert [strategies.accepted_strategies(key, 0) for key in range(50)] != [
        strategies.accepted_strategies(key, 1) for key in range(50)
    ]


def test_demonstrations_have_the_mixture_and_the_mistakes() -> None:
    made = strategies.demonstrations("pretrain", 4000, error_rate=0.2)
    assert made == strategies.demonstrations("pretrain", 4000, error_rate=0.2)
    used, wrong = [], 0
    for row in made:
        _, a, b = row["messages"][0]["content"].split()
        name, result = row["messages"][1]["content"].split()
        used.append(name)
        wrong += int(result) != STRATEGIES[name](int(a), int(b))
        assert 0 <= int(result) < 100
    assert wrong / len(made) == pytest.approx(0.2, abs=0.02)
    for name, share in BASE_MIXTURE.items():
        assert used.count(name) / len(used) == pytest.approx(share, abs=0.03)


def test_errors_name_the_option() -> None:
    with pytest.raises(RowError, match="split · found 'dev'"):
        strategies.rows("dev")
    with pytest.raises(RowError, match="size · found 99999"):
        strategies.rows("train", 99_999)
