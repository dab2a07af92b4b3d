"""Prompts that are read once give the log-probs and gradients of prompts that are read for every answer."""

from __future__ import annotations

import pytest
import torch
from quince.recipes.rlvr.shared_prompts import completion_logits, shared_log_probs


@pytest.fixture(scope="module")
def model(random_model):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(random_model, dtype=torch.float64)


def batch(tokens):
    """Two prompts of different lengths with three and two completions, in mixed order."""
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
    assert torch.allclose(
        completion_logits(model, ids, mask, tokens)[real], whole[:, -tokens - 1 : -1][real], atol=1e-6
    )


def test_gradients_are_those_of_whole_rows(model):
    ids, mask = batch(4)
    real = mask[:, -4:, None]
    gradients = []
    for logits in (
        completion_logits(model, ids, mask, 4),
        model(input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(-1) - 1).clamp(min=0)).logits[:, -5:-1],
    ):
        model.zero_grad()
        (logits * real).pow(2).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_the_entropy_has_its_gradient(model):
    """Pushed up by an entropy bonus, so its gradient must be that of the formula."""
    ids, mask = batch(3)
    model.zero_grad()
    _, entropy = shared_log_probs(model, ids, mask, 3, temperature=1.0, entropy=True)
    entropy.sum().backward()
    found = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    logits = completion_logits(model, ids, mask, 3)
    torch.distributions.Categorical(logits=logits.float()).entropy().sum().backward()
    expected = [parameter.grad for parameter in model.parameters()]
    assert max(part.abs().max() for part in expected) > 1e-3
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in zip(found, expected, strict=True))
