"""Muon for the weight matrices of the layers, AdamW for the rest, as one optimizer.

Muon (https://kellerjordan.github.io/posts/muon/) reaches the same loss on the tiny base with about a fifth of the
tokens of AdamW alone, which is the difference between ten minutes and an hour on a laptop.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import TrainingArguments


class Muon(torch.optim.Muon):
    """`torch.optim.Muon`, which orthogonalises in the precision of the gradient.

    torch rounds to bfloat16 first, and Newton-Schulz steps enlarge small singular values some hundred times. So two
    ways of adding up one batch, which are apart in the eighth digit of a gradient, end apart in the third digit of a
    step. In float32 they agree (docs/results/parity.md).
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step from the gradients that are there."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                momentum = self._momentum(parameter, parameter.grad, group)
                update = orthogonal(momentum, group["ns_coefficients"], group["ns_steps"])
                rows, columns = parameter.shape
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-group["lr"] * math.sqrt(max(1, rows / columns)))

    def _momentum(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
        """Nesterov's mean of the gradients, `[rows, columns]`."""
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(state["momentum_buffer"], group["momentum"])


def orthogonal(matrix: torch.Tensor, coefficients: tuple[float, float, float], steps: int) -> torch.Tensor:
    """Nearly orthogonal `[rows, columns]` with the singular vectors of `matrix`, by quintic Newton-Schulz steps.

    Singular values end at about 0.7 to 1.2; the floating type is kept. The coefficients are those of a singular value,
    of its third and of its fifth power.
    """
    linear, cubic, quintic = coefficients
    wide = matrix.T if matrix.size(0) > matrix.size(1) else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=cubic, alpha=quintic), wide, beta=linear)
    return wide.T if matrix.size(0) > matrix.size(1) else wide


class MuonWithAdamW(torch.optim.Optimizer):
    """Two optimizers behind one interface; a learning-rate schedule scales both.

    Two-dimensional weights outside embedding and head go to Muon, the others to AdamW with its arguments.
    """

    def __init__(self, model: nn.Module, muon_lr: float, **adamw: Any) -> None:
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            inner = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
            (matrices if inner else others).append(parameter)
        muon = Muon(matrices, lr=muon_lr, weight_decay=adamw.get("weight_decay", 0.0))
        self.parts = [muon, torch.optim.AdamW(others, **adamw)]
        super().__init__([*matrices, *others], {})
        # The same dictionaries, so that a schedule that sets a group's learning rate reaches the parts.
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Any = None) -> Any:
        """Step both parts."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """State of both parts."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore both parts."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def muon_with_adamw(model: nn.Module, muon_lr: float, arguments: TrainingArguments) -> MuonWithAdamW:
    """The optimizer, with AdamW's settings from the `trainer:` block."""
    return MuonWithAdamW(
        model,
        muon_lr,
        lr=arguments.learning_rate,
        betas=(arguments.adam_beta1, arguments.adam_beta2),
        eps=arguments.adam_epsilon,
        weight_decay=arguments.weight_decay,
    )


def make_optimizer(section: Any, model: nn.Module, arguments: TrainingArguments) -> MuonWithAdamW | None:
    """Muon with AdamW if the recipe's `optimizer:` section asks for it; None leaves the choice to the Trainer."""
    return None if section.kind == "adamw" else muon_with_adamw(model, section.learning_rate, arguments)
