"""Memory of training on one GPU, in bytes, from the shape of the model, the batch, and how it is spread.

What a forward pass keeps for the backward pass follows, tensor by tensor, from transformers' decoder layers (Llama,
Qwen2, Qwen3, Gemma 2) with PyTorch's `sdpa` attention and PEFT's LoRA. `scripts/bench/plan.py` compares it with what
PyTorch allocates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ..config.shapes import Shape

LaunchKind = Literal["single", "ddp", "zero2", "zero3", "fsdp2"]
LAUNCHES: tuple[LaunchKind, ...] = ("single", "ddp", "zero2", "fsdp2", "zero3")

TILE_TOKENS, TILE_WORDS = 4096, 8192
"""Size of the tile of logits that TRL's fused output head computes at a time."""


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


@dataclass(frozen=True)
class Head:
    """The output layer and the loss.

    Attributes:
        tokens: Positions that get log-probabilities.
        kind: `fused` (TRL's, tile by tile), `logits` (all of them, with their log-softmax and gradient).
    """

    tokens: int
    kind: Literal["fused", "logits"] = "fused"

    def transient(self, shape: Shape, element: int, weight_bytes: float, trained: bool) -> float:
        """Memory that is there only while the output layer is computed or differentiated."""
        if self.kind == "logits":
            return self.tokens * shape.vocab * (element + 4 + 4 + 4)  # logits, float32, log-softmax, gradient
        states = self.tokens * shape.hidden * (4 + element)
        tile = min(self.tokens, TILE_TOKENS) * min(shape.vocab, TILE_WORDS) * element
        gradient = shape.vocab * shape.hidden * (4 + (weight_bytes if weight_bytes < 4 else 0)) if trained else 0
        return states + tile + gradient


@dataclass(frozen=True)
class Training:
    """What decides the memory of a training step.

    Attributes:
        shape: Sizes of the model.
        weight_bytes: Bytes of one weight as loaded: 4, 2, or 0.5 for 4-bit.
        trainable: Weights that get gradients.
        passes: Forward passes whose tensors wait for one backward pass.
        head: The output layer and the loss, of those passes together.
        checkpointing: Whether layers keep only their inputs for the backward pass.
        reference: Whether a frozen copy of the start is held as well.
        accumulates: Whether gradients of earlier micro-batches are there already.
        moment_bytes: Bytes of optimizer state for each byte of trained weight: 2 for Adam's two moments.
        launch: How the model is spread.
        processes: Over how many GPUs.
    """

    shape: Shape
    weight_bytes: float
    trainable: int
    passes: tuple[Pass, ...]
    head: Head
    checkpointing: bool
    reference: bool = False
    accumulates: bool = True
    moment_bytes: float = 2.0
    launch: LaunchKind = "single"
    processes: int = 1

    def under(self, launch: LaunchKind, processes: int) -> Training:
        """The same step spread in another way; sharded layers compute in bfloat16 from float32 weights."""
        sharded = launch in ("fsdp2", "zero2", "zero3")
        held = {"float32": "bfloat16", MIXED: "bfloat16"} if sharded else {}
        passes = tuple(replace(part, precision=held.get(part.precision, part.precision)) for part in self.passes)
        return replace(self, launch=launch, processes=processes, passes=passes)

    @property
    def full(self) -> bool:
        """Whether all weights are trained."""
        return self.trainable >= self.shape.parameters

    @property
    def weights(self) -> float:
        """The model, and adapters if it has any."""
        if self.full:
            each = 2 if self.launch in ("zero2", "zero3") else self._trained_bytes
            return each * self.shape.parameters / self._shards("weights")
        return (self.weight_bytes * self.shape.parameters + 4 * self.trainable) / self._shards("weights")

    @property
    def gradients(self) -> float:
        """One number for each trainable weight; DDP keeps a second copy in its buckets."""
        each = 2 if self.launch in ("zero2", "zero3") else self._trained_bytes
        return each * self.trainable * (2 if self.launch == "ddp" else 1) / self._shards("gradients")

    @property
    def optimizer(self) -> float:
        """Its moments, and DeepSpeed's float32 weights."""
        master = 4 if self.launch in ("zero2", "zero3") else 0
        return (self.moment_bytes * self._trained_bytes + master) * self.trainable / self._shards("optimizer")

    @property
    def reference_copy(self) -> float:
        """The frozen start; with an adapter it is the model with the adapter switched off."""
        held = self.reference and self.full
        return self.weight_bytes * self.shape.parameters / self._shards("weights") if held else 0.0

    @property
    def gathered(self) -> float:
        """Weights that are together for a while: two layers, and what is outside of layers."""
        if self._shards("weights") == 1:
            return 0.0
        layer = self.shape.linear_parameters / self.shape.layers
        outside = self.shape.vocab * self.shape.hidden * (1 if self.shape.tied else 2)
        return 2 * (2 * layer + outside)

    @property
    def activations(self) -> float:
        """Kept for the backward pass at its start, and what the layer at work needs beside."""
        return self.kept + self.layer_transient

    @property
    def kept(self) -> float:
        """Kept for the backward pass when it starts, with the casts of float32 weights under autocast."""
        layers = self.shape.layers
        kept = sum(layers * (part.layer_input if self.checkpointing else part.layer) for part in self.passes)
        casts = any(part.precision == MIXED for part in self.passes) and self.full
        return kept + sum(part.last for part in self.passes) + (2 * self.shape.linear_parameters if casts else 0)

    @property
    def layer_transient(self) -> float:
        """Gradients inside a layer, and its tensors where they are computed again."""
        widest = max(self.passes, key=lambda part: part.layer)
        tokens = widest.rows * widest.tokens
        inside = tokens * widest.element * (3 * self.shape.intermediate + 2 * self.shape.hidden)
        return inside + (widest.layer if self.checkpointing else 0)

    @property
    def logits(self) -> float:
        """What the output layer needs while it is at work."""
        element = max(part.element for part in self.passes)
        return self.head.transient(self.shape, element, self._trained_bytes, self.full)

    @property
    def embedding_gradient(self) -> float:
        """Gradients of embeddings before they are added up, at the end of the backward pass.

        Tied ones come from both ends of the model; those of earlier micro-batches are there already.
        """
        copies = (2 if self.shape.tied else 0) + self.accumulates
        return copies * self._trained_bytes * self.shape.vocab * self.shape.hidden if self.full else 0.0

    @property
    def static(self) -> float:
        """Bytes that are allocated for the whole run."""
        return self.weights + self.optimizer + self.reference_copy

    @property
    def peak(self) -> float:
        """The most that a training step holds: at the start of the backward pass, or at its end."""
        start = self.kept + max(self.logits, self.layer_transient) + (self.gradients if self.accumulates else 0)
        return self.static + self.gathered + max(start, self.gradients + self.embedding_gradient)

    @property
    def _trained_bytes(self) -> float:
        # Adapters are held in float32 whatever the precision of the model, and so is what FSDP2 trains.
        return 4 if not self.full or self.launch == "fsdp2" else self.weight_bytes

    def _shards(self, what: Literal["weights", "gradients", "optimizer"]) -> int:
        spread = {"zero2": ("gradients", "optimizer")}
        everything = ("weights", "gradients", "optimizer") if self.launch in ("fsdp2", "zero3") else ()
        return self.processes if what in spread.get(self.launch, everything) else 1
