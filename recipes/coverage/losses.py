"""Loss and gradient switches of probe models (arXiv 2501.04697, "Grokking at the edge of numerical stability").

Once a model fits its rows, softmax in floating point rounds their loss and its gradient to 0, and the rest of the
gradient mostly scales the weights up. StableMax prevents the first, perpendicular gradients the second. Both help on
modular addition; two-hop composition needs strong weight decay instead (`docs/results/coverage.md`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from ...data.compositional.sequences import IGNORED

TokenLoss = Callable[[Tensor, Tensor], Tensor]


def stablemax_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Negative log of StableMax (their section 4.2), nats per row; `logits[rows, tokens]`, `labels[rows]`.

    s(x) = x + 1 for x >= 0 and 1 / (1 - x) below replaces the exponential; it grows too slowly to be rounded away. In
    float64, as in their code.
    """
    logits = logits.double()
    # Each branch is only evaluated where it is finite, so that `where` passes no NaN back.
    positive, negative = logits.clamp(min=0), logits.clamp(max=0)
    log_s = torch.where(logits >= 0, torch.log1p(positive), -torch.log1p(-negative))
    return torch.logsumexp(log_s, dim=-1) - log_s.gather(-1, labels[:, None])[:, 0]


TOKEN_LOSSES: dict[str, TokenLoss] = {
    "cross_entropy": partial(nn.functional.cross_entropy, reduction="none"),
    "stablemax": stablemax_loss,
}


def answer_loss(kind: str) -> Callable[..., Tensor]:
    """A `compute_loss_func` for the Trainer: the mean over learned tokens; labels are shifted already."""
    token_loss = TOKEN_LOSSES[kind]

    def loss(outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        learned = labels != IGNORED
        losses = token_loss(outputs.logits[learned], labels[learned])
        return losses.sum() / num_items_in_batch if num_items_in_batch is not None else losses.mean()

    return loss


def make_perpendicular(weight: Tensor, gradient: Tensor) -> None:
    """Remove from a gradient, in place, its component along the weight, keeping its length (their ⊥Grad)."""
    before = gradient.norm()
    along = (weight * gradient).sum() / (weight * weight).sum().clamp(min=1e-30)
    gradient.sub_(along * weight)
    gradient.mul_(before / gradient.norm().clamp(min=1e-30))


class PerpendicularGradients(TrainerCallback):
    """Projects gradients after clipping and before the optimizer step; it has no state to resume.

    Only matrices are projected, since gains and offsets do not scale the logits by themselves. With Adam the update is
    only approximately perpendicular. Not for sharded weights, whose products would have to be summed first.
    """

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: nn.Module, **kwargs: Any) -> None:
        """Project the gradient of every matrix."""
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None and parameter.ndim >= 2:
                    make_perpendicular(parameter, parameter.grad)
