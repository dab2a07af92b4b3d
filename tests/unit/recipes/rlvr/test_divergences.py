"""Divergences against closed forms on enumerable categoricals, and at the ends of the log-ratio range."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quince.recipes.methods import divergences as d
from quince.recipes.rlvr import objective

KINDS = ["forward_kl", "reverse_kl", "jensen_shannon", "alpha"]


def generator_of(kind: str, **options: float) -> d.Generator:
    return d.DIVERGENCES[kind](weight=1.0, **options).generator()


def closed_form(kind: str, p: torch.Tensor, q: torch.Tensor, alpha: float = 0.5) -> torch.Tensor:
    if kind == "forward_kl":
        return (q * (q / p).log()).sum()
    if kind == "reverse_kl":
        return (p * (p / q).log()).sum()
    if kind == "jensen_shannon":
        m = (p + q) / 2
        return 0.5 * (p * (p / m).log()).sum() + 0.5 * (q * (q / m).log()).sum()
    return (1 - (p ** (1 - alpha) * q**alpha).sum()) / (alpha * (1 - alpha))


def categoricals(seed: int, size: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, size, generator=generator, dtype=torch.float64) * 1.5
    return logits[0].requires_grad_(), logits[1].softmax(0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_value_and_gradient_equal_the_closed_form(kind, seed):
    logits, q = categoricals(seed)
    generator = generator_of(kind)
    estimate = (q * d.differentiable(generator, logits.log_softmax(0) - q.log())).sum()
    exact = closed_form(kind, logits.softmax(0), q)
    (ours,) = torch.autograd.grad(estimate, logits, retain_graph=True)
    (theirs,) = torch.autograd.grad(exact, logits)
    assert estimate.item() == pytest.approx(exact.item(), abs=1e-9)
    torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=0)


@pytest.mark.parametrize("alpha", [0.2, 0.49, 0.8])
def test_alpha_of_both_halves_equals_the_closed_form(alpha):
    logits, q = categoricals(0)
    values = d.differentiable(generator_of("alpha", alpha=alpha), logits.log_softmax(0) - q.log())
    exact = closed_form("alpha", logits.softmax(0), q, alpha)
    assert (q * values).sum().item() == pytest.approx(exact.item(), abs=1e-9)
    (ours,) = torch.autograd.grad((q * values).sum(), logits, retain_graph=True)
    torch.testing.assert_close(ours, *torch.autograd.grad(exact, logits), atol=1e-9, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_k2_has_the_gradient_of_reverse_kl_and_k3_that_of_forward_kl(seed):
    logits, q = categoricals(seed)
    p = logits.detach().softmax(0)
    for generator, kind in ((d.k2, "reverse_kl"), (d.k3, "forward_kl")):
        values = d.differentiable(generator, logits.log_softmax(0) - q.log())
        (ours,) = torch.autograd.grad((p * values).sum(), logits, retain_graph=True)
        (theirs,) = torch.autograd.grad(closed_form(kind, logits.softmax(0), q), logits)
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=0)
    assert (p * d.k3(logits.detach().log_softmax(0) - q.log())[0]).sum().item() == pytest.approx(
        closed_form("reverse_kl", p, q).item()
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_two_halves_of_js_by_definition_add_up(seed):
    logits, q = categoricals(seed)
    p = logits.detach().softmax(0)
    log_ratio = logits.log_softmax(0) - q.log()
    total = (q * d.differentiable(d.js_reference_half, log_ratio)).sum()
    total = total + (p * d.differentiable(d.js_policy_half, log_ratio)).sum()
    exact = closed_form("jensen_shannon", logits.softmax(0), q)
    (ours,) = torch.autograd.grad(total, logits, retain_graph=True)
    (theirs,) = torch.autograd.grad(exact, logits)
    assert total.item() == pytest.approx(exact.item(), abs=1e-9)
    torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_generators_are_centred_and_convex(kind):
    generator = generator_of(kind)
    value, coefficient = generator(torch.zeros(1, dtype=torch.float64))
    assert value.item() == 0
    assert coefficient.item() == 0
    u = torch.linspace(0.01, 8, 400, dtype=torch.float64)
    values, coefficients = generator(u.log())
    assert (values >= -1e-12).all()
    assert (torch.diff(coefficients / u) > 0).all(), "f' must rise: f is convex"


@pytest.mark.parametrize(
    ("kind", "u", "expected"),
    [
        ("forward_kl", 0.01, -0.99),
        ("forward_kl", 5, 4.0),
        ("alpha", 0.1, -0.43),
        ("alpha", 5, 5.53),
        ("jensen_shannon", 0.1, -0.17 / 2),
        ("jensen_shannon", 2, 0.58 / 2),
        ("reverse_kl", 0.5, -0.35),
    ],
)
def test_coefficients_of_the_research_table(kind, u, expected):
    _, coefficient = generator_of(kind)(torch.tensor([math.log(u)]))
    assert coefficient.item() == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize(("alpha", "limit"), [(0.0, d.reverse_kl), (1.0, d.forward_kl)])
def test_alpha_reaches_both_limits(alpha, limit):
    x = torch.linspace(-5, 3, 50, dtype=torch.float64)
    for near in (alpha, abs(alpha - 1e-7)):
        for ours, exact in zip(generator_of("alpha", alpha=near)(x), limit(x), strict=True):
            torch.testing.assert_close(ours, exact, atol=1e-4 if near != alpha else 1e-12, rtol=1e-5)
    with pytest.raises(ValueError, match="less than or equal to 1"):
        generator_of("alpha", alpha=1.5)


@pytest.mark.parametrize("kind", [*KINDS, "nll"])
@given(x=st.floats(-200, 200, allow_subnormal=False))
@settings(max_examples=60, deadline=None)
def test_finite_everywhere_in_float32(kind, x):
    for generator in (generator_of(kind), d.k2, d.k3):
        for part in generator(torch.tensor([x], dtype=torch.float32)):
            assert torch.isfinite(part).all()
    for generator in (d.js_reference_half, d.js_policy_half):
        for part in generator(torch.tensor([x], dtype=torch.float32)):
            assert torch.isfinite(part).all()


@pytest.mark.parametrize("x", [-11.5, -50.0, -200.0])
def test_a_lost_token_keeps_its_restoring_push(x):
    log_ratio = torch.tensor([x], requires_grad=True)
    d.differentiable(generator_of("forward_kl"), log_ratio).sum().backward()
    assert log_ratio.grad.item() == pytest.approx(-1, abs=1e-4)
    clamped = torch.tensor([x], requires_grad=True)
    (clamped.clamp(-20, 20).exp() - clamped.clamp(-20, 20) - 1).clamp(max=10).sum().backward()
    assert clamped.grad.item() == 0, "what a clamp on the value does"


@pytest.mark.parametrize("kind", KINDS)
def test_whole_vocabulary_equals_the_closed_form_and_top_k_is_a_lower_bound(kind):
    logits, q = categoricals(3, size=9)
    p, generator = logits.softmax(0), generator_of(kind)
    exact = closed_form(kind, p, q).item()
    whole = objective.categorical_divergence(generator, p.log(), q.log())
    assert whole.item() == pytest.approx(exact, abs=1e-6)
    top = q.topk(3).indices
    part = objective.categorical_divergence(generator, p.log()[top], q.log()[top])
    merged_p, merged_q = ([*side[top].tolist(), 1 - side[top].sum().item()] for side in (p.detach(), q))
    by_hand = closed_form(kind, torch.tensor(merged_p), torch.tensor(merged_q)).item()
    assert part.item() == pytest.approx(by_hand, abs=1e-5)
    assert part.item() <= exact + 1e-9


def test_aggregation_does_not_depend_on_the_cut():
    values, mask = torch.rand(4, 5), torch.tensor([[1, 1, 0, 0, 0], [1] * 5, [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    for how in ("token_mean", "sequence_mean", "sequence_sum"):
        whole = objective.rehearsal(values, mask, how, 11)
        halves = objective.rehearsal(values[:2], mask[:2], how, 11) + objective.rehearsal(values[2:], mask[2:], how, 11)
        assert whole.item() == pytest.approx(halves.item(), rel=1e-6)
