"""Compressors to compare with, each given as many tokens as the capsule of the same passage has."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.capsules import sentences

if TYPE_CHECKING:
    from ...rewards.compression import Reader
    from ..engines.base import Engine

_WORD = re.compile(r"\S+")
_SCORED_AT_ONCE = 512


def first_tokens(passages: Sequence[str], tokens: Sequence[int], reader: Reader) -> list[str]:
    """Return the beginnings of passages."""
    return [reader.cut(passage, most) for passage, most in zip(passages, tokens, strict=True)]


def last_tokens(passages: Sequence[str], tokens: Sequence[int], reader: Reader) -> list[str]:
    """Return the ends of passages, from the beginning of a word on."""
    return [_longest(_tails(passage), most, reader) for passage, most in zip(passages, tokens, strict=True)]


def random_sentences(passages: Sequence[str], tokens: Sequence[int], reader: Reader, seed: int = 0) -> list[str]:
    """Return random sentences in the order of the passage; the last one drawn is cut to a word that still fits."""
    texts = []
    for passage, most in zip(passages, tokens, strict=True):
        parts = sentences(passage)
        order = random.Random(f"{seed} {passage}").sample(range(len(parts)), len(parts))
        over = (n for n in range(1, len(order) + 1) if reader.count(_joined(parts, order[:n])) > most)
        count = next(over, len(order))
        whole, last = order[: count - 1], order[count - 1 : count]
        cuts = [
            _with_cut(parts, whole, place, words)
            for place in last
            for words in range(len(parts[place].split()), -1, -1)
        ]
        texts.append(_longest(cuts or [""], most, reader))
    return texts


def heaviest_words(
    passages: Sequence[str], tokens: Sequence[int], reader: Reader, weights: Sequence[np.ndarray]
) -> list[str]:
    """Return the words of largest weight, in the order of the passage, as many as the tokens hold.

    Words are what stands between spaces, so that none is cut; what is kept is hardly text.

    Args:
        passages: The texts.
        tokens: Most tokens of each result.
        reader: Counts them.
        weights: Of the words of each passage.
    """
    texts = []
    for passage, most, own in zip(passages, tokens, weights, strict=True):
        words = _WORD.findall(passage)
        order = np.argsort(-own, kind="stable").tolist()
        kept = [_joined(words, order[:count]) for count in range(len(words), -1, -1)]
        texts.append(_longest(kept, most, reader))
    return texts


def self_information(texts: Sequence[str], engine: Engine) -> list[np.ndarray]:
    """Return the surprise of each word: minus the log-prob of its tokens under a causal language model, nats.

    Selective Context (hf.co/papers/2310.06201), with words in place of its noun phrases, which need a parser of the
    language. Long texts are scored in pieces of 512 tokens after the 512 tokens before them.
    """
    encoded = [engine.tokenizer(t, add_special_tokens=False, return_offsets_mapping=True) for t in texts]
    pieces = [(i, at) for i, e in enumerate(encoded) for at in range(0, len(e["input_ids"]), _SCORED_AT_ONCE)]
    start = [engine.tokenizer.bos_token_id or engine.tokenizer.eos_token_id]
    ids = [encoded[i]["input_ids"] for i, _ in pieces]
    before = [start + own[max(0, at - _SCORED_AT_ONCE) : at] for own, (_, at) in zip(ids, pieces, strict=True)]
    asked = [own[at : at + _SCORED_AT_ONCE] for own, (_, at) in zip(ids, pieces, strict=True)]
    scores: list[list[float]] = [[] for _ in texts]
    for (index, _), row in zip(pieces, engine.score(before, asked), strict=True):
        scores[index] += row
    return [
        word_weights(text, e["offset_mapping"], -np.array(row), np.sum)
        for text, e, row in zip(texts, encoded, scores, strict=True)
    ]


def word_weights(
    text: str, offsets: Sequence[tuple[int, int]], values: np.ndarray, over: Callable[[np.ndarray], Any]
) -> np.ndarray:
    """Return a weight per word of a text from values per token, `[tokens]`.

    Args:
        text: The text.
        offsets: First character of each token and the one after its last.
        values: Of the tokens.
        over: From the values of a word's tokens to its weight; a word without a token of its own has weight 0.
    """
    ends = np.array([match.end() for match in _WORD.finditer(text)], dtype=np.int64)
    # A token belongs to the word of its last character: with byte-level vocabularies it may begin at the space before.
    word = np.searchsorted(ends, np.array([end for _, end in offsets], dtype=np.int64), side="left")
    own = [np.asarray(values)[word == index] for index in range(len(ends))]
    return np.array([over(some) if len(some) else 0.0 for some in own])


def _joined(parts: Sequence[str], places: Sequence[int]) -> str:
    return " ".join(parts[place] for place in sorted(places))


def _with_cut(parts: Sequence[str], whole: Sequence[int], place: int, words: int) -> str:
    """Whole sentences and the first words of one more, in order."""
    cut = {place: " ".join(parts[place].split()[:words])} if words else {}
    chosen = {index: parts[index] for index in whole} | cut
    return " ".join(chosen[index] for index in sorted(chosen))


def _tails(text: str) -> list[str]:
    return [text[match.start() :] for match in _WORD.finditer(text)] + [""]


def _longest(candidates: Sequence[str], most: int, reader: Reader) -> str:
    """Return the first of ever shorter texts that the tokens hold, found by halving; the last one is empty."""
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        if reader.count(candidates[middle]) <= most:
            high = middle
        else:
            low = middle + 1
    return candidates[low]
