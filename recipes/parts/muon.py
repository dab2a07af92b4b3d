"""Muon that orthogonalises in the precision of the gradient.

`torch.optim.Muon` rounds to bfloat16 first, and Newton-Schulz steps enlarge small singular values some hundred times.
So two ways of adding up one batch, which are apart in the eighth digit of a gradient, end apart in the third digit of a
step. In float32 they agree (docs/results/parity.md). Gradients in bfloat16 are treated as torch treats them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch


class Muon(torch.optim.Muon):
    """`torch.optim.Muon` but for that, with its defaults: Nesterov's momentum, a larger step for tall matrices.

    Args:
        params: Matrices, `[rows, columns]` each.
        lr: Learning rate.
        weight_decay: Share of a weight that a step of rate 1 takes away.
    """

    def __init__(self, params: Iterable[torch.Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self) -> None:
        """Take one step from the gradients that are there."""
        for group in self.param_groups:
            trained = [parameter for parameter in group["params"] if parameter.grad is not None]
            for parameter in trained:
                update = orthogonal(self._momentum(parameter, group), group["ns_coefficients"], group["ns_steps"])
                rows, columns = parameter.shape
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-group["lr"] * math.sqrt(max(1, rows / columns)))

    def _momentum(self, parameter: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
        """Nesterov's mean of the gradients, `[rows, columns]`."""
        state, gradient = self.state[parameter], parameter.grad
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(state["momentum_buffer"], group["momentum"])


def orthogonal(matrix: torch.Tensor, coefficients: tuple[float, float, float], steps: int) -> torch.Tensor:
    """Nearly orthogonal matrix with the singular vectors of another, by quintic Newton-Schulz steps.

    Args:
        matrix: `[rows, columns]`, of any floating type, which is kept.
        coefficients: Of a singular value, of its third and of its fifth power.
        steps: How many.

    Returns:
        `[rows, columns]` with singular values of about 0.7 to 1.2.
    """
    linear, cubic, quintic = coefficients
    wide = matrix.T if matrix.size(0) > matrix.size(1) else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=cubic, alpha=quintic), wide, beta=linear)
    return wide.T if matrix.size(0) > matrix.size(1) else wide
