"""One decoding step after a prefill, for many completions of each prompt.

`SharedPrefix` keeps one copy of a prompt's keys and values for all its completions and attends to it with one matrix
product per prompt (the decomposition of Hydragen, arXiv 2402.05099, without its separate kernels: both parts go
through one softmax). `Expanded` copies the prompt's cache for every completion and works for every architecture that
`transformers` can generate with.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from transformers import AttentionInterface, Cache
from transformers.cache_utils import DynamicLayer

_ATTENTION = "quince_shared_prefix"
# Plain causal attention, scaled dot products, nothing else in the score: what `_attend` computes.
SHARED_PREFIX_MODELS = frozenset({"llama", "mistral", "qwen2", "qwen3", "phi3", "smollm3", "granite", "olmo2"})
_FIRST_BLOCK = 32


class Decoder(Protocol):
    """The state of a batch after prefill; rows are `[prompts, samples]` flattened."""

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token to each row (`[rows]`) and return the next logits, `[rows, vocabulary]`."""
        ...

    def select(self, prompts: torch.Tensor, rows: torch.Tensor) -> None:
        """Keep these prompts and rows, the same number of rows for every prompt."""
        ...


def make_decoder(model: Any, cache: Cache, mask: torch.Tensor, samples: int) -> Decoder:
    """Return the cheapest decoder that this model allows.

    The cache after the prompts has `prompts` rows, padded on the left; `mask` `[prompts, prompt_tokens]` is True where
    a token is real.
    """
    plain = all(type(layer) is DynamicLayer for layer in cache.layers)
    if samples > 1 and plain and model.config.model_type in SHARED_PREFIX_MODELS:
        return SharedPrefix(model, cache, mask, samples)
    return Expanded(model, cache, mask, samples)


class Expanded:
    """Every completion has its own copy of the prompt's cache."""

    def __init__(self, model: Any, cache: Cache, mask: torch.Tensor, samples: int) -> None:
        # Unlike the other ways to choose rows, this one also knows the states of convolutions and linear attention.
        if samples > 1:
            cache.reorder_cache(torch.arange(len(mask), device=mask.device).repeat_interleave(samples))
        self._model = model
        self._cache = cache
        self._mask = mask.repeat_interleave(samples, 0)
        self._positions = self._mask.sum(-1, keepdim=True)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """See `Decoder`."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=-1)
        output = self._model(
            input_ids=tokens[:, None],
            attention_mask=self._mask,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._positions = self._positions + 1
        return output.logits[:, -1]

    def select(self, prompts: torch.Tensor, rows: torch.Tensor) -> None:
        """See `Decoder`."""
        self._cache.reorder_cache(rows)
        self._mask, self._positions = self._mask[rows], self._positions[rows]


class SharedPrefix:
    """The completions of a prompt share its keys and values."""

    def __init__(self, model: Any, cache: Cache, mask: torch.Tensor, samples: int) -> None:
        AttentionInterface.register(_ATTENTION, _attend)
        bias = torch.zeros(mask.shape, dtype=torch.float32, device=mask.device)
        self._bias = bias.masked_fill_(~mask.bool(), torch.finfo(torch.float32).min)[:, None, None, :]
        self._layers = [_SharedPrefixLayer(layer.keys, layer.values, self._bias, samples) for layer in cache.layers]
        self._cache = Cache(layers=self._layers)
        self._model = model
        self._positions = mask.sum(-1, keepdim=True).repeat_interleave(samples, 0)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """See `Decoder`."""
        usual = self._model.config._attn_implementation
        self._model.set_attn_implementation(_ATTENTION)
        try:
            output = self._model(
                input_ids=tokens[:, None],
                position_ids=self._positions,
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
                shared_prefix=self._layers,
            )
        finally:
            self._model.set_attn_implementation(usual)
        self._positions = self._positions + 1
        return output.logits[:, -1]

    def select(self, prompts: torch.Tensor, rows: torch.Tensor) -> None:
        """See `Decoder`."""
        self._positions = self._positions[rows]
        for layer in self._layers:
            layer.select(prompts, rows)


class _SharedPrefixLayer(DynamicLayer):
    """Keys and values of one layer: the prompts' `[prompts, heads, tokens, width]`, and the completions'.

    The completions' are `[prompts, heads, samples, capacity, width]`, so that queries, scores and weights stay grouped
    by prompt and no large tensor is transposed.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor, samples: int) -> None:
        super().__init__()
        self.prefix_keys, self.prefix_values, self.bias, self.samples = keys, values, bias, samples
        self.used = 0
        prompts, heads, _, width = keys.shape
        self.keys = keys.new_empty(prompts, heads, samples, _FIRST_BLOCK, width)
        self.values = torch.empty_like(self.keys)
        self.is_initialized = True

    def get_seq_length(self) -> int:
        return self.prefix_keys.shape[-2] + self.used

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new token's keys and values, `[rows, heads, 1, width]`, in place."""
        if self.used == self.keys.shape[-2]:
            self.keys, self.values = (torch.cat([x, torch.empty_like(x)], dim=-2) for x in (self.keys, self.values))
        self.keys[:, :, :, self.used] = self._by_prompt(key_states)
        self.values[:, :, :, self.used] = self._by_prompt(value_states)
        self.used += 1
        return key_states, value_states

    def attend(self, query: torch.Tensor, scaling: float) -> torch.Tensor:
        """Attend from one new token a row; `[rows, heads, 1, width]` to `[rows, 1, heads, width]`."""
        rows, query_heads, _, width = query.shape
        prompts, heads, prefix_tokens, _ = self.prefix_keys.shape
        grouped = query.reshape(prompts, self.samples, heads, -1, width).transpose(1, 2) * scaling
        flat = grouped.reshape(prompts, heads, -1, width)
        on_prefix = flat @ self.prefix_keys.transpose(-1, -2) + self.bias.to(flat.dtype)
        on_suffix = grouped @ self.keys[..., : self.used, :].transpose(-1, -2)
        scores = torch.cat([on_prefix, on_suffix.reshape(prompts, heads, -1, self.used)], dim=-1)
        weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
        own = weights[..., prefix_tokens:].reshape(*grouped.shape[:-1], self.used)
        mixed = (weights[..., :prefix_tokens] @ self.prefix_values).view(grouped.shape)
        mixed = mixed + own @ self.values[..., : self.used, :]
        return mixed.transpose(1, 2).reshape(rows, 1, query_heads, width)

    def select(self, prompts: torch.Tensor, rows: torch.Tensor) -> None:
        """Keep some prompts and rows; rows are indices into the flattened batch."""
        self.prefix_keys, self.prefix_values = self.prefix_keys[prompts], self.prefix_values[prompts]
        self.bias = self.bias[prompts]
        samples = len(rows) // len(prompts)
        sample = (rows % self.samples).view(len(prompts), 1, samples)
        heads = torch.arange(self.keys.shape[1], device=rows.device)[None, :, None]
        index = (prompts[:, None, None], heads, sample)
        self.keys, self.values = self.keys[index], self.values[index]
        self.samples = samples

    def _by_prompt(self, states: torch.Tensor) -> torch.Tensor:
        prompts, heads, _, width = self.prefix_keys.shape
        return states.reshape(prompts, self.samples, heads, width).transpose(1, 2)


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    shared_prefix: list[_SharedPrefixLayer],
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention over a shared prefix; keys and values were put into the layer by `update`."""
    return shared_prefix[module.layer_idx].attend(query, scaling), None
