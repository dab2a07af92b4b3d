"""What can be said of a split without looking at outputs: leakage, t-way coverage, n-gram overlap, divergence.

A report shows them beside the statuses; a coverage tool has a case only where it predicts better than these.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .read.slot_rows import Table

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Baselines:
    """Of a test set against a training set.

    Attributes:
        same_text: Share of the requests whose text is in the training rows.
        same_slots: Share whose slot values stand together in a training row.
        two_way: Mean share of a request's pairs of slot values that a training row has.
        three_way: The same for triples.
        ngrams: Mean share of a request's word trigrams that a training text has.
        atoms: Divergence of slot values (CFQ's atom divergence).
        compounds: Divergence of pairs of slot values (CFQ's compound divergence).
    """

    same_text: float
    same_slots: float
    two_way: float
    three_way: float
    ngrams: float
    atoms: float
    compounds: float

    def as_dict(self) -> dict[str, float]:
        """Plain data."""
        return asdict(self)


def baselines(train: Table, test: Table) -> Baselines:
    """Compute all of them."""
    known_texts, known_slots = set(map(_folded, train.texts)), set(map(tuple, train.inputs.tolist()))
    return Baselines(
        same_text=float(np.mean([_folded(text) in known_texts for text in test.texts])),
        same_slots=float(np.mean([tuple(row) in known_slots for row in test.inputs.tolist()])),
        two_way=float(t_way(train, test, 2).mean()),
        three_way=float(t_way(train, test, 3).mean()),
        ngrams=float(ngram_overlap(train.texts, test.texts).mean()),
        atoms=divergence(_atoms(train, 1), _atoms(test, 1), 0.5),
        compounds=divergence(_atoms(train, 2), _atoms(test, 2), 0.1),
    )


def t_way(train: Table, test: Table, t: int, slots: Sequence[int] | None = None) -> FloatArray:
    """Share of each request's t-tuples of slot values that some training row has, `[requests]` (NIST's t-way).

    Args:
        train: Training rows.
        test: Requests.
        t: Slots of a tuple; where there are fewer slots, all of them.
        slots: Slots to look at; None takes all.
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
    """Share of each text's word n-grams, with its ends, that a training text has, `[texts]`."""
    known = {gram for text in train for gram in _grams(text, n)}
    shares = []
    for text in test:
        grams = _grams(text, n)
        shares.append(sum(gram in known for gram in grams) / max(1, len(grams)))
    return np.array(shares)


def divergence(train: Counter[Hashable], test: Counter[Hashable], alpha: float) -> float:
    """1 - sum p^alpha q^(1-alpha) of two distributions, p of training rows (CFQ, arXiv 1912.09713, section 3).

    CFQ takes alpha 0.5 for atoms and 0.1 for compounds, where being in training at all counts more than how often. We
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
