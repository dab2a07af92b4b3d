"""Baseline compressors, each with as many tokens as the capsule of the same passage."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.compression.capsules import sentences

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ...rewards.capsule.reader import Reader
    from ..engines.base import Engine

_LONGEST_WORD = 24
_WORD = re.compile(rf"(?<!\S)\S{{1,{_LONGEST_WORD}}}(?!\S)|\S")
"""Runs between spaces; longer ones, as in scripts without spaces, are taken letter by letter."""
_SCORED_AT_ONCE = 512
_MISSES = 16
"""Words that do not fit, after which a text is full."""
_KEEP = 1
"""Label of LLMLingua-2's classifier for tokens to keep."""
_TOKENS_AT_ONCE, _PIECES_AT_ONCE = 510, 16


def first_tokens(passages: Sequence[str], tokens: Sequence[int], reader: Reader) -> list[str]:
    """Return the beginnings of passages."""
    return [reader.cut(passage, most) for passage, most in zip(passages, tokens, strict=True)]


def last_tokens(passages: Sequence[str], tokens: Sequence[int], reader: Reader) -> list[str]:
    """Return the ends of passages, cut between letters as their beginnings are cut between tokens."""
    pairs = zip(passages, tokens, strict=True)
    return [_longest(len(passage), partial(_end, passage), most, reader) for passage, most in pairs]


def _end(text: str, letters: int) -> str:
    return text[len(text) - letters :]


def random_sentences(passages: Sequence[str], tokens: Sequence[int], reader: Reader, seed: int = 0) -> list[str]:
    """Return random sentences in the order of the passage; the last one drawn is cut to a word that still fits."""
    texts = []
    for passage, most in zip(passages, tokens, strict=True):
        parts = dict(enumerate(sentences(passage)))
        order = random.Random(f"{seed} {passage}").sample(range(len(parts)), len(parts))
        drawn = ({place: parts[place] for place in order[:n]} for n in range(1, len(order) + 1))
        first = next((some for some in drawn if reader.count(_in_order(some)) > most), {at: parts[at] for at in order})
        texts.append(_with_last_cut(first, most, reader))
    return texts


def heaviest_words(
    passages: Sequence[str], tokens: Sequence[int], reader: Reader, weights: Sequence[np.ndarray]
) -> list[str]:
    """Return the words of largest weight, in the order of the passage, as many as `tokens` of the reader hold.

    Words are whole, and one that does not fit is passed over for lighter ones; what is kept is hardly text. Weights are
    by word, see `word_spans`.
    """
    texts = []
    for passage, most, own in zip(passages, tokens, weights, strict=True):
        spans, misses = word_spans(passage), 0
        kept: list[tuple[int, int]] = []
        for place in np.argsort(-own, kind="stable").tolist():
            longer = sorted([*kept, spans[place]])
            if reader.count(_spelled(passage, longer)) <= most:
                kept = longer
            elif (misses := misses + 1) == _MISSES:
                break
        texts.append(_spelled(passage, kept))
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


class ClassifierError(ValueError):
    """A folder that holds no such classifier, with what to do about it."""


def keep_probabilities(texts: Sequence[str], folder: str) -> list[np.ndarray]:
    """Return for each word the mean probability that its tokens are to be kept, by LLMLingua-2's token classifier.

    The classifier of hf.co/papers/2403.12968. Words are chosen as for every baseline here, to an exact number of the
    reader's tokens; the original takes a share of the words by a threshold. Texts are cut into pieces of 510 tokens.

    Raises:
        ClassifierError: There is no such folder, or its model has other labels.
    """
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    if not Path(folder).is_dir():
        raise ClassifierError(f"baselines.llmlingua2 · {folder} · no such folder · give that of the weights, or null")
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForTokenClassification.from_pretrained(
        folder, trust_remote_code=False, use_safetensors=True
    ).eval()
    if model.config.num_labels != 2:
        found = f"{model.config.num_labels} labels"
        raise ClassifierError(f"baselines.llmlingua2 · {folder} · {found} · a classifier of two, drop and keep")
    return [_weigh(text, tokenizer, model) for text in texts]


def _weigh(text: str, tokenizer: Any, model: PreTrainedModel) -> np.ndarray:
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids = encoded["input_ids"]
    pieces = [ids[at : at + _TOKENS_AT_ONCE] for at in range(0, len(ids), _TOKENS_AT_ONCE)]
    keep: list[float] = []
    for at in range(0, len(pieces), _PIECES_AT_ONCE):
        keep += _probabilities(pieces[at : at + _PIECES_AT_ONCE], tokenizer, model)
    return word_weights(text, encoded["offset_mapping"], np.array(keep), np.mean)


def _probabilities(pieces: Sequence[list[int]], tokenizer: Any, model: PreTrainedModel) -> list[float]:
    """Probability of the label `keep` of every token, one piece after the other."""
    import torch

    prefix, suffix = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
    batch = tokenizer.pad({"input_ids": [prefix + piece + suffix for piece in pieces]}, return_tensors="pt")
    with torch.inference_mode():
        kept = model(**batch.to(model.device)).logits.float().softmax(-1)[..., _KEEP]
    padded_left = tokenizer.padding_side == "left"
    found: list[float] = []
    for row, piece in zip(kept, pieces, strict=True):
        start = len(row) - len(piece) - 1 if padded_left else 1
        found += row[start : start + len(piece)].tolist()
    return found


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return the start and end of each word: a run between spaces, or a single letter in scripts without spaces."""
    return [match.span() for match in _WORD.finditer(text)]


def word_weights(
    text: str, offsets: Sequence[tuple[int, int]], values: np.ndarray, over: Callable[[np.ndarray], Any]
) -> np.ndarray:
    """Return a weight per word of a text, `over` its tokens' values `[tokens]`; `offsets` are the tokens' characters.

    A word that lies inside of a token has that one's value.
    """
    ends = np.array([end for _, end in word_spans(text)], dtype=np.int64)
    token_ends = np.array([end for _, end in offsets], dtype=np.int64)
    # A token belongs to the word of its last character: with byte-level vocabularies it may begin at the space before.
    word, cover = np.searchsorted(ends, token_ends), np.searchsorted(token_ends, ends)
    values = np.append(values, 0.0)
    own = [values[:-1][word == index] for index in range(len(ends))]
    return np.array([over(some) if len(some) else values[cover[index]] for index, some in enumerate(own)])


def _spelled(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Words of a text in their order, with a space where the text has one between them."""
    parts, before = [], None
    for start, end in spans:
        spaced = before is not None and any(letter.isspace() for letter in text[before:start])
        parts.append(f"{' ' if spaced else ''}{text[start:end]}")
        before = end
    return "".join(parts)


def _in_order(parts: Mapping[int, str]) -> str:
    return " ".join(parts[place] for place in sorted(parts))


def _with_last_cut(parts: Mapping[int, str], most: int, reader: Reader) -> str:
    """The sentences in order of their place, the one drawn last cut to the words that still fit."""
    if not parts:
        return ""
    last = list(parts)[-1]
    ends = [0, *(end for _, end in word_spans(parts[last]))]
    whole = {place: text for place, text in parts.items() if place != last}

    def text_of(words: int) -> str:
        return _in_order({**whole, last: parts[last][: ends[words]]} if words else whole)

    return _longest(len(ends) - 1, text_of, most, reader)


def _longest(units: int, text_of: Callable[[int], str], most: int, reader: Reader) -> str:
    """Return the text of as many units as the tokens hold, found by halving; that of none is taken to fit."""
    low, high = 0, units
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if reader.count(text_of(middle)) <= most else (low, middle - 1)
    return text_of(low)
