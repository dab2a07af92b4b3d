from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quince.eval.compression import measures
from quince.eval.compression.costs import Lengths, Prices, Timing, cost_rows, costs, reads_to_pay, time_batches
from quince.eval.compression.results import CAPSULE, FULL, NONE, SWAPPED, Results


def results(right, tokens=None, budgets=None, written=None, **others) -> Results:
    """Results of readers A and B, by source `(A, B)` in lists over passages."""
    count = len(next(iter(right.values()))[0])
    lengths = tokens or {source: [1] * count for source in right}
    return Results(
        ids=[str(i) for i in range(count)],
        readers=["A", "B"],
        right={source: dict(zip("AB", both, strict=True)) for source, both in right.items()},
        tokens={source: {"A": own, "B": own} for source, own in lengths.items()},
        budgets=budgets or [12] * count,
        written=written or [12] * count,
        **{
            "stopped": [True] * count,
            "grounded": [1.0] * count,
            "compressor_read": [100] * count,
            "compressor_written": [12] * count,
            **others,
        },
    )


def test_reads_to_pay_by_hand():
    assert reads_to_pay(10, 3, 1) == 5
    assert reads_to_pay(9, 3, 1) == 5  # 4.5 reads are 5
    assert reads_to_pay(0.3, 0.2, 0.1) == 3  # and not 4 from rounding
    assert reads_to_pay(0, 3, 1) == 1
    assert reads_to_pay(10, 1, 1) is None
    assert reads_to_pay(0, 1, 2) is None
    # The first read is dearer than the cached ones: 10 + n = 11 + 2 (n - 1) at n = 1.
    assert reads_to_pay(10, 2, 1, first=11) == 1
    assert reads_to_pay(20, 2, 1, first=11) == 11


def seconds(most: float, least: float = 0) -> st.SearchStrategy[float]:
    return st.floats(least, most, allow_subnormal=False)


@given(seconds(1e3), seconds(10, 0.01), seconds(10), seconds(20))
def test_compressing_has_paid_from_that_read_on_and_not_before(once, before, after, first):
    reads = reads_to_pay(once, before, after, first)
    if reads is None:
        assert before <= after
        return

    def saved(n: int) -> float:
        return first + (n - 1) * before - once - n * after

    assert saved(reads) >= -1e-6 * (1 + abs(saved(reads)) + once)
    assert reads == 1 or saved(reads - 1) < 0


def test_a_timing_says_when_it_pays():
    timing = Timing(batch=8, compress=2.4, full=1.0, capsule=0.2)
    assert timing.ratio == pytest.approx(5)
    assert timing.reads_to_pay == 3
    assert timing.share_after(3) == pytest.approx(1.0)
    assert timing.share_after(1) == pytest.approx(2.6)
    assert Timing(1, 1.0, 1.0, 1.0).reads_to_pay is None


def test_batches_are_timed_apart_and_the_first_round_is_not_counted():
    now = [0.0]
    seen = []

    def work(seconds):
        def do(items):
            seen.append(list(items))
            now[0] += seconds if len(seen) > 3 else 100.0
            return None

        return do

    timings = time_batches("abc", [2], 3, work(3.0), work(2.0), work(1.0), clock=lambda: now[0])
    assert timings == [Timing(2, 3.0, 2.0, 1.0)]
    assert seen[0] == seen[1] == seen[2] == ["a", "b"]
    assert seen[3] == ["c", "a"]
    assert len(seen) == 12


def test_costs_by_hand():
    prices = Prices("assumed", "USD", 2.0, 0.2, 1.0, 4.0)
    of = costs(prices, Lengths(passage=1000, capsule=100, compressor_read=1100, compressor_written=100))
    assert (of.full, of.cached, of.capsule, of.compress) == pytest.approx((2e-3, 2e-4, 2e-4, 1.5e-3))
    assert of.reads_to_pay == 1  # 1.5 + 0.2 against 2
    assert of.reads_to_pay_cached is None  # a cached read is as cheap as the capsule
    assert cost_rows(of, [1, 10]) == [
        (1, *(pytest.approx(v) for v in (2.0, 2.0, 1.7))),
        (10, *(pytest.approx(v) for v in (20.0, 3.8, 3.5))),
    ]
    uncached = costs(Prices("assumed", "USD", 2.0, None, 1.0, 4.0), Lengths(1000, 100, 1100, 100))
    assert uncached.cached is None and uncached.reads_to_pay_cached is None
    assert cost_rows(uncached, [1])[0][2] is None


def test_equal_passages_claim_no_certainty():
    found = results({FULL: ([1.0] * 50, [0.5] * 50), CAPSULE: ([0.0] * 50, [0.5] * 50)})
    assert measures.accuracy(found, CAPSULE, "A").high > 0.05
    assert measures.accuracy(found, CAPSULE, "B").low < 0.48


def test_the_transfer_ratio_by_hand():
    found = results({FULL: ([1.0] * 4, [0.5] * 4), CAPSULE: ([0.5] * 4, [0.25] * 4)})
    ratio = measures.transfer(found, "B")
    assert (ratio.estimate, ratio.low, ratio.high) == (1.0, 1.0, 1.0)
    lost = results({FULL: ([1.0] * 4, [1.0] * 4), CAPSULE: ([0.5] * 4, [0.1] * 4)})
    assert measures.transfer(lost, "B").estimate == pytest.approx(0.2)
    assert measures.retention(lost, "A").estimate == pytest.approx(0.5)


def test_the_transfer_ratio_is_paired_by_passage():
    easy = [float(i % 2) for i in range(200)]
    same = results({FULL: ([1.0] * 200, [1.0] * 200), CAPSULE: (easy, easy)})
    ratio = measures.transfer(same, "B")
    assert ratio.low == ratio.high == 1.0  # what makes a passage hard is hard for both
    other = results({FULL: ([1.0] * 200, [1.0] * 200), CAPSULE: (easy, easy[1:] + easy[:1])})
    assert measures.transfer(other, "B").low < 0.9


def test_a_ratio_by_nothing_is_none():
    nothing = results({FULL: ([1.0] * 4, [1.0] * 4), CAPSULE: ([0.0] * 4, [0.5] * 4)})
    assert measures.transfer(nothing, "B") is None


def test_the_budget_is_counted_on_what_was_written():
    found = results(
        {FULL: ([1.0] * 4, [1.0] * 4), CAPSULE: ([1.0] * 4,) * 2}, budgets=[12] * 4, written=[12, 13, 5, 40]
    )
    assert measures.over_budget(found).estimate == 0.5
    none = results({FULL: ([1.0] * 4, [1.0] * 4), CAPSULE: ([1.0] * 4,) * 2})
    assert measures.over_budget(none).estimate == 0.0


def test_lengths_and_equal_tokens():
    right = {name: ([1.0] * 2, [1.0] * 2) for name in (FULL, CAPSULE, "first", "last")}
    tokens = {FULL: [100, 50], CAPSULE: [10, 10], "first": [10, 10], "last": [10, 9]}
    found = results(right, tokens=tokens)
    assert measures.length_cut(found, "A").estimate == pytest.approx(0.85)
    assert measures.equal_tokens(found, "first")
    assert not measures.equal_tokens(found, "last")
    assert measures.token_difference(found, "last") == pytest.approx(-0.05)


def test_a_leak_is_what_swapped_capsules_answer_beyond_nothing():
    right = {FULL: ([1.0] * 4,) * 2, CAPSULE: ([1.0] * 4,) * 2, NONE: ([0.0, 0.0, 0.0, 1.0],) * 2}
    assert measures.leak(results(right), "A") is None
    leaky = results(right | {SWAPPED: ([1.0] * 4,) * 2})
    assert measures.leak(leaky, "A").estimate == 0.75
    assert measures.gain(leaky, SWAPPED, "A").estimate == 0.0


def test_grounding_leaves_out_what_says_nothing():
    right = {FULL: ([1.0] * 3,) * 2, CAPSULE: ([1.0] * 3,) * 2}
    assert measures.grounding(results(right, grounded=[None, 1.0, 0.5])).estimate == 0.75
    assert measures.grounding(results(right, grounded=[None] * 3)) is None


def test_results_survive_json():
    found = results(
        {FULL: ([1.0] * 2,) * 2, CAPSULE: ([0.5] * 2,) * 2},
        timings={"A": [Timing(1, 1.0, 2.0, 1.5)]},
        prices=Prices("assumed", "USD", 2.0, 0.2, 1.0, 4.0),
    )
    assert Results.from_dict(found.as_dict()) == found
