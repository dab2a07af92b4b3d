"""Rough memory of training on one GPU, in bytes, from the shape of the model and the batch.

Weights, gradients and optimizer states are counted exactly; activations are an estimate that is
within about a third for the usual kernels, good enough to see what cannot fit.
"""

from __future__ import annotations

from dataclasses import dataclass

from .config.shapes import Shape


@dataclass(frozen=True)
class Training:
    """What decides the memory of a training step.

    Attributes:
        shape: Sizes of the model.
        weight_bytes: Bytes of one weight in memory: 4, 2, or 0.5 for 4-bit.
        trainable: Weights that get gradients.
        sharded_over: GPUs that hold the model together (1: each holds all of it).
        rows: Sequences in a micro-batch.
        prompt_tokens: Tokens of a prompt.
        completion_tokens: Tokens of a completion; only these go through the output head.
        checkpointing: Whether layers keep only their inputs for the backward pass.
        reference: Whether a frozen copy of the start is held as well.
    """

    shape: Shape
    weight_bytes: float
    trainable: int
    sharded_over: int
    rows: int
    prompt_tokens: int
    completion_tokens: int
    checkpointing: bool
    reference: bool

    @property
    def weights(self) -> float:
        """The model, and adapters if it has any."""
        adapters = 0 if self._full else 4 * self.trainable
        return (self.weight_bytes * self.shape.parameters + adapters) / self.sharded_over

    @property
    def gradients(self) -> float:
        """One number for each trainable weight."""
        return self._trainable_bytes / self.sharded_over

    @property
    def optimizer(self) -> float:
        """Adam's two moments."""
        return 2 * self._trainable_bytes / self.sharded_over

    @property
    def reference_copy(self) -> float:
        """The frozen start; with an adapter it is the model with the adapter switched off."""
        held = self.reference and self._full
        return self.weight_bytes * self.shape.parameters / self.sharded_over if held else 0.0

    @property
    def activations(self) -> float:
        """Kept for the backward pass: layers, then logits and their gradient in float32."""
        tokens = self.rows * (self.prompt_tokens + self.completion_tokens)
        shape, half = self.shape, 2
        attention = (2 * shape.heads + 2 * shape.kv_heads) * shape.head_dim
        layer = half * (4 * shape.hidden + attention + 3 * shape.intermediate)
        kept = half * shape.hidden * shape.layers + layer if self.checkpointing else layer * shape.layers
        logits = 2 * 4 * self.rows * self.completion_tokens * shape.vocab
        return tokens * kept + logits

    @property
    def _full(self) -> bool:
        return self.trainable >= self.shape.parameters

    @property
    def _trainable_bytes(self) -> float:
        # Adapters are held in float32 whatever the precision of the model.
        return (self.weight_bytes if self._full else 4) * self.trainable


def readable(count: float, unit: str = "B") -> str:
    """`1.5 GB`, `310 k tokens`: three digits and a decimal prefix before the unit."""
    for prefix in ("", "k", "M", "G", "T"):
        if count < 999.5 or prefix == "T":
            return " ".join(f"{count:.3g} {prefix}{unit}".split())
        count /= 1000
    raise AssertionError("the loop returns")
