"""k-coverage against a brute force that is written from the definition, on tables small enough for it."""

from __future__ import annotations

from collections import deque
from itertools import combinations, product

import numpy as np
import pytest
from quince.eval.coverage.closure import class_counts, covered, k_cutoffs, reach
from quince.eval.coverage.observations import observe, subsets
from quince.eval.coverage.pairs import Caps, all_pairs

LARGEST = 6


def composed(seed, values, share, slots=3):
    """Rows of f(g(x1, x2), x3, ...) with random tables: a share of all inputs."""
    rng = np.random.default_rng(seed)
    inputs = np.indices((values,) * slots).reshape(slots, -1).T
    outputs = inputs[:, 0]
    for slot in range(1, slots):
        outputs = rng.integers(0, values, (values, values))[outputs, inputs[:, slot]]
    kept = rng.permutation(len(inputs))[: round(share * len(inputs))]
    return observe(inputs[kept], outputs[kept], (values,) * slots)


def replaced(row, subset, fragment):
    row = list(row)
    for slot, value in zip(subset, fragment, strict=True):
        row[slot] = value
    return tuple(row)


def equivalent_pairs(known, slots, family, k):
    """Every pair (subset, a, a') of k-equivalent fragments, both ways round.

    Two members of D are a co-occurrence of a and a' if they are equal off the subset and carry a and a' on it. At
    least k of them, and every one must agree on the output.
    """
    evidence: dict[tuple, list[bool]] = {}
    for subset in family:
        for first, second in combinations(known, 2):
            if all(first[slot] == second[slot] for slot in range(slots) if slot not in subset):
                ends = tuple(tuple(row[slot] for slot in subset) for row in (first, second))
                for pair in (ends, ends[::-1]):
                    evidence.setdefault((subset, *pair), []).append(known[first] == known[second])
    return {pair: len(agrees) for pair, agrees in evidence.items() if all(agrees) and len(agrees) >= k}


def brute_force(observations, k, family, one_step=False):
    """The covered inputs: components, over all of X^l, of the edges x - x' that replace one k-equivalent fragment."""
    known = dict(zip(map(tuple, observations.inputs.tolist()), observations.outputs.tolist(), strict=True))
    partners: dict[tuple, list[tuple]] = {}
    for subset, first, second in equivalent_pairs(known, observations.slots, family, k):
        partners.setdefault((subset, first), []).append(second)
    reached, queue = set(known), deque(known)
    while queue:
        row = queue.popleft()
        if one_step and row not in known:
            continue
        for subset in family:
            for fragment in partners.get((subset, tuple(row[slot] for slot in subset)), []):
                other = replaced(row, subset, fragment)
                if other not in reached:
                    reached.add(other)
                    queue.append(other)
    return reached


def brute_cutoffs(observations, queries, family, **options):
    levels = [brute_force(observations, k, family, **options) for k in range(1, LARGEST + 1)]
    return [sum(tuple(query) in level for level in levels) for query in queries.tolist()]


def everything(observations):
    return np.array(list(product(*(range(size) for size in observations.sizes))))


CASES = [
    (seed, values, share, slots)
    for seed in range(3)
    for values, share, slots in [(8, 0.3, 2), (3, 0.5, 3), (5, 0.25, 3), (8, 0.2, 3), (3, 0.35, 4), (4, 0.2, 4)]
]


@pytest.mark.parametrize(("seed", "values", "share", "slots"), CASES)
@pytest.mark.parametrize("mode", ["definition", "one_step"])
def test_cutoffs_are_those_of_the_definition(seed, values, share, slots, mode):
    observations = composed(seed, values, share, slots)
    queries = everything(observations)
    expected = brute_cutoffs(observations, queries, subsets(slots), one_step=mode == "one_step")
    assert k_cutoffs(observations, queries, largest_k=LARGEST, mode=mode).tolist() == expected
    assert len(set(expected)) > 1


@pytest.mark.parametrize("family", [((0, 1),), ((0,), (2,)), ((1, 2), (0, 2)), ((0, 1), (1, 2), (2,))])
def test_any_family_of_subsets(family):
    observations = composed(1, 5, 0.4)
    queries = everything(observations)
    expected = brute_cutoffs(observations, queries, family)
    assert k_cutoffs(observations, queries, family, LARGEST).tolist() == expected
    assert k_cutoffs(observations, queries, family, LARGEST, pairs=all_pairs(observations)).tolist() == expected
    direct = brute_cutoffs(observations, queries, family, one_step=True)
    assert k_cutoffs(observations, queries, family, LARGEST, mode="one_step").tolist() == direct


@pytest.mark.parametrize("mode", ["definition", "one_step"])
def test_one_level_is_that_of_the_sweep(mode):
    observations = composed(2, 6, 0.35)
    queries = everything(observations)
    cutoffs = k_cutoffs(observations, queries, mode=mode)
    for k in (1, 2, 3, 5):
        assert np.array_equal(covered(observations, queries, k, mode=mode), cutoffs >= k)


def test_uneven_slots_and_random_outputs():
    rng = np.random.default_rng(5)
    table = np.indices((2, 7, 3)).reshape(3, -1).T
    observations = observe(*(part[:25] for part in (rng.permutation(table), rng.integers(0, 2, len(table)))), (2, 7, 3))
    queries = everything(observations)
    assert k_cutoffs(observations, queries, largest_k=LARGEST).tolist() == brute_cutoffs(
        observations, queries, subsets(3)
    )


def test_order_of_rows_and_names_of_values_do_not_matter():
    observations = composed(3, 6, 0.3)
    queries, rng = everything(observations), np.random.default_rng(0)
    cutoffs = k_cutoffs(observations, queries)
    order, names, outputs = rng.permutation(len(observations)), rng.permutation(6), rng.permutation(6)
    renamed = observe(names[observations.inputs[order]], outputs[observations.outputs[order]])
    assert np.array_equal(k_cutoffs(renamed, names[queries]), cutoffs)


def test_observed_queries_have_the_largest_cutoff_and_unseen_values_none():
    observations = composed(0, 5, 0.5)
    assert (k_cutoffs(observations, observations.inputs, largest_k=9) == 9).all()
    unseen = np.array([[0, 0, 17], [900, 1, 2], [4, 4, 5]])
    for mode in ("definition", "one_step"):
        assert k_cutoffs(observations, unseen, mode=mode).tolist() == [0, 0, 0]


def test_repeated_and_no_queries():
    observations = composed(1, 5, 0.4)
    queries = everything(observations)[::7]
    cutoffs = k_cutoffs(observations, queries)
    assert np.array_equal(k_cutoffs(observations, np.concatenate((queries, queries))), np.tile(cutoffs, 2))
    for mode in ("definition", "one_step"):
        assert k_cutoffs(observations, queries[:0], mode=mode).shape == (0,)


def test_more_inputs_than_an_integer_can_count():
    observations = composed(2, 5, 0.4)
    queries = everything(observations)
    constant = np.full((1, 6), 3)
    wide = observe(
        np.column_stack((observations.inputs, np.repeat(constant, len(observations), axis=0))),
        observations.outputs,
        (5, 5, 5, *(2**20,) * 6),
    )
    wide_queries = np.column_stack((queries, np.repeat(constant, len(queries), axis=0)))
    family = (*subsets(3), (0, 1, 5))
    for mode in ("definition", "one_step"):
        expected = k_cutoffs(observations, queries, mode=mode)
        assert np.array_equal(k_cutoffs(wide, wide_queries, family, mode=mode), expected)


def test_a_longer_chain_than_one_step():
    # Second slot: 0 ~ 1 by context 0, 1 ~ 2 by context 1; so (2, 2) is reached from (2, 0) by two substitutions.
    observations = observe([[0, 0], [0, 1], [1, 1], [1, 2], [2, 0]], [0, 0, 1, 1, 2])
    assert k_cutoffs(observations, [[2, 1], [2, 2]], ((1,),)).tolist() == [1, 1]
    assert k_cutoffs(observations, [[2, 1], [2, 2]], ((1,),), mode="one_step").tolist() == [1, 0]


def test_class_counts():
    observations = observe([[0, 0], [0, 1], [1, 1], [1, 2], [2, 0]], [0, 0, 1, 1, 2])
    assert [class_counts(observations, (1,), k) for k in (1, 2)] == [1, 3]
    assert class_counts(observations, (0,), 1) == 3


def test_a_stopped_search_says_which_queries_are_open():
    # Second slot: {0, 1, 2} and {3, 4} are classes. No row has the context 7, so (7, 0) is a component of three.
    inputs = [[0, 0], [0, 1], [1, 1], [1, 2], [2, 3], [2, 4], [3, 3]]
    observations = observe(inputs, [0, 0, 1, 1, 2, 2, 3])
    queries = [[7, 0], [3, 4], [3, 0]]
    family = ((1,),)
    full = reach(observations, queries, family)
    assert (full.cutoffs.tolist(), full.undecided.any()) == ([0, 1, 0], False)
    stopped = reach(observations, queries, family, caps=Caps(vertices=0))
    assert stopped.cutoffs.tolist() == [0, 1, 0]
    assert stopped.undecided.tolist() == [True, False, True]
    with pytest.warns(UserWarning, match="2 of 3 cutoffs are lower bounds, the search was stopped at 0 inputs"):
        k_cutoffs(observations, queries, family, caps=Caps(vertices=0))


def test_capped_pairs_warn():
    table = np.indices((8, 4)).reshape(2, -1).T
    observations = observe(table, np.zeros(len(table), int))
    with pytest.warns(UserWarning, match=r"pairs of subsets \[\(0,\)\] were capped, cutoffs are lower bounds"):
        k_cutoffs(observations, [[9, 9]], ((0,),), caps=Caps(bucket=3))


def test_labels_of_queries_are_refused_outside_legacy():
    observations = composed(0, 3, 0.5)
    for mode in ("definition", "one_step"):
        with pytest.raises(ValueError, match="only for legacy"):
            k_cutoffs(observations, observations.inputs, mode=mode, query_outputs=observations.outputs)
    with pytest.raises(ValueError, match="query_outputs are missing"):
        k_cutoffs(observations, observations.inputs, mode="legacy")


def test_the_published_script_covers_what_the_definition_does_not():
    # Nothing shares a context, so by the definition nothing but the row is covered. The script puts (5, 1, 1) with
    # its first slot replaced and (1, 5, 1) with its second into one bucket: class 5, context (1, 1).
    observations = observe([[5, 1, 1]], [3])
    query = np.array([[1, 5, 1]])
    assert brute_force(observations, 1, subsets(3)) == {(5, 1, 1)}
    for k in (1, 2, 20):
        assert not covered(observations, query, k).any()
        assert covered(observations, query, k, mode="legacy", query_outputs=[3]).all()
        assert not covered(observations, query, k, mode="legacy", query_outputs=[4]).any()


@pytest.mark.parametrize("seed", range(4))
def test_on_random_tables_the_published_script_is_wrong_both_ways(seed):
    observations = composed(seed, 8, 0.2)
    inputs = everything(observations)
    rng = np.random.default_rng(seed)
    tables = [rng.integers(0, 8, (8, 8)) for _ in range(2)]
    outputs = tables[1][tables[0][inputs[:, 0], inputs[:, 1]], inputs[:, 2]]
    known = set(map(tuple, observations.inputs.tolist()))
    held_out = [index for index, row in enumerate(inputs.tolist()) if tuple(row) not in known]
    part = rng.permutation(held_out)[:60]
    queries, labels = inputs[part], outputs[part]
    wrong = []
    for k in (1, 2, 3):
        truth = brute_force(observations, k, subsets(3))
        expected = np.array([tuple(query) in truth for query in queries.tolist()])
        assert np.array_equal(covered(observations, queries, k), expected)
        script = covered(observations, queries, k, mode="legacy", query_outputs=labels)
        wrong += [bool((script & ~expected).any()), bool((expected & ~script).any())]
    assert any(wrong[::2])
    assert any(wrong[1::2])
