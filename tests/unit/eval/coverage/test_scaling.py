"""The planner's kappa against the paper and against data."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from quince.data.compositional.generate import Task, generate
from quince.eval.coverage.scaling import KAPPA_NEEDED, kappa, rows_for, shared_contexts


def test_the_planner_gives_the_paper_s_size():
    assert rows_for(KAPPA_NEEDED, 50) == pytest.approx(20_700, rel=0.01)
    for rows, values, seen in ((1600, 20, 0.7), (20_000, 50, 0.5)):
        assert rows_for(kappa(rows, values, seen), values, seen) == pytest.approx(rows)


def test_shared_contexts_by_brute_force():
    data = generate(Task("two_hop", values=7, rows=90))
    contexts: dict = {}
    for given, results in zip(data.train.inputs.tolist(), data.train.results.tolist(), strict=True):
        contexts.setdefault((results[0], *given[:2]), set()).add(given[2])
    pairs = [(a, b) for a, b in itertools.combinations(contexts, 2) if a[0] == b[0]]
    expected = np.mean([len(contexts[a] & contexts[b]) for a, b in pairs])
    assert shared_contexts(data.train.inputs, data.train.results[:, 0], (0, 1)) == pytest.approx(expected)
    assert np.isnan(shared_contexts([[0, 0, 0]], [0], (0, 1)))


@pytest.mark.parametrize(("values", "rows"), [(20, 1600), (20, 3000), (50, 10_000)])
def test_the_planner_agrees_with_the_data(values, rows):
    data = generate(Task("two_hop", values=values, rows=rows))
    found = shared_contexts(data.train.inputs, data.train.results[:, 0], (0, 1))
    assert found == pytest.approx(kappa(rows, values), rel=0.1)
