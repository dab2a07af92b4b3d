"""Explanations: every step is witnessed by rows that say so, verdicts agree with the engine, gaps are named."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from quince.data.compositional.generate import Task, generate
from quince.eval.coverage.closure import covered
from quince.eval.coverage.determined import determine
from quince.eval.coverage.explain import Explainer, explain
from quince.eval.coverage.observations import observe
from quince.eval.coverage.pairs import Caps, all_pairs


@pytest.fixture(scope="module")
def two_hop():
    data = generate(Task("two_hop", 20, 1600, test_size=40))
    observations = observe(data.train.inputs, data.train.answers, (20,) * 3)
    return observations, all_pairs(observations), np.concatenate([data.test[kind].inputs for kind in range(4)])


def follow(observations, query, explanation, k, own_fragments):
    """Check each step against the rows and return where the steps lead."""
    vertex = list(query)
    for step in explanation.steps:
        assert tuple(vertex[slot] for slot in step.subset) == step.source
        rest = [slot for slot in range(len(vertex)) if slot not in step.subset]
        contexts = set()
        assert len(step.witnesses) == step.evidence >= k
        for pair in step.witnesses:
            rows = [observations.inputs[row] for row in pair]
            assert observations.outputs[pair[0]] == observations.outputs[pair[1]]
            assert np.array_equal(rows[0][rest], rows[1][rest])
            assert not np.array_equal(*rows)
            contexts.add(tuple(rows[0][rest]))
            if own_fragments:
                ends = [tuple(row[list(step.subset)].tolist()) for row in rows]
                assert ends == [step.source, step.target]
        assert len(contexts) == step.evidence
        for slot, value in zip(step.subset, step.target, strict=True):
            vertex[slot] = value
    return vertex


@pytest.mark.parametrize("k", [2, 3])
def test_closure_is_explained_by_steps_into_a_row(two_hop, k):
    observations, pairs, queries = two_hop
    explainer = Explainer(observations, k, "definition", pairs=pairs)
    found = [explainer(query) for query in queries]
    assert [item.verdict == "covered" for item in found] == covered(observations, queries, k, pairs=pairs).tolist()
    for query, item in zip(queries, found, strict=True):
        if item.verdict == "covered":
            assert follow(observations, query, item, k, True) == observations.inputs[item.row].tolist()
            assert item.label == observations.outputs[item.row]
            assert not item.missing
    assert max(len(item.steps) for item in found) > 2


@pytest.mark.parametrize("k", [1, 2, 3])
def test_determined_coverage_is_explained_by_joins(two_hop, k):
    observations, pairs, queries = two_hop
    result = determine(observations, queries, k, pairs=pairs)
    explainer = Explainer(observations, k, determined=result)
    found = [explainer(query) for query in queries]
    assert [-1 if item.label is None else item.label for item in found] == result.labels.tolist()
    assert [item.verdict == "ambiguous" for item in found] == result.conflict.tolist()
    for query, item, evidence in zip(queries, found, result.evidence.tolist(), strict=True):
        for path in (item, *item.against):
            if path.steps:
                assert follow(observations, query, path, k, False) == observations.inputs[path.row].tolist()
                assert path.label == observations.outputs[path.row]
        if item.verdict == "determined":
            assert min(min(step.evidence for step in item.steps), 20) == evidence
        if item.verdict == "ambiguous":
            labels = [path.label for path in item.against]
            assert len(labels) == len(set(labels)) > 1


def test_what_is_missing_is_named(two_hop):
    observations, pairs, queries = two_hop
    for mode in ("definition", "determined"):
        explainer = Explainer(observations, 3, mode, pairs=pairs)
        for query in queries:
            item = explainer(query)
            if item.verdict not in ("uncovered", "new-primitive"):
                continue
            assert (item.label, item.row, item.steps) == (None, None, ())
            assert {attempt.subset for attempt in item.missing} == set(pairs)
            for attempt in item.missing:
                check_attempt(observations, query, attempt)


def check_attempt(observations, query, attempt):
    """Its counts are those of the rows."""
    inputs, subset = observations.inputs, list(attempt.subset)
    rest = [slot for slot in range(inputs.shape[1]) if slot not in attempt.subset]
    own = (inputs[:, subset] == query[subset]).all(axis=1)
    assert attempt.fragment == tuple(query[subset].tolist())
    assert attempt.seen == own.sum()
    if attempt.target is None:
        assert (attempt.row, attempt.agree, attempt.disagree) == (None, 0, 0)
        return
    row = inputs[attempt.row]
    assert tuple(row[subset].tolist()) == attempt.target
    assert row[rest].tolist() == query[rest].tolist()
    known = {tuple(inputs[index][rest]): observations.outputs[index] for index in np.flatnonzero(own)}
    other = (inputs[:, subset] == row[subset]).all(axis=1)
    same = Counter(
        bool(known[tuple(inputs[index][rest])] == observations.outputs[index])
        for index in np.flatnonzero(other)
        if tuple(inputs[index][rest]) in known
    )
    assert (attempt.agree, attempt.disagree) == (same[True], same[False]) != (0, 0)


def test_one_query_by_hand():
    # Values 0 and 1 of the first slot agree in the contexts 0 and 1; context 2 was seen with 1 only.
    observations = observe([[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [2, 0]], [5, 6, 5, 6, 7, 9])
    family = ((0,),)
    found = explain(observations, [0, 2], 2, subsets=family)
    assert (found.verdict, found.label, found.row) == ("determined", 7, 4)
    (step,) = found.steps
    assert (step.subset, step.source, step.target, step.evidence) == ((0,), (0,), (1,), 2)
    assert step.witnesses == ((0, 2), (1, 3))
    closure = explain(observations, [0, 2], 2, "definition", family)
    assert (closure.verdict, closure.label, closure.steps) == ("covered", 7, (step,))
    assert explain(observations, [1, 2], 2).verdict == "seen"

    short = explain(observations, [0, 2], 3, subsets=family)
    (attempt,) = short.missing
    assert short.verdict == "uncovered"
    assert (attempt.seen, attempt.target, attempt.row, attempt.agree, attempt.disagree) == (2, (1,), 4, 2, 0)


def test_best_attempts_come_first_and_contradictions_are_told():
    observations = observe([[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [2, 0], [2, 2]], [5, 6, 5, 8, 7, 5, 7])
    found = explain(observations, [0, 2], 3, subsets=((0,), (1,)))
    first, second = found.missing
    assert (first.subset, first.target, first.agree, first.disagree) == ((0,), (2,), 1, 0)
    assert (second.subset, second.seen) == ((1,), 2)
    assert second.disagree > 0 or second.target is None


def test_what_was_never_observed_is_a_new_primitive():
    observations = observe([[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [2, 0]], [5, 6, 5, 6, 7, 9])
    for mode in ("definition", "determined"):
        found = explain(observations, [40, 2], 1, mode)
        assert found.verdict == "new-primitive"
        assert [attempt.seen for attempt in found.missing if attempt.subset == (0,)] == [0]


def test_an_unseen_pair_is_a_new_primitive_where_only_pairs_can_be_replaced(two_hop):
    observations, pairs, _ = two_hop
    family = {(0, 1): pairs[0, 1]}
    used = {tuple(row) for row in observations.inputs[:, :2].tolist()}
    unseen = next((a, b, 0) for a in range(20) for b in range(20) if (a, b) not in used)
    assert explain(observations, unseen, 2, pairs=family).verdict == "new-primitive"


def test_a_stopped_search_is_said():
    inputs = [[0, 0], [0, 1], [1, 1], [1, 2], [2, 3], [2, 4], [3, 3]]
    observations = observe([*inputs, [7, 5]], [0, 0, 1, 1, 2, 2, 3, 9])
    query, family = [7, 0], ((1,),)
    assert not explain(observations, query, 1, "definition", family).stopped
    stopped = explain(observations, query, 1, "definition", family, caps=Caps(vertices=0))
    assert (stopped.verdict, stopped.stopped) == ("uncovered", True)
