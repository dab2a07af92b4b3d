"""The interface of engines, and sampling whose random draws do not depend on batching."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch

FinishReason = Literal["stop", "length"]
_BLOCK = 64
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class EngineError(ValueError):
    """A request or a model that an engine cannot serve."""


@dataclass(frozen=True)
class Sampling:
    """How to sample.

    Attributes:
        n: Completions per prompt.
        temperature: 0 is greedy decoding.
        top_p: Nucleus mass; 1 keeps the whole distribution.
        max_tokens: Longest completion in tokens, the stop token included.
        seed: The same seed, prompt and settings give the same completions.
        stop_token_ids: End a completion, in addition to the model's own end tokens.
    """

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 64
    seed: int = 0
    stop_token_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.n < 1 or self.max_tokens < 1:
            raise EngineError(f"sampling: n and max_tokens start at 1; got {self.n} and {self.max_tokens}")
        if self.temperature < 0:
            raise EngineError(f"sampling: temperature is 0 (greedy) or more; got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise EngineError(f"sampling: top_p lies in (0, 1]; got {self.top_p}")
        if self.greedy and self.n > 1:
            raise EngineError(f"sampling: greedy decoding has one answer, n is {self.n}; set n: 1 or temperature > 0")

    @property
    def greedy(self) -> bool:
        """Whether decoding is greedy."""
        return self.temperature == 0


@dataclass(frozen=True)
class Completion:
    """One completion; its text is without special tokens.

    The last of `token_ids` is the stop token if `finish_reason` is "stop"; "length" is the end at `max_tokens`.
    Log-probs are in nats, at temperature 1 and top_p 1 whatever the sampling was, as `score` gives them.
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None
    finish_reason: FinishReason


class Engine(Protocol):
    """A model that samples completions and scores given ones."""

    name: str
    tokenizer: Any

    def generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[list[Completion]]:
        """Return `sampling.n` completions for each prompt of token ids, in the order given."""
        ...

    def score(self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return the log-prob (nats, temperature 1) of every token of `completions[i]` after `prompts[i]`."""
        ...

    def close(self) -> None:
        """Free memory and worker processes."""
        ...


def decode(tokenizer: Any, rows: Sequence[tuple[int, ...]]) -> list[str]:
    """Decode rows of token ids without special tokens, equal rows once."""
    distinct = list(dict.fromkeys(rows))
    texts = tokenizer.batch_decode(distinct, skip_special_tokens=True)
    table = dict(zip(distinct, texts, strict=True))
    return [table[row] for row in rows]


@dataclass(frozen=True)
class Request:
    """Completions of one prompt that are decoded together."""

    index: int
    prompt: Sequence[int]
    key: int
    first_sample: int
    samples: int


def batches(
    requests: list[Request], rows_that_fit: Callable[[int], int], sampling: Sampling
) -> Iterator[list[Request]]:
    """Group requests with equal sample counts, longest first: a batch is as wide as its first row."""
    batch: list[Request] = []
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


def _mix(z: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea and Flood, 2014): a bijection of 64 bits with full avalanche."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def prompt_key(prompt: Sequence[int], repeat: int, seed: int) -> int:
    """Return a 64-bit key of a prompt; `repeat` numbers equal prompts of one request."""
    material = np.asarray([seed, repeat, *prompt], dtype=np.int64).tobytes()
    return int.from_bytes(hashlib.blake2b(material, digest_size=8).digest(), "little")


def stream_keys(prompt_keys: Sequence[int], first_sample: int, samples: int) -> np.ndarray:
    """Return one stream key per completion, `[prompts, samples]` flattened."""
    base = np.asarray(prompt_keys, dtype=np.uint64)[:, None]
    index = np.arange(first_sample + 1, first_sample + samples + 1, dtype=np.uint64)[None, :]
    return _mix(base + index * _GOLDEN).reshape(-1)


def uniforms(keys: np.ndarray, step: int) -> np.ndarray:
    """Return a number in [0, 1) for each stream at a decoding step, independent of batches."""
    bits = _mix(keys + np.asarray([step + 1], dtype=np.uint64) * _GOLDEN)
    return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)


def choose(logits: torch.Tensor, draws: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """Pick a token for each row of `[rows, vocabulary]` logits by inverting the cumulative distribution.

    Draws `[rows]` are uniform in [0, 1), and not read in greedy decoding. Returns tokens `[rows]` and their log-probs
    `[rows]` in nats at temperature 1, not truncated.
    """
    logprobs = logits.float().log_softmax(-1)
    if sampling.greedy:
        tokens = logprobs.argmax(-1, keepdim=True)
    elif sampling.top_p < 1:
        tokens = _nucleus(_tempered(logprobs, sampling.temperature), draws, sampling.top_p)
    else:
        tokens = _invert(_tempered(logprobs, sampling.temperature), draws)
    return tokens.squeeze(-1), logprobs.gather(-1, tokens).squeeze(-1)


def _tempered(logprobs: torch.Tensor, temperature: float) -> torch.Tensor:
    return logprobs.exp() if temperature == 1 else (logprobs / temperature).softmax(-1)


def _invert(probabilities: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Return the first token whose cumulative probability exceeds the draw, `[rows, 1]`.

    Searches the sums of blocks first, then one block: a cumulative sum is sequential, and over the whole vocabulary it
    would cost as much as a layer of a small model.
    """
    import torch

    vocabulary = probabilities.shape[-1]
    blocks = torch.nn.functional.pad(probabilities, (0, -vocabulary % _BLOCK)).view(len(draws), -1, _BLOCK)
    sums = blocks.sum(-1)
    cumulative = sums.cumsum(-1)
    target = draws[:, None] * cumulative[:, -1:]
    # Rounding may lift the target up to the total itself; the clamps keep the index in the vocabulary.
    block = torch.searchsorted(cumulative, target, right=True).clamp_(max=sums.shape[-1] - 1)
    rest = target - (cumulative.gather(-1, block) - sums.gather(-1, block))
    inside = blocks.gather(1, block[:, :, None].expand(-1, -1, _BLOCK)).squeeze(1).cumsum(-1)
    offset = torch.searchsorted(inside, rest, right=True).clamp_(max=_BLOCK - 1)
    return (block * _BLOCK + offset).clamp_(max=vocabulary - 1)


def _nucleus(probabilities: torch.Tensor, draws: torch.Tensor, top_p: float) -> torch.Tensor:
    """Sample from the smallest set of most likely tokens whose mass reaches `top_p`."""
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered
    kept = ordered.masked_fill(before >= top_p, 0.0)
    position = _invert(kept, draws).minimum((kept > 0).sum(-1, keepdim=True) - 1)
    return order.gather(-1, position)
