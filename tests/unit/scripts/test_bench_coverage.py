"""The claims of the coverage bench on made-up results: what holds is said to hold, what is missing is said to be."""

from __future__ import annotations

import copy

import pytest
from quince.scripts.bench.coverage import required
from quince.scripts.bench.coverage.claims import TABLE, claims_text, judged
from quince.scripts.bench.coverage.required import crossing, law, sizes_to_try
from quince.scripts.bench.coverage.study import with_earlier


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


def mechanisms(known: float, rest: float, covered: float = 1.0) -> dict:
    counts = {"equivalence": covered, "property": known, "neither": rest}
    own = {name: [round(100 * share), 100] for name, share in counts.items()}
    return {"by_mechanism": {f"type_{kind}": own for kind in (1, 2, 3)}}


GOOD = [
    result("two_hop", 3000, {"type_0": 0.99, **FLAT}),
    result("two_hop", 1600, {"type_0": 0.2, **FLAT}, gap=0.1, flipped=0.3),
    result("cot", 1600, {"type_0": 0.99, **FLAT}),
    result("non_tree", 3000, {"type_0": 0.3, **FLAT}, gap=0.02),
    result("modular_addition", 684, {"type_1": 0.1}),
    result("modular_addition_perpendicular", 684, {"type_1": 1.0}),
    result("two_hop_perpendicular", 3000, {"type_0": 0.3, **FLAT}),
    result("symmetric", 3000, {"type_0": 0.99}) | mechanisms(0.5, 0.1),
    result("ignored", 3000, {"type_0": 0.99}) | mechanisms(0.0, 0.0),
    result("same", 3000, {"type_0": 0.99}) | mechanisms(0.3, 0.1),
]


def verdicts(results):
    return [holds for _, holds, _ in judged(results)]


def test_all_claims_hold_where_they_should():
    assert all(verdicts(GOOD))
    assert claims_text(GOOD).count("**holds**") == len(TABLE["claims"])


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
        (7, mechanisms(0.15, 0.1), 8),
        (8, mechanisms(0.5, 0.1, covered=0.9), 9),
        (9, mechanisms(0.1, 0.5), 10),
    ],
)
def test_a_claim_that_fails_is_said_to(place, change, claim):
    results = copy.deepcopy(GOOD)
    results[place] |= change
    assert verdicts(results)[claim] in (False,)
    assert "does not hold" in claims_text(results)


def test_what_was_not_run_is_not_measured():
    assert verdicts([]) == [None] * len(TABLE["claims"])
    assert claims_text([]).count("not measured") == len(TABLE["claims"])


def walk(guess: float, needed: float) -> list[int]:
    """Sizes that the search trains, if exactly those above `needed` are enough."""
    sizes = sizes_to_try(guess)
    tried = [next(sizes)]
    try:
        while True:
            tried.append(sizes.send(tried[-1] >= needed))
    except StopIteration:
        return tried


@pytest.mark.parametrize("needed", [90, 100, 101, 140, 200])
def test_the_search_for_required_rows_ends_with_a_bracket(needed):
    tried = walk(100, needed)
    assert max(rows for rows in tried if rows < needed) * 1.26 > needed
    assert min(rows for rows in tried if rows >= needed) < needed * 1.26
    assert len(tried) <= 5


def test_the_search_for_required_rows_gives_up():
    assert walk(100, 1000) == [100, 125, 156, 195, 244]
    assert walk(100, 1) == [100, 80, 64, 51, 41]


def test_required_rows_are_interpolated():
    assert crossing({100: (90, 100), 400: (100, 100)}) == pytest.approx(200)
    assert crossing({100: (95, 100), 50: (0, 100)}) == pytest.approx(100)
    assert crossing({100: (96, 100), 200: (100, 100)}) is None  # never too few
    assert crossing({100: (10, 100), 200: (94, 100)}) is None  # never enough


def test_only_wide_brackets_are_halved(tmp_path, monkeypatch):
    def model(values, rows, right):
        return {"study": "two_hop", "values": values, "seed": 0, "rows": rows, "right": right, "tested": 100}

    wide, near = [model(16, 400, 30), model(16, 500, 99)], [model(24, 400, 90), model(24, 500, 99)]
    halved = [model(28, 400, 30), model(28, 447, 40), model(28, 500, 99)]
    asked = []
    monkeypatch.setattr(required, "collect", lambda runs: [*wide, *near, *halved, model(32, 500, 99)])
    monkeypatch.setattr(required, "trained", lambda *where: asked.append(where[-3:]) or (0, 0))
    for values in (16, 20, 24, 28, 32):
        required.halve_point(tmp_path, "two_hop", values, 0)
    assert asked == [(16, 0, 447)]


def test_the_law_of_required_rows():
    def model(values, seed, rows, right):
        return {"study": "two_hop", "values": values, "seed": seed, "rows": rows, "right": right, "tested": 100}

    models = [model(n, seed, 2 * n**2, 95) for n in (8, 16, 32) for seed in (0, 1)]
    models += [model(n, seed, n**2, 0) for n in (8, 16, 32) for seed in (0, 1)] + [model(40, 0, 900, 20)]
    found = law(models, "two_hop")
    assert found["exponent"]["estimate"] == pytest.approx(2.0)
    assert found["points"][-1] == (40, 0, None)
    assert law(models[:2], "two_hop")["exponent"] is None


def test_the_page_shows_required_rows_and_their_law():
    points = [(8, 0, 128.0), (8, 1, 128.0), (16, 0, 512.0), (24, 0, None)]
    span = {"estimate": 2.0, "low": 1.9, "high": 2.1}
    measured = {"points": points, "exponent": span, "r_squared": 1.0, "paper_trained": 2.26}
    unknown = {"points": [], "exponent": None, "r_squared": None, "paper_trained": 2.58}
    text = required.render({"laws": {"two_hop": measured, "three_hop": unknown}})
    assert "to the power of\n2.00 for two hop." in text
    assert "| two hop | 2.00 [1.90, 2.10] | 1.000 | 2.00, 2.25, 2.33 | 2.26 |" in text
    assert "| three hop | not measured | - | - | 2.58 |" in text
    assert "| two hop | 8 | 128, 128 | 1.5, 1.5 | 0 |" in text
    assert "| two hop | 24 | - | - | 1 |" in text


def test_earlier_results_stay_unless_they_were_measured_again():
    def of(study: str, seed: int, steps: int) -> dict:
        return {"study": study, "steps": steps, "data": {"task": {"seed": seed, "rows": 3000}}}

    assert with_earlier([of("two_hop", 0, 2)], []) == [of("two_hop", 0, 2)]
    earlier = [of("two_hop", 0, 1), of("two_hop", 1, 1)]
    found = with_earlier([of("two_hop", 0, 2), of("symmetric", 0, 2)], earlier)
    assert found == [of("two_hop", 0, 2), of("two_hop", 1, 1), of("symmetric", 0, 2)]
