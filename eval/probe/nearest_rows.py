"""Figures of a split that ignore outputs: leakage, t-way coverage, n-gram overlap, divergence.

A report shows them as baselines: statuses are only useful where they predict accuracy better than these.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .read.slot_rows import Table

FloatArray = NDArray[np.float64]


def baselines(train: Table, test: Table) -> dict[str, float]:
    """Figures of a test set against a training set.

    Returns:
        `same_text`, `same_slots`: share of requests whose text or whose slot values occur in one training row;
        `two_way`, `three_way`, `ngrams`: mean share of a request's pairs and triples of slot values and of its word
        trigrams that occur in training; `atoms`, `compounds`: CFQ's divergences, of slot values and of pairs of them.
    """
    known_texts, known_slots = set(map(_folded, train.texts)), set(map(tuple, train.inputs.tolist()))
    return {
        "same_text": float(np.mean([_folded(text) in known_texts for text in test.texts])),
        "same_slots": float(np.mean([tuple(row) in known_slots for row in test.inputs.tolist()])),
        "two_way": float(t_way(train, test, 2).mean()),
        "three_way": float(t_way(train, test, 3).mean()),
        "ngrams": float(ngram_overlap(train.texts, test.texts).mean()),
        "atoms": divergence(_atoms(train, 1), _atoms(test, 1), 0.5),
        "compounds": divergence(_atoms(train, 2), _atoms(test, 2), 0.1),
    }


def t_way(train: Table, test: Table, t: int, slots: Sequence[int] | None = None) -> FloatArray:
    """Share of each request's t-tuples of slot values that occur in a training row, `[requests]` (NIST's t-way).

    With fewer than `t` slots, the tuple is all of them. `slots` limits the slots considered; None takes all.
    """
    slots = range(train.inputs.shape[1]) if slots is None else slots
    groups = list(combinations(slots, min(t, len(slots)))) if slots else []
    if not groups:
        return np.ones(len(test))
    share = np.zeros(len(test))
    for group in groups:
        known = set(map(tuple, train.inputs[:, group].tolist()))
        share += [tuple(values) in known for values in test.inputs[:, group].tolist()]
    return share / len(groups)


def ngram_overlap(train: Sequence[str], test: Sequence[str], n: int = 3) -> FloatArray:
    """Share of each text's word n-grams, ends included, that occur in a training text, `[texts]`."""
    known = {gram for text in train for gram in _grams(text, n)}
    return np.array([np.mean([gram in known for gram in _grams(text, n)]) for text in test])


def divergence(train: Counter[Hashable], test: Counter[Hashable], alpha: float) -> float:
    """1 - sum p^alpha q^(1-alpha) of two distributions, p of training rows (CFQ, arXiv 1912.09713, section 3).

    CFQ takes alpha 0.5 for atoms and 0.1 for compounds, where occurring at all matters more than the frequency. We
    differ: atoms are slot values and compounds pairs of them, since rows need not be trees of rules, so compounds are
    not weighted by how their parts vary.
    """
    rows, requests = sum(train.values()), sum(test.values())
    shared = train.keys() & test.keys()
    return max(0.0, 1.0 - sum((train[key] / rows) ** alpha * (test[key] / requests) ** (1 - alpha) for key in shared))


def _atoms(table: Table, size: int) -> Counter[Hashable]:
    counts: Counter[Hashable] = Counter()
    for group in combinations(range(table.inputs.shape[1]), size):
        counts.update((group, *values) for values in table.inputs[:, group].tolist())
    return counts


def _grams(text: str, n: int) -> set[tuple[str, ...]]:
    words = ["<", *re.findall(r"\w+|[^\w\s]", _folded(text)), ">"]
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
