"""Donors have the properties that are asked for; an interchange does what swapping a state must do."""

from __future__ import annotations

import numpy as np
import pytest
from quince.data.compositional.generate import Task, generate, types_of
from quince.eval.coverage.interventions import Interchange, Interchanger, find_donors

from .test_representations import random_lm

DATA = generate(Task("two_hop", values=12, rows=500))


@pytest.mark.parametrize("same_bridge", [False, True])
def test_donors_differ_where_they_should(same_bridge):
    rows = DATA.test[0]
    found = find_donors(DATA, rows, slot=1, same_bridge=same_bridge)
    assert 0 < len(found.rows) <= len(rows)
    assert np.array_equal(found.base, rows.inputs[found.rows])
    assert (found.base[:, 1] != found.donors[:, 1]).all()
    assert np.array_equal(found.base[:, [0, 2]], found.donors[:, [0, 2]])
    entries, results = DATA.task.program.keys(found.donors, DATA.tables, 12)
    assert (types_of(entries, DATA.used) == 0).all()
    assert np.array_equal(results[:, -1], found.donor_answers)
    equal = results[:, 0] == rows.results[found.rows, 0]
    assert equal.all() if same_bridge else not equal.any()
    assert same_bridge or (found.donor_answers != found.base_answers).all()


def test_every_row_with_a_possible_donor_has_one():
    rows = DATA.test[0]
    found = set(find_donors(DATA, rows, slot=1).rows.tolist())
    for number, (given, results) in enumerate(zip(rows.inputs, rows.results, strict=True)):
        others = np.tile(given, (12, 1))
        others[:, 1] = np.arange(12)
        entries, other = DATA.task.program.keys(others, DATA.tables, 12)
        fits = (types_of(entries, DATA.used) == 0) & (other[:, 0] != results[0]) & (other[:, 1] != results[1])
        assert bool(fits.any()) == (number in found)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen3"])
def test_swapping_the_token_itself_is_running_the_donor(kind):
    """At layer 0 the state is the token, so the patched run is the donor's; a token that is equal changes nothing."""
    model = random_lm(kind)
    rng = np.random.default_rng(0)
    base = rng.integers(32, size=(20, 3))
    donors = base.copy()
    donors[:, 1] = (base[:, 1] + 1) % 32
    answers = tuple(greedy(model, tokens) for tokens in (base, donors))
    interchange = Interchanger(model, base, donors, answers)
    swapped = interchange(layer=0, position=1)
    moved = ~np.isnan(swapped.effect)
    assert swapped.effect[moved] == pytest.approx(1.0, abs=1e-4)
    differ = answers[0] != answers[1]
    assert np.array_equal(swapped.flipped, differ)
    same = interchange(layer=0, position=0)
    assert same.kept.all() and not same.flipped.any()
    assert np.nan_to_num(same.effect) == pytest.approx(0.0, abs=1e-6)


def test_a_later_layer_carries_part_of_it():
    """The state after one block, at the last position, is all that the answer is made from above it in one block."""
    model = random_lm("gpt2")
    base = np.random.default_rng(0).integers(32, size=(20, 3))
    donors = (base + 1) % 32
    answers = tuple(greedy(model, tokens) for tokens in (base, donors))
    interchange = Interchanger(model, base, donors, answers)
    effects = [np.nanmean(np.abs(interchange(2, place).effect)) for place in range(3)]
    assert effects[2] == max(effects)


def test_base_and_donors_run_once():
    model = random_lm("gpt2")
    tokens = np.random.default_rng(0).integers(32, size=(4, 3))
    runs = []
    model.register_forward_pre_hook(lambda module, arguments: runs.append(1))
    interchange = Interchanger(model, tokens, (tokens + 1) % 32, (tokens[:, 0], tokens[:, 1]))
    for layer, position in ((0, 0), (1, 2), (2, 1)):
        interchange(layer, position)
    assert len(runs) == 2 + 3


def greedy(model, tokens):
    import torch

    with torch.no_grad():
        return model(input_ids=torch.from_numpy(tokens)).logits[:, -1].argmax(-1).numpy()


def test_bins_and_ranks():
    yes = np.ones(4, dtype=bool)
    swap = Interchange(np.array([1.0, 0.5, np.nan, 0.0]), yes, yes, ~yes, ~yes)
    assert swap.summary()["prob"] == pytest.approx(0.5)
    assert swap.summary()["rank_both"] == 0
    bins = swap.by_cutoff([1, 3, 4, 9])
    assert {name: part["items"] for name, part in bins.items()} == {"k < 3": 1, "3 <= k < 4": 1, "k >= 4": 2}
    assert np.isnan(swap.by_cutoff([1, 1, 1, 1])["k >= 4"]["flips"])


@pytest.mark.parametrize(
    ("layer", "position", "words"), [(3, 0, "layer 3 of 0..2"), (0, 5, "position 5 of 0..2"), (-1, 0, "layer -1")]
)
def test_a_place_outside_is_named(layer, position, words):
    tokens = np.zeros((2, 3), dtype=int)
    with pytest.raises(ValueError, match=words):
        Interchanger(random_lm("gpt2"), tokens, tokens, (tokens[:, 0], tokens[:, 0]))(layer, position)
    with pytest.raises(ValueError, match="differ in shape"):
        Interchanger(random_lm("gpt2"), tokens, tokens[:1], (tokens[:, 0], tokens[:, 0]))
