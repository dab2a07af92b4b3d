"""Observations, keys, and the join of fragments that share contexts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from quince.eval.coverage.observations import as_queries, find_keys, observe, row_keys, subsets
from quince.eval.coverage.pairs import Caps, all_pairs, fragment_pairs, shared_contexts

WIDE = (2**20,) * 7
"""Sizes whose table of inputs has more cells than an integer can count."""


def random_rows(seed, sizes, share, outputs=3):
    """A share of all inputs, with outputs of a random table."""
    rng = np.random.default_rng(seed)
    table = np.indices(sizes).reshape(len(sizes), -1).T
    kept = rng.permutation(len(table))[: max(1, round(share * len(table)))]
    return observe(table[kept], rng.integers(0, outputs, len(kept)), sizes)


def counted(observations, subset):
    """Agreements and disagreements of every pair of fragments, by comparing all of them."""
    maps: dict[tuple, dict[tuple, int]] = {}
    for row, output in zip(observations.inputs.tolist(), observations.outputs.tolist(), strict=True):
        context = tuple(value for slot, value in enumerate(row) if slot not in subset)
        maps.setdefault(tuple(row[slot] for slot in subset), {})[context] = output
    found = {}
    for first, second in combinations(sorted(maps), 2):
        shared = maps[first].keys() & maps[second].keys()
        agree = sum(maps[first][context] == maps[second][context] for context in shared)
        found[first, second] = (agree, len(shared) - agree)
    return found


def listed(pairs):
    """Pairs as `counted` gives them."""
    names = [tuple(fragment) for fragment in pairs.fragments.tolist()]
    ends = zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)
    counts = zip(pairs.agree.tolist(), pairs.disagree.tolist(), strict=True)
    return {(names[left], names[right]): count for (left, right), count in zip(ends, counts, strict=True)}


def test_repeats_are_removed_and_the_order_is_kept():
    observed = observe([[2, 1], [0, 1], [2, 1], [1, 0]], [5, 4, 5, 3])
    assert observed.inputs.tolist() == [[2, 1], [0, 1], [1, 0]]
    assert observed.outputs.tolist() == [5, 4, 3]
    assert observed.rows.tolist() == [0, 1, 3]
    assert (observed.sizes, observed.slots, len(observed)) == ((3, 2), 2, 3)


def test_one_input_with_two_outputs_names_both_rows():
    with pytest.raises(ValueError, match=r"rows 1 and 3 have the same input \[0, 1\] and the outputs 4 and 7"):
        observe([[2, 1], [0, 1], [2, 1], [0, 1]], [5, 4, 5, 7])


@pytest.mark.parametrize(
    ("inputs", "outputs", "sizes", "message"),
    [
        ([[0, 1]], [0, 1], None, "1 inputs and 2 outputs"),
        ([0, 1], [0, 1], None, "1 dimensions"),
        ([[0, -1]], [0], None, "codes >= 0"),
        ([[0.5, 1.0]], [0], None, "float64"),
        ([[0, 3]], [0], (2, 3), r"sizes \(2, 3\) do not hold the codes; the data needs at least \(1, 4\)"),
        ([[0, 3]], [0], (2,), "do not hold"),
        (np.zeros((0, 2), int), np.zeros(0, int), None, "found 0 rows"),
    ],
)
def test_rows_that_do_not_fit_are_refused(inputs, outputs, sizes, message):
    with pytest.raises(ValueError, match=message):
        observe(inputs, outputs, sizes)


def test_queries_need_the_same_slots():
    with pytest.raises(ValueError, match="3 slots, but the observations have 2"):
        as_queries([[1, 2, 3]], observe([[0, 1]], [0]))


def test_subsets_are_the_proper_ones():
    assert subsets(3) == ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2))
    assert subsets(4, largest=1) == ((0,), (1,), (2,), (3,))
    assert subsets(1) == ()


@pytest.mark.parametrize("sizes", [(5, 6, 7), WIDE])
def test_keys_sort_and_find_like_rows(sizes):
    table = np.random.default_rng(0).integers(0, 5, (200, len(sizes)))
    keys = row_keys(table, sizes)
    rows, first, inverse = np.unique(table, axis=0, return_index=True, return_inverse=True)
    found, where, back = np.unique(keys, return_index=True, return_inverse=True)
    assert where.tolist() == first.tolist()
    assert back.tolist() == inverse.reshape(-1).tolist()
    assert find_keys(row_keys(rows, sizes), found).tolist() == list(range(len(rows)))
    assert find_keys(row_keys(table[:3] + 5, [2 * s for s in sizes]), found[:0]).tolist() == [-1, -1, -1]


@pytest.mark.parametrize("sizes", [(4, 5), (3, 4, 5), (2, 3, 3, 2)])
@pytest.mark.parametrize("share", [0.15, 0.6, 1.0])
def test_pairs_are_those_of_comparing_all(sizes, share):
    for seed in range(4):
        observations = random_rows(seed, sizes, share, outputs=2 + seed)
        for subset, pairs in all_pairs(observations).items():
            every = counted(observations, subset)
            assert listed(pairs) == {pair: count for pair, count in every.items() if count[0]}
            assert pairs.capped is None
            shared = np.bincount([sum(count) for count in every.values()] or [0], minlength=2)
            exact = shared_contexts(observations, subset)
            assert exact.tolist()[1:] == shared.tolist()[1 : len(exact)]
            assert not shared[len(exact) :].any()


def test_a_subset_must_be_proper():
    observations = observe([[0, 1]], [0])
    for subset in ((), (0, 1), (2,)):
        with pytest.raises(ValueError, match="give some, not all, of the positions"):
            fragment_pairs(observations, subset)


@pytest.mark.parametrize("caps", [Caps(bucket=3), Caps(pairs=40)])
def test_caps_are_reported_and_leave_exact_counts(caps):
    # One output for all: every context is one bucket of eight fragments.
    table = np.indices((8, 4)).reshape(2, -1).T
    observations = observe(table, np.zeros(len(table), int))
    pairs = fragment_pairs(observations, (0,), caps)
    every = counted(observations, (0,))
    assert pairs.capped is not None
    assert pairs.capped.buckets == 4
    assert pairs.capped.fragments == 4 * (8 - pairs.capped.bucket)
    assert 0 < len(pairs.left) < len(every)
    assert all(every[pair] == count == (4, 0) for pair, count in listed(pairs).items())


def test_no_cap_in_force_is_not_reported():
    observations = random_rows(0, (4, 4, 4), 0.7)
    assert all(pairs.capped is None for pairs in all_pairs(observations, caps=Caps(bucket=16, pairs=2000)).values())
