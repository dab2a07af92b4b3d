"""An engine on `transformers`: one prefill per prompt, and a decoding loop that drops finished rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .base import Completion, EngineError, Sampling, choose, decode, prompt_key, stream_keys, uniforms
from .decoders import Decoder, make_decoder

_LOGITS_AT_ONCE = 2**27  # float32 numbers: 0.5 GiB
_COMPACT_BELOW = 0.75


@dataclass(frozen=True)
class _Request:
    """Completions of one prompt that are decoded together."""

    index: int
    prompt: Sequence[int]
    key: int
    first_sample: int
    samples: int


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
            for batch in _batches(self._requests(prompts, sampling), self._rows_that_fit, sampling):
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

    def _requests(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[_Request]:
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
                requests.append(_Request(index, prompt, key, first, min(most, sampling.n - first)))
        return sorted(requests, key=lambda r: (-len(r.prompt), r.index, r.first_sample))

    def _rows_that_fit(self, length: int) -> int:
        return min(self.batch_tokens // length, _LOGITS_AT_ONCE // self.model.config.vocab_size)

    def _decode(self, batch: list[_Request], sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
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


def _batches(
    requests: list[_Request], rows_that_fit: Callable[[int], int], sampling: Sampling
) -> Iterator[list[_Request]]:
    """Group requests with equal sample counts, longest first: a batch is as wide as its first row."""
    batch: list[_Request] = []
    rows = 0
    for request in requests:
        if batch and (request.samples != batch[0].samples or len(batch) * request.samples + request.samples > rows):
            yield batch
            batch = []
        if not batch:
            rows = rows_that_fit(len(request.prompt) + sampling.max_tokens)
        batch.append(request)
    if batch:
        yield batch


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
