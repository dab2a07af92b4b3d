"""An engine on `transformers`: one prefill per prompt, and a decoding loop that drops finished rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from transformers import AttentionInterface, Cache
from transformers.cache_utils import DynamicLayer

from .base import Completion, EngineError, Request, Sampling, batches, choose, decode, prompt_key, stream_keys, uniforms

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


_LOGITS_AT_ONCE = 2**27  # float32 numbers: 0.5 GiB
_COMPACT_BELOW = 0.75


class TransformersEngine:
    """Samples and scores with a `transformers` causal language model, in evaluation mode only while it is used.

    `batch_tokens` bounds the prompt and completion lengths summed over the rows of a batch. The random number of a
    token depends only on seed, prompt, sample and position, so that completions depend neither on batching (up to
    rounding) nor on the other prompts.
    """

    name = "transformers"

    def __init__(self, model: Any, tokenizer: Any, batch_tokens: int = 65_536) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.batch_tokens = batch_tokens
        self._stop = stop_token_ids(model, tokenizer)

    @classmethod
    def load(
        cls, path: str | Path, *, dtype: str = "auto", device: str | None = None, batch_tokens: int = 65_536
    ) -> TransformersEngine:
        """Load a model folder or hub id; never runs code from its repository."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, trust_remote_code=False, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        return cls(model.to(device), tokenizer, batch_tokens)

    def generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[list[Completion]]:
        """See `Engine.generate`."""
        answers: list[list[Completion]] = [[] for _ in prompts]
        with _evaluating(self.model), torch.inference_mode():
            for batch in batches(self._requests(prompts, sampling), self._rows_that_fit, sampling):
                tokens, logprobs = self._decode(batch, sampling)
                completions = self._completions(tokens, logprobs, sampling)
                for at, request in enumerate(batch):
                    own = completions[at * request.samples : (at + 1) * request.samples]
                    answers[request.index].extend(own)
        return answers

    def score(self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]) -> list[list[float]]:
        """See `Engine.score`. Rows are padded on the right, which causal attention ignores."""
        if any(len(prompt) == 0 for prompt in prompts):
            raise EngineError("engine: an empty prompt cannot be scored; give at least one token")
        scores: list[list[float]] = [[] for _ in prompts]
        with _evaluating(self.model), torch.inference_mode():
            for batch in self._score_batches(prompts, completions):
                rows = self._score_batch([prompts[i] for i in batch], [completions[i] for i in batch])
                for index, row in zip(batch, rows, strict=True):
                    scores[index] = row
        return scores

    def close(self) -> None:
        """Drop the model."""
        self.model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _requests(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[Request]:
        """Split the samples of a prompt that do not fit into one batch; longest prompts first."""
        seen: Counter[tuple[int, ...]] = Counter()
        requests = []
        for index, prompt in enumerate(prompts):
            if len(prompt) == 0:
                raise EngineError(f"engine: prompt {index} has no tokens; give at least one")
            repeat, seen[tuple(prompt)] = seen[tuple(prompt)], seen[tuple(prompt)] + 1
            key = prompt_key(prompt, repeat, sampling.seed)
            most = max(1, self._rows_that_fit(len(prompt) + sampling.max_tokens))
            for first in range(0, sampling.n, most):
                requests.append(Request(index, prompt, key, first, min(most, sampling.n - first)))
        return sorted(requests, key=lambda r: (-len(r.prompt), r.index, r.first_sample))

    def _rows_that_fit(self, length: int) -> int:
        return min(self.batch_tokens // length, _LOGITS_AT_ONCE // self.model.config.vocab_size)

    def _decode(self, batch: list[Request], sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tokens and log-probs `[rows, steps]`; tokens are -1 after the end of a row."""
        device = self.model.device
        samples = batch[0].samples
        ids, mask = _pad([r.prompt for r in batch], device, left=True)
        output = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp_(min=0),
            use_cache=True,
            logits_to_keep=1,
        )
        keys = np.concatenate([stream_keys([r.key], r.first_sample, samples) for r in batch])
        decoder = make_decoder(self.model, output.past_key_values, mask, samples)
        stop = torch.tensor(sorted(self._stop | set(sampling.stop_token_ids)), dtype=torch.long, device=device)
        logits = output.logits[:, -1].repeat_interleave(samples, 0)
        return _loop(decoder, logits, keys, stop, sampling, samples)

    def _completions(self, tokens: torch.Tensor, logprobs: torch.Tensor, sampling: Sampling) -> list[Completion]:
        lengths = (tokens >= 0).sum(-1).tolist()
        stop = self._stop | set(sampling.stop_token_ids)
        ids = [tuple(row[:length]) for row, length in zip(tokens.tolist(), lengths, strict=True)]
        return [
            Completion(text, row, tuple(logprob[: len(row)]), "stop" if row[-1] in stop else "length")
            for text, row, logprob in zip(decode(self.tokenizer, ids), ids, logprobs.tolist(), strict=True)
        ]

    def _score_batches(
        self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]
    ) -> Iterator[list[int]]:
        lengths = [len(p) + len(c) for p, c in zip(prompts, completions, strict=True)]
        order = sorted((i for i, c in enumerate(completions) if len(c)), key=lambda i: (-lengths[i], i))
        start = 0
        while start < len(order):
            width = lengths[order[start]]
            rows = max(1, min(self.batch_tokens, _LOGITS_AT_ONCE // self.model.config.vocab_size) // width)
            yield order[start : start + rows]
            start += rows

    def _score_batch(self, prompts: list[Sequence[int]], completions: list[Sequence[int]]) -> list[list[float]]:
        ids, _ = _pad([[*p, *c] for p, c in zip(prompts, completions, strict=True)], self.model.device, left=False)
        first = min(len(p) for p in prompts) - 1
        logits = self.model(input_ids=ids, logits_to_keep=ids.shape[1] - first, use_cache=False).logits
        logprobs = logits[:, :-1].float().log_softmax(-1)
        picked = logprobs.gather(-1, ids[:, first + 1 :, None]).squeeze(-1).tolist()
        return [
            row[len(p) - 1 - first : len(p) - 1 - first + len(c)]
            for row, p, c in zip(picked, prompts, completions, strict=True)
        ]


def stop_token_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the ids that end a completion, from generation settings and tokenizer."""
    declared = getattr(model.generation_config, "eos_token_id", None)
    ids = declared if isinstance(declared, list | tuple) else [declared]
    return frozenset(i for i in (*ids, tokenizer.eos_token_id) if i is not None)


def _loop(
    decoder: Decoder, logits: torch.Tensor, keys: np.ndarray, stop: torch.Tensor, sampling: Sampling, samples: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decode until every row has stopped; stopped rows are dropped once they are enough."""
    device = logits.device
    tokens = torch.full((len(keys), sampling.max_tokens), -1, dtype=torch.long, device=device)
    logprobs = torch.zeros(len(keys), sampling.max_tokens, device=device)
    live = torch.arange(len(keys), device=device)
    running = torch.ones(len(keys), dtype=torch.bool, device=device)
    for step in range(sampling.max_tokens):
        draws = torch.from_numpy(uniforms(keys, step)).to(device)
        chosen, chosen_logprobs = choose(logits, draws, sampling)
        rows = live[running]
        tokens[rows, step], logprobs[rows, step] = chosen[running], chosen_logprobs[running]
        running &= ~torch.isin(chosen, stop)
        alive = int(running.sum())
        if alive == 0 or step + 1 == sampling.max_tokens:
            break
        if alive < _COMPACT_BELOW * len(live):
            prompts, kept, per_prompt = _kept_rows(running, samples)
            if len(kept) < _COMPACT_BELOW * len(live):
                decoder.select(prompts, kept)
                live, running, chosen, samples = live[kept], running[kept], chosen[kept], per_prompt
                keys = keys[kept.cpu().numpy()]
        logits = decoder.step(chosen)
    return tokens[:, : step + 1], logprobs[:, : step + 1]


def _kept_rows(running: torch.Tensor, samples: int) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Choose the prompts with a running row, and the same number of rows for each: the largest number running."""
    grid = running.view(-1, samples)
    prompts = grid.any(-1).nonzero().squeeze(-1)
    most = int(grid.sum(-1).max())
    # Running rows first; prompts with fewer are filled up with stopped ones.
    order = (~grid[prompts]).to(torch.int8).argsort(dim=-1, stable=True)[:, :most]
    return prompts, (prompts[:, None] * samples + order).reshape(-1), most


def _pad(rows: Sequence[Sequence[int]], device: torch.device, *, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad with id 0 to `[rows, width]`; the mask is True at real tokens."""
    width = max(len(row) for row in rows)
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=bool)
    for at, row in enumerate(rows):
        where = slice(width - len(row), width) if left else slice(0, len(row))
        ids[at, where], mask[at, where] = row, True
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Evaluation mode, then the mode before."""
    was = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was)
