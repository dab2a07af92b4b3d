"""Prompts that are read once give the log-probs and gradients of prompts that are read for every answer."""

from __future__ import annotations

import pytest
import torch
from quince.recipes.rlvr.shared_prompts import answer_logits


@pytest.fixture(scope="module")
def model(random_model):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(random_model, dtype=torch.float64)


def batch(tokens):
    """Two prompts of different lengths with three and two answers, in mixed order."""
    torch.manual_seed(0)
    prompts = torch.randint(3, 600, (2, 6))
    prompts[1, :2] = 0
    rows = torch.tensor([0, 1, 0, 0, 1])
    ids = torch.cat([prompts[rows], torch.randint(3, 600, (5, tokens))], 1)
    mask = torch.ones_like(ids)
    mask[rows == 1, :2] = 0
    mask[2, -1:] = 0
    return ids, mask


@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_logits_are_those_of_whole_rows(model, tokens):
    ids, mask = batch(tokens)
    whole = model(input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(-1) - 1).clamp(min=0)).logits
    real = mask[:, -tokens:].bool()
    assert torch.allclose(answer_logits(model, ids, mask, tokens)[real], whole[:, -tokens - 1 : -1][real], atol=1e-6)


def test_gradients_are_those_of_whole_rows(model):
    ids, mask = batch(4)
    real = mask[:, -4:, None]
    gradients = []
    for logits in (
        answer_logits(model, ids, mask, 4),
        model(input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(-1) - 1).clamp(min=0)).logits[:, -5:-1],
    ):
        model.zero_grad()
        (logits * real).pow(2).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(*gradients, strict=True))
