"""The claims of the coverage bench on made-up results: what holds is said to hold, what is missing is said to be."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "bench"))
from coverage_claims import CLAIMS, claims_text


def result(study: str, rows: int, right: dict[str, float], gap: float = 0.3, flipped: float = 1.0) -> dict:
    places = {"other_bridge/layer_1/position_1": {"flips": flipped}}
    maps = {name: [[0, 0], [0, value]] for name, value in (("b1", gap), ("x2", 0.2), ("b1, x2", 0.4))}
    return {
        "study": study,
        "data": {"task": {"rows": rows}},
        "right": {name: [round(100 * share), 100] for name, share in right.items()},
        "by_cutoff": {"3": [20, 100], "6": [60, 100]},
        "states": {"iicg": {"type_0": maps}, "interchange": places},
    }


FLAT = {"type_1": 0.05, "type_2": 0.13, "type_3": 0.06}
GOOD = [
    result("two_hop", 3000, {"type_0": 0.99, **FLAT}),
    result("two_hop", 1600, {"type_0": 0.2, **FLAT}, gap=0.1, flipped=0.3),
    result("cot", 1600, {"type_0": 0.99, **FLAT}),
    result("non_tree", 3000, {"type_0": 0.3, **FLAT}, gap=0.02),
    result("modular_addition", 684, {"type_1": 0.1}),
    result("modular_addition_perpendicular", 684, {"type_1": 1.0}),
    result("two_hop_perpendicular", 3000, {"type_0": 0.3, **FLAT}),
]


def verdicts(results):
    return [judge(results)[0] for judge in CLAIMS.values()]


def test_all_claims_hold_where_they_should():
    assert all(verdicts(GOOD))
    assert claims_text(GOOD).count("**holds**") == len(CLAIMS)


@pytest.mark.parametrize(
    ("place", "change", "claim"),
    [
        (0, {"right": {"type_0": [94, 100], "type_1": [5, 100]}}, 0),
        (0, {"right": {"type_0": [99, 100], "type_1": [25, 100]}}, 0),
        (1, {"by_cutoff": {"3": [60, 100], "6": [60, 100]}}, 1),
        (1, {"states": GOOD[0]["states"]}, 2),
        (1, {"states": GOOD[0]["states"]}, 3),
        (2, {"right": {"type_0": [10, 100]}}, 4),
        (3, {"states": GOOD[0]["states"]}, 5),
        (5, {"right": {"type_1": [50, 100]}}, 6),
        (6, {"right": {"type_0": [100, 100]}}, 7),
    ],
)
def test_a_claim_that_fails_is_said_to(place, change, claim):
    results = copy.deepcopy(GOOD)
    results[place] |= change
    assert verdicts(results)[claim] in (False,)
    assert "does not hold" in claims_text(results)


def test_what_was_not_run_is_not_measured():
    assert verdicts([]) == [None] * len(CLAIMS)
    assert claims_text([]).count("not measured") == len(CLAIMS)
