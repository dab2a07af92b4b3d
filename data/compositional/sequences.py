"""Compositions as token sequences with a vocabulary of their own: the input's values, then what the model writes.

Targets: `direct` is the answer; `cot` is the bridge values, then the answer; `filler` has the token `</b>` in place of
each bridge value: as many steps without the information (the control for `cot`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .families import Ints
from .generate import Rows

Target = Literal["direct", "cot", "filler"]
FILLER, END = "</b>", "</a>"
IGNORED = -100


def vocabulary(values: int, target: Target) -> list[str]:
    """Tokens in the order of their ids: the values first, so that a value is its own token id."""
    return [*(f"<t_{value}>" for value in range(values)), *([FILLER] if target == "filler" else []), END]


def written_tokens(rows: Rows, values: int, target: Target) -> Ints:
    """What the model writes, without the end: `[rows, 1]` for `direct`, else `[rows, hops]`."""
    if target == "direct":
        return rows.results[:, -1:]
    if target == "cot":
        return rows.results
    filled = rows.results.copy()
    filled[:, :-1] = values
    return filled


@dataclass(frozen=True)
class Sequences:
    """What a model is trained on.

    Attributes:
        tokens: `[rows, slots + written - 1]`, everything before the answer.
        labels: Same shape: the next token of each position, `IGNORED` where there is no loss. Unlike the labels of
            transformers they are shifted already, which saves the last position of every sequence.
    """

    tokens: Ints
    labels: Ints


def to_sequences(rows: Rows, values: int, target: Target) -> Sequences:
    """Sequences of rows; the loss is on bridge values and answer, never on the input, filler or end token."""
    written = written_tokens(rows, values, target)
    whole = np.concatenate([rows.inputs, written], axis=1)
    labels = whole[:, 1:].copy()
    labels[:, : rows.inputs.shape[1] - 1] = IGNORED
    labels[labels == values] = IGNORED
    return Sequences(whole[:, :-1], labels)
