"""The null model: its chance, its expectation against truth, the k it gives, and what it says."""

from __future__ import annotations

import numpy as np
import pytest
from quince.data.compositional.generate import Task, generate
from quince.eval.coverage import pairs as pairs_module
from quince.eval.coverage.null_model import CLOSURE_FLOOR, smallest_k
from quince.eval.coverage.observations import observe
from quince.eval.coverage.pairs import all_pairs, shared_contexts


def random_outputs(outputs, seed=0, share=0.3):
    """Inputs of three slots with outputs that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    inputs = rng.permutation(np.indices((20, 20, 20)).reshape(3, -1).T)[: round(share * 8000)]
    return observe(inputs, rng.choice(len(outputs), len(inputs), p=outputs))


def test_chance_of_two_rows_is_that_of_a_draw_without_replacement():
    observations = observe([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1])
    assert smallest_k(observations, all_pairs(observations)).q == pytest.approx(0.5)
    single = observe([[0, 0]], [0])
    assert smallest_k(single, all_pairs(single)).q == 0


def test_expectation_by_hand():
    # Two values of the first slot share two contexts: a false pair at k = 1 and 2 with chance q^2, none at 3.
    observations = observe([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1])
    model = smallest_k(observations, all_pairs(observations, ((0,),)), largest_k=3)
    assert model.expected_false_pairs.tolist() == [0.25, 0.25, 0]
    assert model.observed_pairs.tolist() == [0, 0, 0]
    assert (model.k, model.closure_k) == (1, CLOSURE_FLOOR)


@pytest.mark.parametrize("outputs", [np.full(10, 0.1), np.array([0.7, 0.1, 0.1, 0.1])])
def test_unrelated_outputs_show_what_is_expected(outputs):
    expected, observed = np.zeros(20), np.zeros(20)
    for seed in range(5):
        observations = random_outputs(outputs, seed)
        model = smallest_k(observations, all_pairs(observations))
        expected += model.expected_false_pairs
        observed += model.observed_pairs
        assert model.supported(max(2, model.k)) == ()
    for k in range(20):
        if expected[k] > 30:
            assert observed[k] == pytest.approx(expected[k], rel=0.25)


def test_skewed_outputs_need_a_larger_k():
    even, skewed = (random_outputs(p) for p in (np.full(10, 0.1), np.array([0.7, 0.1, 0.1, 0.1])))
    models = [smallest_k(data, all_pairs(data)) for data in (even, skewed)]
    assert models[0].k < models[1].k


def test_two_hop_supports_the_pair_that_makes_the_bridge():
    data = generate(Task("two_hop", 30, 3600))
    observations = observe(data.train.inputs, data.train.answers)
    model = smallest_k(observations, all_pairs(observations))
    assert model.supported(2) == model.supported(3) == ((0, 1),)
    false = model.expected_by_subset[0, 2][1]
    assert model.observed_by_subset[0, 2][1] == pytest.approx(false, abs=4 * np.sqrt(false) + 1)
    assert model.expected_false_pairs[model.k - 1] < 1 <= model.expected_false_pairs[model.k - 2]


def test_warnings_below_the_k_of_the_model_and_the_floor():
    data = generate(Task("two_hop", 20, 1600))
    observations = observe(data.train.inputs, data.train.answers)
    model = smallest_k(observations, all_pairs(observations))
    assert "k = 1 is below" in model.warning(1)
    assert "one false pair merges whole classes" in model.warning(2)
    assert "merges" not in model.warning(1, closure=False)
    assert model.warning(model.closure_k) is None
    sure = observe([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 2, 3])
    model = smallest_k(sure, all_pairs(sure))
    assert model.warning(1, closure=False) is None
    assert f"below {CLOSURE_FLOOR}" in model.warning(1)


def test_one_output_supports_no_k():
    observations = random_outputs(np.array([1.0]))
    model = smallest_k(observations, all_pairs(observations, ((0, 1),)), largest_k=5)
    assert (model.q, model.k) == (1, 6)
    assert model.warning(5, closure=False)


def test_a_sample_of_fragments_estimates_shared_contexts(monkeypatch):
    observations = random_outputs(np.full(10, 0.1), share=0.6)
    exact = shared_contexts(observations, (0, 1))
    monkeypatch.setattr(pairs_module, "JOIN_CELLS", 20_000)
    sampled = shared_contexts(observations, (0, 1))
    assert sampled.tolist() != exact.tolist()
    assert sampled[1:].sum() == pytest.approx(exact[1:].sum(), rel=0.05)
