"""Numbers stay finite: a run stops before its optimizer takes in a NaN, and no NaN is ever saved.

The Trainer logs a NaN loss as 0, runs on and saves what is left of the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import Trainer

    _Base = Trainer
else:
    _Base = object


class NotFiniteError(RuntimeError):
    """A loss, a gradient or a weight is infinite or no number."""


class StaysFinite(_Base):
    """Mixin for a `Trainer`: all processes stop together at the first loss or gradient that is not finite."""

    _bad_loss: Tensor | bool = False  # of the step so far

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """Forward and backward pass of a micro-batch; its loss is looked at with the gradient, once a step."""
        loss = super().training_step(*args, **kwargs)
        self._bad_loss = self._bad_loss | ~torch.isfinite(loss)
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """The gradient's norm, asked for before every step of the optimizer."""
        norm = super()._get_grad_norm(model, grad_norm)
        # In float16 the gradient scaler passes over steps that overflow, and lowers its scale.
        looked_at = norm is not None and self.accelerator.scaler is None
        bad_gradient = looked_at and not torch.isfinite(torch.as_tensor(float(norm)))
        self._require_none(self.state.global_step + 1, loss=self._bad_loss, gradient=bad_gradient)
        self._bad_loss = False
        return norm

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self.require_finite_weights()
        super()._save_checkpoint(*args, **kwargs)

    def require_finite_weights(self) -> None:
        """Stop rather than save weights that are not finite: a finite step can still overflow them.

        Raises:
            NotFiniteError: On every process, if one holds such weights.
        """
        parts = (getattr(weight, "to_local", lambda same=weight: same)() for weight in self.model.parameters())
        bad = not all(bool(part.detach().isfinite().all()) for part in parts)
        self._require_none(self.state.global_step, weights=bad)

    def _require_none(self, step: int, **bad: Tensor | bool) -> None:
        """Raise if something is bad on any process."""
        flags = torch.tensor([bool(flag) for flag in bad.values()], dtype=torch.float32, device=self.accelerator.device)
        found = [name for name, count in zip(bad, self.accelerator.reduce(flags).tolist(), strict=True) if count]
        if found:
            verb = "are" if found == ["weights"] else "is"
            raise NotFiniteError(
                f"{self.args.output_dir} · step {step} · {' and '.join(found)} {verb} not finite"
                " · nothing of it was saved · lower trainer.learning_rate or trainer.max_grad_norm and start again,"
                " or look at the rows of this step and go on with --resume"
            )
