"""Bytes that a forward pass keeps for the backward pass, counted tensor by tensor.

What is kept follows from the code of transformers' decoder layers (Llama, Qwen2, Qwen3, Gemma 2) with PyTorch's `sdpa`
attention and PEFT's LoRA. `scripts/bench/plan.py` compares it with what PyTorch allocates.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..config.shapes import Shape

MIXED = "mixed"
"""Precision of float32 weights under bfloat16 autocast; the others are named as torch names them."""


@dataclass(frozen=True)
class Pass:
    """A forward pass through the layers.

    Attributes:
        shape: Sizes of the model.
        rows: Sequences.
        tokens: Of each sequence, padding included.
        precision: `float32`, `bfloat16` or `mixed`.
        adapter: Whether only an adapter is trained, so that frozen matrices keep no inputs.
        rank: Of the adapter.
        masked: Whether attention gets a mask of tokens x tokens, as for padded batches.
    """

    shape: Shape
    rows: int
    tokens: int
    precision: str
    adapter: bool = False
    rank: int = 0
    masked: bool = True

    @property
    def element(self) -> int:
        """Bytes of a number that a matrix product gives."""
        return 4 if self.precision == "float32" else 2

    @property
    def stream(self) -> int:
        """Bytes of a number in the residual stream."""
        return 2 if self.precision == "bfloat16" else 4

    @property
    def layer(self) -> float:
        """Kept by one layer."""
        each = self._norms + self._projections + self._attention + self._mlp
        return self.rows * self.tokens * each

    @property
    def layer_input(self) -> float:
        """Kept by one layer that is computed again in the backward pass."""
        return self.rows * self.tokens * self.stream * self.shape.hidden

    @property
    def last(self) -> float:
        """Kept by the norm after the last layer, and its result."""
        return self.rows * self.tokens * self.shape.hidden * (2 * self.stream + max(4, self.stream))

    @property
    def _norms(self) -> float:
        """Norms of the residual stream; those before a block give it its input."""
        hidden, sandwich = self.shape.hidden, self.shape.sandwich
        if self.adapter:  # frozen weights: only the input in float32
            return hidden * 4 * (4 if sandwich else 2)
        inner = 4 if self.precision == "mixed" or sandwich else self.stream  # what the weight is multiplied with
        outputs = 0 if self.precision == "mixed" else 2 * self.element  # cast for each matrix instead
        return hidden * (2 * (4 + inner) * (2 if sandwich else 1) + outputs)

    @property
    def _projections(self) -> float:
        """Norms of queries and keys, and copies of inputs that matrices keep."""
        shape = self.shape
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        normed = (queries + keys) * (4 if self.adapter else 4 + self.element) if shape.query_key_norm else 0
        if self.adapter:  # each adapted matrix keeps its input, and its update the product with the first factor
            return normed + self.element * (5 * shape.hidden + queries + shape.intermediate + 7 * self.rank)
        return normed + (5 * 2 * shape.hidden if self.precision == "mixed" else 0)

    @property
    def _attention(self) -> float:
        """Queries, keys, values, results, and the mask; with a mask, keys and values are repeated for every head."""
        shape = self.shape
        queries = shape.heads * shape.head_dim
        keys = queries if self.masked else shape.kv_heads * shape.head_dim
        mask = self.element * self.tokens if self.masked else 0
        return self.element * (2 * queries + 2 * keys) + mask + 4 * shape.heads

    @property
    def _mlp(self) -> float:
        """Gate before and after its activation, the other half, and their product."""
        return self.element * self.shape.intermediate * (3 if self.adapter else 4)
