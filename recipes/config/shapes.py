"""Shapes of well-known models, so that `plan` and the length checks need no download."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

TINY = Path(__file__).resolve().parents[2] / "data" / "tiny"


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder-only transformer with gated MLPs and grouped-query attention."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    context: int
    tied: bool = False
    query_key_norm: bool = False
    sandwich: bool = False
    """Norms after attention and MLP as well."""

    @property
    def linear_parameters(self) -> int:
        """Weights of the attention and MLP matrices (what LoRA's `all-linear` adapts)."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def parameters(self) -> int:
        """All weights; norms and biases, some hundredths of a percent, are left out."""
        return self.linear_parameters + self.vocab * self.hidden * (1 if self.tied else 2)

    def lora_parameters(self, rank: int) -> int:
        """Weights of rank-`rank` updates of every linear layer."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = 2 * (self.hidden + query) + 2 * (self.hidden + key)
        return rank * self.layers * (attention + 3 * (self.hidden + self.intermediate))


# From each model's config.json.
SHAPES: dict[str, Shape] = {
    "Qwen/Qwen3-0.6B": Shape(1024, 28, 16, 8, 128, 3072, 151_936, 40_960, tied=True, query_key_norm=True),
    "Qwen/Qwen3-1.7B": Shape(2048, 28, 16, 8, 128, 6144, 151_936, 40_960, tied=True, query_key_norm=True),
    "Qwen/Qwen3-4B": Shape(2560, 36, 32, 8, 128, 9728, 151_936, 40_960, tied=True, query_key_norm=True),
    "Qwen/Qwen3-8B": Shape(4096, 36, 32, 8, 128, 12_288, 151_936, 40_960, query_key_norm=True),
    "Qwen/Qwen2.5-Math-7B": Shape(3584, 28, 28, 4, 128, 18_944, 152_064, 4096),
    "meta-llama/Llama-3.1-8B": Shape(4096, 32, 32, 8, 128, 14_336, 128_256, 131_072),
    "google/gemma-2-2b": Shape(2304, 26, 8, 4, 256, 9216, 256_000, 8192, tied=True, sandwich=True),
    "google/gemma-2-9b": Shape(3584, 42, 16, 8, 256, 14_336, 256_000, 8192, tied=True, sandwich=True),
    "google/gemma-2-27b": Shape(4608, 46, 32, 16, 128, 36_864, 256_000, 8192, tied=True, sandwich=True),
}
_TUNED_FROM = {
    "INSAIT-Institute/BgGPT-Gemma-2-2.6B-IT-v1.0": "google/gemma-2-2b",
    "INSAIT-Institute/BgGPT-Gemma-2-9B-IT-v1.0": "google/gemma-2-9b",
    "INSAIT-Institute/BgGPT-Gemma-2-27B-IT-v1.0": "google/gemma-2-27b",
}
_VARIANTS = ("-Instruct-2507", "-Instruct", "-Base", "-it")


def shape_of(model_id: str) -> Shape | None:
    """The shape of a model: from its folder, or from the table; None where neither knows it."""
    folder = TINY if model_id == "tiny" else Path(model_id).expanduser()
    if (config := folder / "config.json").is_file():
        return _from_config(json.loads(config.read_text(encoding="utf-8")))
    model_id = _TUNED_FROM.get(model_id, model_id)
    for suffix in _VARIANTS:
        model_id = model_id.removesuffix(suffix)
    return SHAPES.get(model_id)


def _from_config(config: dict[str, object]) -> Shape | None:
    def number(name: str, default: int = 0) -> int:
        value = config.get(name)
        return value if isinstance(value, int) else default

    hidden, heads = number("hidden_size"), number("num_attention_heads")
    if not hidden or not heads:
        return None
    return Shape(
        hidden=hidden,
        layers=number("num_hidden_layers"),
        heads=heads,
        kv_heads=number("num_key_value_heads", heads),
        head_dim=number("head_dim", hidden // heads),
        intermediate=number("intermediate_size"),
        vocab=number("vocab_size"),
        context=number("max_position_embeddings"),
        tied=bool(config.get("tie_word_embeddings", False)),
        query_key_norm=config.get("model_type") in ("qwen3", "gemma3_text"),
        sandwich=str(config.get("model_type")).startswith(("gemma2", "gemma3")),
    )
