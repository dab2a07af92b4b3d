"""Muon: torch's steps in bfloat16, and the same in float32 however a batch is added up."""

import pytest
import torch
from quince.recipes.parts.optimizer import Muon, orthogonal

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def trained(optimizer, shape, dtype, steps=3, noise=0.0):
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype))
    made = optimizer([weight, torch.nn.Parameter(torch.zeros(2, 2))], lr=0.1, weight_decay=0.2)
    for _ in range(steps):
        gradient = torch.randn(shape, generator=generator)
        weight.grad = (gradient * (1 + noise * torch.randn(shape, generator=generator))).to(dtype)
        made.step()
    return weight.detach()


@pytest.mark.parametrize("shape", [(6, 6), (12, 4), (4, 12)], ids=str)
def test_as_torch_in_bfloat16(shape):
    ours, theirs = (trained(optimizer, shape, torch.bfloat16) for optimizer in (Muon, torch.optim.Muon))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("shape", [(6, 6), (12, 4), (4, 12)], ids=str)
def test_near_torch_in_float32(shape):
    ours, theirs = (trained(optimizer, shape, torch.float32) for optimizer in (Muon, torch.optim.Muon))
    assert torch.allclose(ours, theirs, atol=0.05)
    assert not torch.equal(ours, theirs)


def test_a_rounding_apart_stays_a_rounding_apart():
    def apart(optimizer):
        near, exact = (trained(optimizer, (96, 96), torch.float32, noise=noise) for noise in (1e-6, 0.0))
        return (near - exact).abs().max()

    assert apart(Muon) < 1e-5
    assert apart(torch.optim.Muon) > 1e-4


@pytest.mark.parametrize("shape", [(16, 16), (48, 16), (16, 48)], ids=str)
def test_singular_values_come_near_one_and_vectors_stay(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = orthogonal(matrix, COEFFICIENTS, 5)
    assert found.shape == matrix.shape and found.dtype == matrix.dtype
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.3 and values.max() < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inner = left.T @ found @ right.T
    assert torch.allclose(inner, torch.diag(torch.diag(inner)), atol=1e-4)


def test_zero_stays_zero():
    assert torch.equal(orthogonal(torch.zeros(3, 5), COEFFICIENTS, 5), torch.zeros(3, 5))
