"""Determined coverage: labels are right where functions allow it, contradictions stop joins, order does not matter."""

from __future__ import annotations

import numpy as np
import pytest
from quince.data.compositional.generate import Task, generate
from quince.eval.coverage.closure import covered
from quince.eval.coverage.determined import SEEN, agglomerate, determine
from quince.eval.coverage.null_model import smallest_k
from quince.eval.coverage.observations import observe, subsets
from quince.eval.coverage.pairs import all_pairs, fragment_pairs

LEFT = ((0,),)


def lines(*words):
    """One row for each letter: the word's number in the first slot, the letter's place in the second; `.` is unseen."""
    cells = [(row, place, ord(letter)) for row, word in enumerate(words) for place, letter in enumerate(word)]
    kept = np.array([cell for cell in cells if cell[2] != ord(".")])
    return observe(kept[:, :2], kept[:, 2], (len(words) + 1, max(map(len, words)) + 1))


def classes_of(observations, k):
    found = agglomerate(observations, fragment_pairs(observations, (0,)), k)
    return found.labels.tolist(), found.agree.tolist()


def naive(observations, subset, k):
    """Join the best supported pair of classes whose maps nowhere disagree, by trying all pairs, until none has k."""
    maps: dict[tuple, dict] = {}
    for row, output in zip(observations.inputs.tolist(), observations.outputs.tolist(), strict=True):
        context = tuple(value for slot, value in enumerate(row) if slot not in subset)
        maps.setdefault(tuple(row[slot] for slot in subset), {})[context] = output
    groups = [([name], maps[name]) for name in sorted(maps)]
    while True:
        best, pair = k - 1, None
        for i, (_, first) in enumerate(groups):
            for j, (_, second) in enumerate(groups[:i]):
                shared = first.keys() & second.keys()
                if len(shared) > best and all(first[context] == second[context] for context in shared):
                    best, pair = len(shared), (j, i)
        if pair is None:
            return {frozenset(names) for names, _ in groups}
        low, (names, joined) = pair[0], groups.pop(pair[1])
        groups[low] = (groups[low][0] + names, groups[low][1] | joined)


def two_hop(values, rows, seed=0):
    data = generate(Task("two_hop", values, rows, seed=seed))
    return observe(data.train.inputs, data.train.answers, (values,) * 3), data


def test_evidence_is_counted_again_on_joined_classes():
    # The third word shares one letter with each of the others, two with their join.
    observations = lines("abc..f", "abc.e.", "....ef")
    assert classes_of(observations, 3) == ([0, 0, 1], [3])
    assert classes_of(observations, 2) == ([0, 0, 0], [3, 2])


def test_a_contradiction_anywhere_in_the_classes_stops_the_join():
    # The third agrees with the first alone, but its last letter contradicts the second.
    observations = lines("abc..", "abcd.", "ab.e.")
    assert classes_of(observations, 1)[0] == [0, 0, 1]


def test_the_best_supported_pair_is_joined_first():
    # The second could go with either; it shares more with the third.
    observations = lines("abx", "ab..cde", "..y.cde")
    assert classes_of(observations, 2) == ([0, 1, 1], [3])


def test_labels_evidence_and_conflict():
    observations = lines("abc..", "abcd.", "....z")
    found = determine(observations, [[0, 3], [0, 0], [0, 4], [2, 0], [3, 0], [1, 5]], 2, LEFT)
    assert found.labels.tolist() == [ord("d"), ord("a"), -1, -1, -1, -1]
    assert found.evidence.tolist() == [3, SEEN, 0, 0, 0, 0]
    assert not found.conflict.any()
    again = determine(observations, [[0, 3]], 2, classes=found.classes)
    assert again.labels.tolist() == [ord("d")]
    assert determine(observations, [[0, 3]], 4, LEFT).labels.tolist() == [-1]


def test_subsets_that_disagree_are_a_conflict_and_give_no_label():
    # By the first slot (0, 2) is like (1, 2), by the second like (0, 3).
    observations = observe(
        [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [0, 3], [2, 2], [2, 3], [3, 2], [3, 3]],
        [0, 1, 0, 1, 7, 8, 2, 2, 3, 3],
    )
    found = determine(observations, [[0, 2]], 2)
    assert (found.labels.tolist(), found.evidence.tolist(), found.conflict.tolist()) == ([-1], [0], [True])
    assert determine(observations, [[0, 2]], 2, ((0,),)).labels.tolist() == [7]
    assert determine(observations, [[0, 2]], 2, ((1,),)).labels.tolist() == [8]


def test_evidence_is_the_weakest_join_on_the_best_way():
    # Joins of 4 and then of 2; the letter y is reached over the weak one, x over the strong one.
    observations = lines("abcd..", "abcdx.", "ab...y")
    found = determine(observations, [[0, 4], [0, 5], [2, 4]], 2, LEFT)
    assert found.labels.tolist() == [ord("x"), ord("y"), ord("x")]
    assert found.evidence.tolist() == [4, 2, 2]
    assert determine(observations, [[0, 4], [0, 5]], 2, LEFT, largest_k=3).evidence.tolist() == [3, 2]


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_joins_are_greedy(seed, k):
    # Ties may be broken in another way; at k = 1 that can change the classes, here it does not.
    observations, _ = two_hop(8, 200, seed)
    ours = agglomerate(observations, fragment_pairs(observations, (0, 1)), k)
    names = [tuple(fragment) for fragment in ours.fragments.tolist()]
    groups = {frozenset(n for n, g in zip(names, ours.labels, strict=True) if g == label) for label in set(ours.labels)}
    assert groups == naive(observations, (0, 1), k)


def test_classes_never_contradict_themselves_and_joins_meet_k():
    observations, _ = two_hop(20, 1600)
    for subset, pairs in all_pairs(observations).items():
        found = agglomerate(observations, pairs, 2)
        assert (found.agree >= 2).all()
        assert len(found.fragments) - len(found.left) == len(np.unique(found.labels))
        maps: dict[tuple, int] = {}
        number = {
            tuple(fragment): label for fragment, label in zip(found.fragments.tolist(), found.labels, strict=True)
        }
        for row, output in zip(observations.inputs.tolist(), observations.outputs.tolist(), strict=True):
            context = tuple(value for slot, value in enumerate(row) if slot not in subset)
            key = (number[tuple(row[slot] for slot in subset)], context)
            assert maps.setdefault(key, output) == output


def test_two_hop_is_determined_where_closure_is_not_and_without_an_error():
    observations, data = two_hop(30, 3600, seed=1)
    queries, answers = data.test[0].inputs, data.test[0].answers
    pairs = all_pairs(observations)
    for k in (2, 3):
        family = smallest_k(observations, pairs).supported(k)
        found = determine(observations, queries, k, family, pairs=pairs)
        predicted = found.labels >= 0
        assert (found.labels[predicted] == answers[predicted]).all()
        # Nothing is known of the second table's entry there, so a label could only be chance.
        unknown = determine(observations, data.test[3].inputs, k, classes=found.classes)
        assert (unknown.labels >= 0).mean() <= 0.005
    assert predicted.sum() > 1.05 * covered(observations, queries, 3, pairs=pairs).sum()


def test_the_order_of_rows_does_not_matter():
    observations, data = two_hop(15, 700)
    queries = data.test[0].inputs
    found = determine(observations, queries, 2)
    order = np.random.default_rng(0).permutation(len(observations))
    shuffled = determine(observe(observations.inputs[order], observations.outputs[order], (15,) * 3), queries, 2)
    assert np.array_equal(found.labels, shuffled.labels)
    assert np.array_equal(found.evidence, shuffled.evidence)


def test_labels_of_queries_are_not_asked_for_and_no_subset_gives_nothing():
    observations, data = two_hop(6, 60)
    found = determine(observations, data.test[0].inputs, 2, ())
    assert (found.labels == -1).all()
    assert set(determine(observations, data.test[0].inputs).classes) == set(subsets(3))
