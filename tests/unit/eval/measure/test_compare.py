from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from quince.eval.measure.compare import compare, keep_explore, ranks
from quince.eval.measure.metrics import bounds_of, measure, per_problem
from quince.eval.measure.problems import Answer, Problem
from quince.eval.measure.statistics import StatisticsError, paired_difference


def problem(name: str, correct: int, n: int = 4) -> Problem:
    right = Answer("yes", correct, 1.0, "correct", True, "yes", 2, -0.5, False)
    wrong = Answer("no", n - correct, 0.0, "wrong", False, None, 3, -1.5, False)
    answers = tuple(a for a in (right, wrong) if a.count)
    return Problem(name, "arithmetic", f"question {name}", {"answer": "yes"}, answers, replace(right, count=1))


def test_compare_pairs_problems():
    base = [problem("a", 4), problem("b", 0), problem("c", 2)]
    other = [problem("b", 4), problem("a", 4), problem("d", 1)]
    comparison = compare(base, other, (1, 4))
    assert (comparison.problems, comparison.unmatched) == (2, 2)
    assert comparison.differences["pass@1"].estimate == pytest.approx(0.5)
    kept = comparison.kept[4]
    assert (kept.keep.estimate, kept.explore.estimate, kept.base_solved) == (1, 1, 1)


def test_ranks_do_not_go_inside_the_noise():
    clear = {f"{i}": i % 2 for i in range(100)}
    values = {
        "best": dict.fromkeys(clear, 0.9),
        "near": {i: 0.9 + (0.02 if int(i) % 2 else -0.021) for i in clear},
        "worse": dict.fromkeys(clear, 0.5),
    }
    assert ranks(values) == {"best": 1, "near": 1, "worse": 3}
    assert ranks({}) == {} and ranks({"a": {"x": 1.0}, "b": {"y": 0.0}}) == {"a": 1, "b": 1}


def test_ranks_are_over_clusters():
    values = {"a": {str(i): float(i % 2) for i in range(40)}, "b": {str(i): float(i % 2 and i > 13) for i in range(40)}}
    assert ranks(values) == {"a": 1, "b": 2}
    assert ranks(values, {str(i): str(i // 10) for i in range(40)}) == {"a": 1, "b": 1}


def test_problems_that_ask_something_else_are_not_paired():
    base = [problem("a", 4), problem("b", 0)]
    other = [replace(problem("a", 0), question="another one"), problem("b", 0)]
    comparison = compare(base, other, (1,))
    assert (comparison.problems, comparison.unmatched) == (1, 2)


def test_a_comparison_is_over_clusters():
    def solved(shift: int) -> list[Problem]:
        return [replace(problem(str(i), min(4, i % 4 + shift)), cluster=str(i // 10)) for i in range(40)]

    clustered = compare(solved(0), solved(1), (1, 4))
    alone = compare(*([replace(p, cluster=None) for p in solved(s)] for s in (0, 1)), (1, 4))
    for one, other in (
        (clustered.differences["pass@1"], alone.differences["pass@1"]),
        (clustered.kept[4].keep, alone.kept[4].keep),
    ):
        assert one.high - one.low > 1.5 * (other.high - other.low)
    assert not alone.differences["pass@1"].contains(0) and clustered.differences["pass@1"].contains(0)
    assert "pass@1" in alone.detectable and "pass@1" not in clustered.detectable  # four clusters find nothing
    one = compare(*([replace(p, cluster="x") for p in solved(s)] for s in (0, 1)), (1,))
    assert one.differences["pass@1"].refused == "no interval from 1 cluster" and one.kept[1].keep.refused


def test_a_rank_counts_all_better_models_and_not_only_the_neighbour():
    """Each model ties with the next, and is shown to be worse than the second above it."""
    noise = np.random.default_rng(3).normal(0, 0.1, (4, 40))
    noise -= noise.mean(1, keepdims=True)
    columns = {name: 0.5 - 0.038 * place + noise[place] for place, name in enumerate("abcd")}
    found = ranks({name: {str(i): v for i, v in enumerate(column)} for name, column in columns.items()})
    assert all(paired_difference(columns[x], columns[y]).p_value > 0.05 for x, y in pairwise("abcd"))
    assert list(found.items()) == [("a", 1), ("b", 1), ("c", 2), ("d", 3)]


@pytest.mark.parametrize(("models", "boards"), [(2, 200), (5, 100), (10, 40), (20, 15)])
@pytest.mark.parametrize("samples", [1, 16])
def test_boards_of_equal_models_have_one_rank(models, boards, samples):
    rng = np.random.default_rng(models)
    several = 0
    for _ in range(boards):
        chances = rng.beta(0.5, 0.5, 50)
        table = rng.binomial(samples, chances, (models, 50)) / samples
        several += len(set(ranks({str(m): dict(enumerate(row)) for m, row in enumerate(table.tolist())}).values())) > 1
    assert several <= 0.05 * boards


@pytest.mark.parametrize("clusters", [1, 2, 4])
def test_boards_of_few_databases_have_one_rank(clusters):
    rng = np.random.default_rng(clusters)
    names = {str(i): f"db {i % clusters}" for i in range(40)}
    for _ in range(30):
        shares = np.clip(rng.normal(0.5, 0.3, (3, clusters)), 0, 1)
        values = {str(m): {i: shares[m, int(i) % clusters] for i in names} for m in range(3)}
        assert set(ranks(values, names).values()) == {1}


def test_a_greedy_answer_that_is_not_judged_is_not_wrong():
    problems = [problem(str(i), 4) for i in range(4)]
    unknown = replace(problems[0].greedy, value=None, outcome="error", correct=False)
    problems[0] = replace(problems[0], greedy=unknown)
    greedy = measure(problems, (1,))["greedy"]
    assert (greedy.interval.estimate, greedy.problems) == (1.0, 3)


def test_intervals_stay_within_what_a_metric_can_be():
    problems = [problem(str(i), i % 5) for i in range(5)]
    below = replace(problems[0].answers[0], value=-2.0)
    problems[0] = replace(problems[0], answers=(below,))
    found = measure(problems, (1, 4))
    columns = per_problem(problems, (1, 4))
    ends = {
        name: bounds_of(name, column[~np.isnan(column)], problems) for name, column in columns.items() if name in found
    }
    assert ends["mean_reward"] == (-2.0, 1.0) and ends["distinct_correct"] == (0.0, 2.0)
    assert ends["idiom_entropy"] == (0.0, 1.0) and ends["pass@4"] == ends["truncated"] == (0.0, 1.0)
    for name, metric in found.items():
        low, high = ends[name]
        assert low <= metric.interval.low <= metric.interval.estimate <= metric.interval.high <= high


def test_keep_and_explore():
    result = keep_explore([1, 1, 1, 0, 0], [1, 0, 1, 1, 0])
    assert result.keep.estimate == pytest.approx(2 / 3)
    assert result.explore.estimate == pytest.approx(1 / 2)
    assert (result.base_solved, result.problems) == (3, 5)
    assert result.keep.low <= result.keep.estimate <= result.keep.high


def test_keep_and_explore_of_probabilities_are_expected_shares():
    rng = np.random.default_rng(0)
    base, new = rng.random(40), rng.random(40)
    draws = [keep_explore(rng.random(40) < base, rng.random(40) < new) for _ in range(300)]
    expected = keep_explore(base, new)
    assert np.mean([d.keep.estimate for d in draws]) == pytest.approx(expected.keep.estimate, abs=0.02)
    assert np.mean([d.explore.estimate for d in draws]) == pytest.approx(expected.explore.estimate, abs=0.02)


def test_keep_without_anything_to_keep():
    assert keep_explore([0, 0], [1, 0]).keep is None
    assert keep_explore([1, 1], [1, 0]).explore is None


def test_keep_explore_wants_the_same_problems():
    with pytest.raises(StatisticsError, match="same problems"):
        keep_explore([1], [1, 0])
