"""Interchange interventions: does the state at one place carry the intermediate value that the answer depends on?

After the causal tracing of arXiv 2505.20278: for an input x with answer t take a donor x' that differs in one slot and
has another bridge value and another answer t'; copy the donor's residual state at one layer and position into the run
on x, and see whether the model now answers t'. Layer l is the residual stream after l blocks, as in `representations`.

The reference's script drops items where any layer overshoots or where the model prefers t' already. Here every item
counts, except that `prob` needs a donor that changes the probability at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.compositional.generate import Compositions, Rows, types_of
from .observations import IntArray
from .representations import blocks_of, entering, inference, recorded_states

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

Floats = NDArray[np.float64]
SMALLEST_CHANGE = 1e-3
"""Least change of the probability of t' between x and x' for which `effect` is defined."""
NEAR_TOP = 5
"""`near_top` counts ranks up to this, from 0, as the reference does."""


@dataclass(frozen=True)
class Donors:
    """The rows that have a donor, `[items]` indices, with inputs `[items, slots]` and answers `[items]` of both."""

    rows: IntArray
    base: IntArray
    base_answers: IntArray
    donors: IntArray
    donor_answers: IntArray


def find_donors(data: Compositions, rows: Rows, slot: int, same_bridge: bool = False) -> Donors:
    """Draw a donor for each row that has one: it differs in one slot, and training used all its primitives.

    With `same_bridge`, donors have the same result of the first table, and perhaps the same answer, in place of another
    one: a control, in which swapping should change nothing.
    """
    values, family = data.task.values, data.task.program
    inputs = np.repeat(rows.inputs[:, None], values, axis=1)
    inputs[:, :, slot] = np.arange(values)
    entries, results = family.keys(inputs.reshape(-1, family.slots), data.tables, values)
    usable = (types_of(entries, data.used) == 0).reshape(-1, values)
    usable &= np.arange(values) != rows.inputs[:, slot, None]
    results = results.reshape(len(rows), values, -1)
    equal = results[:, :, 0] == rows.results[:, :1]
    usable &= equal if same_bridge else ~equal & (results[:, :, -1] != rows.answers[:, None])
    items = np.flatnonzero(usable.any(axis=1))
    chosen = np.where(usable, np.random.default_rng(0).random(usable.shape), -1.0).argmax(axis=1)[items]
    answers = rows.answers[items], results[items, chosen, -1]
    return Donors(items, rows.inputs[items], answers[0], inputs[items, chosen], answers[1])


@dataclass(frozen=True)
class Interchange:
    """Effects of an interchange, one value per item.

    Attributes:
        effect: `prob`: (p_patched(t') - p_x(t')) / (p_x'(t') - p_x(t')); NaN where the donor does not change p(t').
        flipped: The patched answer is t' and the unpatched one was not.
        overtaken: `rank`: t' ranks above t after the patch.
        near_top: `rank`: t' ranks at most `NEAR_TOP`.
        kept: Patched and unpatched answer are equal, as they should be in a control.
    """

    effect: Floats
    flipped: NDArray[np.bool_]
    overtaken: NDArray[np.bool_]
    near_top: NDArray[np.bool_]
    kept: NDArray[np.bool_]

    def summary(self, chosen: ArrayLike | None = None) -> dict[str, float]:
        """Means over all items, or over the chosen ones (indices or a mask); `items` is how many there are."""
        part = slice(None) if chosen is None else np.asarray(chosen)
        effect = self.effect[part]
        shares = {
            "flips": self.flipped,
            "kept": self.kept,
            "rank_overtaken": self.overtaken,
            "rank_near_top": self.near_top,
            "rank_both": self.overtaken & self.near_top,
        }
        return {
            "items": len(effect),
            "prob": _mean(effect[~np.isnan(effect)]),
            **{name: _mean(share[part]) for name, share in shares.items()},
        }

    def by_cutoff(self, cutoffs: ArrayLike) -> dict[str, dict[str, float]]:
        """Summaries by k-cutoff of the base row, in the reference's bins k < 3, k = 3, k > 3."""
        k = np.asarray(cutoffs)
        bins = {"k < 3": k < 3, "3 <= k < 4": k == 3, "k >= 4": k > 3}
        return {name: self.summary(inside) for name, inside in bins.items()}


class Interchanger:
    """Copies the donors' state at one place into the runs on the base inputs; the answer is the next token.

    Base and donors run once, at construction; the patched run happens once per place.
    """

    def __init__(
        self, model: PreTrainedModel, base: ArrayLike, donors: ArrayLike, answers: tuple[ArrayLike, ArrayLike]
    ) -> None:
        """Run a causal LM on token ids of base and donors, `[items, positions]` both.

        `answers` are the token ids t of the base and t' of the donors, `[items]` each.

        Raises:
            ValueError: Shapes differ.
        """
        import torch

        self._model, self._blocks = model, blocks_of(model)
        self._base, given = torch.as_tensor(np.asarray(base)), torch.as_tensor(np.asarray(donors))
        if self._base.shape != given.shape:
            shapes = f"base {tuple(self._base.shape)} and donors {tuple(given.shape)}"
            raise ValueError(f"interchange: {shapes} differ in shape")
        self._answers = np.asarray(answers[0]), np.asarray(answers[1])
        self._plain = self._run(self._base)
        with recorded_states(model) as self._states:
            self._given = self._run(given)

    def __call__(self, layer: int, position: int) -> Interchange:
        """Swap the state of the token at `position` before block number `layer`, counted from 0.

        Raises:
            ValueError: There is no such layer or position.
        """
        layers, positions = len(self._blocks), self._base.shape[1]
        if not (0 <= layer < layers and 0 <= position < positions):
            place = f"layer {layer} of 0..{layers - 1}, position {position} of 0..{positions - 1}"
            raise ValueError(f"interchange: {place} is not inside the model and its input")

        def swap(module: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
            state = entering(arguments, options).clone()
            state[:, position] = self._states[layer][:, position]
            return ((state, *arguments[1:]), options) if arguments else (arguments, options | {"hidden_states": state})

        handle = self._blocks[layer].register_forward_pre_hook(swap, with_kwargs=True)
        try:
            patched = self._run(self._base)
        finally:
            handle.remove()
        return _compare(self._plain, self._given, patched, self._answers)

    def _run(self, tokens: Tensor) -> Floats:
        """Probabilities of the next token, `[items, tokens]`."""
        import torch

        with inference(self._model):
            logits = self._model(input_ids=tokens.to(self._model.device)).logits[:, -1]
            return torch.softmax(logits.double(), dim=-1).cpu().numpy()


def _compare(plain: Floats, given: Floats, patched: Floats, answers: tuple[IntArray, IntArray]) -> Interchange:
    base_answers, donor_answers = answers
    items = np.arange(len(plain))
    own, wanted, found = (p[items, donor_answers] for p in (plain, given, patched))
    moves = wanted - own
    effect = np.full(len(items), np.nan)
    np.divide(found - own, moves, out=effect, where=np.abs(moves) >= SMALLEST_CHANGE)

    def rank_of(answer: IntArray) -> IntArray:
        return (patched > patched[items, answer][:, None]).sum(axis=1)

    return Interchange(
        effect=effect,
        flipped=(patched.argmax(axis=1) == donor_answers) & (plain.argmax(axis=1) != donor_answers),
        overtaken=rank_of(base_answers) > rank_of(donor_answers),
        near_top=rank_of(donor_answers) <= NEAR_TOP,
        kept=patched.argmax(axis=1) == plain.argmax(axis=1),
    )


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")
