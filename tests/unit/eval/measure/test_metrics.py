from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quince.data.chat.renderer import render_prompt
from quince.data.sources import load_rows
from quince.eval.engines.transformers import TransformersEngine
from quince.eval.measure.metrics import MODEL_REFERENCE, REFERENCE_MODEL, entropy, reference_kl, spread_rows


@pytest.fixture(scope="module")
def two(random_model):
    first, second = (TransformersEngine.load(random_model, dtype="float32", device="cpu") for _ in range(2))
    torch.manual_seed(1)
    with torch.no_grad():
        second.model.lm_head.weight.normal_(std=1.0)
    return first, second


def test_both_directions_are_exact_for_one_token(two):
    rows = load_rows("strategies", split="test", size=3)
    prompts = [render_prompt(row, two[0].tokenizer) for row in rows]
    with torch.no_grad():
        p, q = ([e.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1) for ids in prompts] for e in two)
    forward = np.mean([(a.exp() * (a - b)).sum().item() for a, b in zip(p, q, strict=True)])
    backward = np.mean([(b.exp() * (b - a)).sum().item() for a, b in zip(p, q, strict=True)])
    assert forward > 1.3 * backward
    measured = reference_kl(rows, *two, samples=1_000, max_tokens=1, seed=0)
    assert measured[MODEL_REFERENCE].interval.estimate == pytest.approx(forward, rel=0.1)
    assert measured[REFERENCE_MODEL].interval.estimate == pytest.approx(backward, rel=0.1)
    assert {(metric.unit, metric.problems) for metric in measured.values()} == {("nats", 3)}


def test_rows_are_spread():
    rows = [{"id": str(i)} for i in range(10)]
    assert [row["id"] for row in spread_rows(rows, 4)] == ["0", "2", "5", "7"]
    assert spread_rows(rows, 64) == rows


def test_entropy_of_equal_counts():
    assert entropy([3, 3, 3, 3]) == pytest.approx(log(4))
    assert entropy([]) == 0


@given(st.lists(st.integers(0, 30), max_size=8))
def test_entropy_lies_between_none_and_all(counts):
    positive = sum(c > 0 for c in counts)
    assert 0 <= entropy(counts) <= log(max(positive, 1)) + 1e-12
