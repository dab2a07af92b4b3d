"""The published script: its quirks on cases made by hand, and its own output where that is at hand."""

from __future__ import annotations

import gzip
import json
import os
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from quince.data.compositional.generate import Task, generate
from quince.eval.coverage.closure import class_counts, covered, k_cutoffs
from quince.eval.coverage.determined import determine
from quince.eval.coverage.observations import observe, subsets
from quince.eval.coverage.pairs import all_pairs, fragment_pairs

needs_data = pytest.mark.skipif(not os.environ.get("QUINCE_DATA"), reason="QUINCE_DATA is unset")
ORACLES = [(20, 1600), (50, 10000)]
CLASSES = {
    20: {1: (20, 20, 20, 1, 2, 1), 2: (20, 20, 20, 14, 355, 364), 3: (20, 20, 20, 44, 392, 391)},
    50: {1: (50, 50, 50, 1, 8, 3), 2: (50, 50, 50, 85, 2417, 2412), 3: (50, 50, 50, 637, 2465, 2459)},
}
"""Classes of each subset for k = 1, 2, 3 on the oracle's data."""
DEFINITION = {20: (830, 828, 763, 521, 321, 82), 50: (2000, 1929, 1230, 296, 39)}
"""Covered held-out rows of type 0 for k = 1, 2, ... by the definition on the oracle's data."""


class Oracle:
    """A data set that the published script annotated."""

    def __init__(self, values, rows):
        self.folder = Path(os.environ["QUINCE_DATA"]) / "coverage_reference" / f"twohop.{values}.{rows}.diff-f12.inf"
        train = self._tokens(self._read("train.json.gz"))
        self.observations = observe(train[:, :3], train[:, 3], (values,) * 3)
        self.pairs = all_pairs(self.observations)
        self.annotated = {k: self._read(f"test_annotated_full_k{k}.json.gz") for k in (1, 2, 3)}
        self.queries, self.labels = self.of_type(0)

    def of_type(self, kind):
        found = self._tokens([item for item in self.annotated[1] if item["type"] == f"type_{kind}"])
        return found[:, :3], found[:, 3]

    def verdicts(self, k):
        return [item["coverage"] for item in self.annotated[k] if item["type"] == "type_0"]

    def sweep(self):
        found = json.loads((self.folder / "k_sweep.json").read_text(encoding="utf-8"))
        return [found[str(k)][0] for k in range(1, 21)]

    def _read(self, name):
        return json.loads(gzip.decompress((self.folder / name).read_bytes()))

    @staticmethod
    def _tokens(items):
        return np.array([[int(code) for code in re.findall(r"<t_(\d+)>", item["target_text"])] for item in items])


@pytest.fixture(scope="module")
def oracles():
    return {values: Oracle(values, rows) for values, rows in ORACLES}


@needs_data
@pytest.mark.parametrize("values", [20, 50])
def test_covered_sets_are_those_of_the_script(oracles, values):
    oracle = oracles[values]
    cutoffs = k_cutoffs(
        oracle.observations, oracle.queries, mode="legacy", pairs=oracle.pairs, query_outputs=oracle.labels
    )
    for k in (1, 2, 3):
        assert (cutoffs >= k).tolist() == oracle.verdicts(k)
    assert [int((cutoffs >= k).sum()) for k in range(1, 21)] == oracle.sweep()


@needs_data
@pytest.mark.parametrize("values", [20, 50])
def test_class_counts_on_the_oracle(oracles, values):
    observations = oracles[values].observations
    for k, counts in CLASSES[values].items():
        assert tuple(class_counts(observations, subset, k) for subset in subsets(3)) == counts


@needs_data
@pytest.mark.parametrize("values", [20, 50])
def test_figures_of_the_definition_on_the_oracle(oracles, values):
    oracle = oracles[values]
    cutoffs = k_cutoffs(oracle.observations, oracle.queries, pairs=oracle.pairs)
    counts = tuple(int((cutoffs >= k).sum()) for k in range(1, len(DEFINITION[values]) + 1))
    assert counts == DEFINITION[values]
    assert not (cutoffs == 20).any()  # the script never gets below 31 and 20


@needs_data
@pytest.mark.parametrize(("k", "least"), [(2, 1950), (3, 1862)])
@pytest.mark.parametrize("family", [None, ((0, 1),)])
def test_determined_coverage_beats_closure_without_an_error(oracles, k, least, family):
    oracle = oracles[50]
    found = determine(oracle.observations, oracle.queries, k, family, pairs=oracle.pairs)
    predicted = found.labels >= 0
    assert predicted.sum() >= least
    assert (found.labels[predicted] == oracle.labels[predicted]).all()


def script(observations, queries, outputs, k):
    """What the script does, step by step, on rows few enough for it."""
    known = dict(zip(map(tuple, observations.inputs.tolist()), observations.outputs.tolist(), strict=True))
    labels = known | dict(zip(map(tuple, queries.tolist()), outputs.tolist(), strict=True))
    classes = {}
    for subset in subsets(observations.slots):
        behaviour: dict[tuple, dict] = {}
        for row, output in known.items():
            behaviour.setdefault(taken(row, subset), {})[rest(row, subset)] = output
        groups = {fragment: [fragment] for fragment in behaviour}  # the representative stands first
        for first, second in combinations(behaviour, 2):
            shared = behaviour[first].keys() & behaviour[second].keys()
            same = sum(behaviour[first][context] == behaviour[second][context] for context in shared)
            if same == len(shared) and same >= k and groups[first] is not groups[second]:
                large, small = groups[first], groups[second]
                if len(large) < len(small):
                    large, small = small, large
                large += small
                groups |= dict.fromkeys(small, large)
        classes[subset] = {fragment: group[0] for fragment, group in groups.items()}
    buckets: dict[tuple, list] = {}
    for row, output in labels.items():
        for subset, names in classes.items():
            key = (names.get(taken(row, subset), taken(row, subset)), rest(row, subset), output)
            buckets.setdefault(key, []).append(row)
    reached, grown = set(known), -1
    while grown != len(reached):
        grown = len(reached)
        for rows in buckets.values():
            if not reached.isdisjoint(rows):
                reached.update(rows)
    return [tuple(query) in reached for query in queries.tolist()]


def taken(row, subset):
    return tuple(row[slot] for slot in subset)


def rest(row, subset):
    return tuple(value for slot, value in enumerate(row) if slot not in subset)


def two_hop(values, rows, seed):
    data = generate(Task("two_hop", values, rows, seed=seed, test_size=300))
    train, test = data.train, data.test[0]
    return observe(train.inputs, train.answers, (values,) * 3), test.inputs, test.answers


@pytest.mark.parametrize(("values", "rows", "seed"), [(6, 60, 0), (8, 150, 1), (10, 300, 2)])
def test_generated_data_gives_what_the_script_does_step_by_step(values, rows, seed):
    observations, queries, outputs = two_hop(values, rows, seed)
    for k in (1, 2, 3):
        ours = covered(observations, queries, k, mode="legacy", query_outputs=outputs)
        assert ours.tolist() == script(observations, queries, outputs, k)


def test_the_bucket_key_without_the_subset_connects_unrelated_inputs():
    observations = observe([[5, 1, 1]], [3])
    queries, outputs = np.array([[1, 5, 1], [1, 1, 5], [5, 1, 2]]), [3, 3, 3]
    assert k_cutoffs(observations, queries, mode="legacy", query_outputs=outputs).tolist() == [20, 20, 0]


def test_the_floor_of_the_script_does_not_fall_with_k():
    observations, queries, outputs = two_hop(20, 1600, 3)
    legacy = k_cutoffs(observations, queries, mode="legacy", query_outputs=outputs)
    assert (legacy == 20).sum() > 0
    assert k_cutoffs(observations, queries).max() < 20


def test_the_script_depends_on_the_order_of_rows():
    observations, queries, outputs = two_hop(20, 1600, 0)
    counts = set()
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(len(observations))
        shuffled = observe(observations.inputs[order], observations.outputs[order], observations.sizes)
        found = covered(shuffled, queries, 4, mode="legacy", query_outputs=outputs)
        counts.add(int(found.sum()))
        assert class_counts(shuffled, (0, 1), 4) == class_counts(observations, (0, 1), 4)
    assert len(counts) > 1


def test_a_query_that_is_a_row_is_covered():
    observations, _, _ = two_hop(6, 60, 0)
    found = covered(observations, observations.inputs, 9, mode="legacy", query_outputs=observations.outputs)
    assert found.all()


def test_pairs_at_hand_are_used_in_the_order_of_the_subsets():
    observations, queries, outputs = two_hop(8, 150, 1)
    family = ((0, 1), (2,))
    pairs = {subset: fragment_pairs(observations, subset) for subset in family}
    given = k_cutoffs(observations, queries, mode="legacy", pairs=pairs, query_outputs=outputs)
    assert np.array_equal(given, k_cutoffs(observations, queries, family, mode="legacy", query_outputs=outputs))
