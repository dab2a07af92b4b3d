"""Interchange interventions: does a state at one place carry the intermediate value that the answer is made from?

After the causal tracing of arXiv 2505.20278: for an input x with answer t take a donor x' that differs in one slot, so
that its bridge value and its answer t' are others; copy the donor's residual state at one layer and position into the
run on x, and see whether the model now says t'. Layer l is the residual stream after l blocks, as in `representations`.

We differ from the reference's script where it selects: it drops an item if any layer overshoots, and items that prefer
t' already; here every item counts, except that `prob` needs a donor that moves the probability at all.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.compositional.generate import Compositions, Rows, types_of
from .representations import blocks_of, entering

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

SMALLEST_CHANGE = 1e-3
"""Least change of the probability of t' from x to x' for which a share of it means something."""
NEAR_TOP = 5
"""`near_top` counts ranks up to this, from 0, as the reference does."""


@dataclass(frozen=True)
class Donors:
    """Inputs with donors for some of them.

    Attributes:
        rows: Which of the given rows have a donor, `[items]`.
        base: Their inputs, `[items, slots]`.
        base_answers: `[items]`.
        donors: `[items, slots]`.
        donor_answers: `[items]`.
    """

    rows: NDArray[np.int64]
    base: NDArray[np.int64]
    base_answers: NDArray[np.int64]
    donors: NDArray[np.int64]
    donor_answers: NDArray[np.int64]


def find_donors(
    data: Compositions, rows: Rows, slot: int, hop: int = 0, same_bridge: bool = False, seed: int = 0
) -> Donors:
    """Draw a donor for each row: one slot differs, all its primitives were used in training.

    Args:
        data: Tables, and which of their entries training used.
        rows: Inputs to find donors for.
        slot: The slot that differs.
        hop: Table whose result has to differ.
        same_bridge: Donors with the same result at `hop` instead (a control: swapping them should change nothing). The
            answers of base and donor may then be equal.
        seed: Of the draw among the possible donors.
    """
    values, family = data.task.values, data.task.program
    inputs = np.repeat(rows.inputs[:, None], values, axis=1)
    inputs[:, :, slot] = np.arange(values)
    entries, results = family.keys(inputs.reshape(-1, family.slots), data.tables, values)
    usable = (types_of(entries, data.used) == 0).reshape(-1, values)
    usable &= np.arange(values) != rows.inputs[:, slot, None]
    results = results.reshape(len(rows), values, -1)
    equal = results[:, :, hop] == rows.results[:, hop, None]
    usable &= equal if same_bridge else ~equal & (results[:, :, -1] != rows.answers[:, None])
    lots = np.where(usable, np.random.default_rng(seed).random(usable.shape), -1.0)
    chosen = lots.argmax(axis=1)
    items = np.flatnonzero(usable.any(axis=1))
    return Donors(
        rows=items,
        base=rows.inputs[items],
        base_answers=rows.answers[items],
        donors=inputs[items, chosen[items]],
        donor_answers=results[items, chosen[items], -1],
    )


@dataclass(frozen=True)
class Interchange:
    """What an interchange did, one value an item.

    Attributes:
        effect: `prob`: (p_patched(t') - p_x(t')) / (p_x'(t') - p_x(t')); NaN where the donor does not move it.
        flipped: The patched answer is t' and the unpatched one was not.
        overtaken: `rank`: t' ranks above t after the patch.
        near_top: `rank`: t' ranks at most `NEAR_TOP`.
        kept: The patched answer is the unpatched one; what a control looks at.
    """

    effect: NDArray[np.float64]
    flipped: NDArray[np.bool_]
    overtaken: NDArray[np.bool_]
    near_top: NDArray[np.bool_]
    kept: NDArray[np.bool_]

    def summary(self, chosen: ArrayLike | None = None) -> dict[str, float]:
        """Means over all items, or over the chosen ones (indices or a mask); `items` is how many there are."""
        part = np.arange(len(self.effect)) if chosen is None else np.asarray(chosen)
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

    def by_cutoff(self, cutoffs: ArrayLike, edges: Sequence[int] = (3, 4)) -> dict[str, dict[str, float]]:
        """Summaries by k-cutoff of the base row; the edges 3 and 4 give the reference's bins k < 3, k = 3, k > 3."""
        cutoffs = np.asarray(cutoffs)
        bounds = [(None, edges[0]), *itertools.pairwise(edges), (edges[-1], None)]
        bins = {}
        for low, high in bounds:
            inside = np.ones(len(cutoffs), dtype=bool)
            inside &= cutoffs >= low if low is not None else True
            inside &= cutoffs < high if high is not None else True
            name = f"k < {high}" if low is None else f"k >= {low}" if high is None else f"{low} <= k < {high}"
            bins[name] = self.summary(inside)
        return bins


class Interchanger:
    """Copies the donors' state at one place into the runs on the base inputs; the answer is the next token.

    Base and donors run once, when it is made, and the patched run once for each place.
    """

    def __init__(
        self, model: PreTrainedModel, base: ArrayLike, donors: ArrayLike, answers: tuple[ArrayLike, ArrayLike]
    ) -> None:
        """Run the model on base and donors.

        Args:
            model: Any causal LM of transformers.
            base: `[items, positions]` token ids, of equal length.
            donors: Same shape.
            answers: Token ids t of the base and t' of the donors, `[items]` each.

        Raises:
            ValueError: Shapes differ.
        """
        import torch

        self._model, self._blocks = model, blocks_of(model)
        self._base, given = torch.as_tensor(np.asarray(base)), torch.as_tensor(np.asarray(donors))
        if self._base.shape != given.shape:
            found = f"base {tuple(self._base.shape)} and donors {tuple(given.shape)} differ in shape"
            raise ValueError(f"interchange: {found}")
        self._answers = tuple(np.asarray(answer) for answer in answers)
        self._states: list[Tensor] = []
        self._plain = self._run(self._base)
        with contextlib.ExitStack() as hooks:
            for block in self._blocks:
                hooks.callback(block.register_forward_pre_hook(self._keep, with_kwargs=True).remove)
            self._given = self._run(given)

    def __call__(self, layer: int, position: int) -> Interchange:
        """Swap the state at one place.

        Args:
            layer: Blocks that have run when the state is swapped, from 0 to one less than there are.
            position: Token whose state is swapped.

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
        return _compare(self._plain, self._given, patched, *self._answers)

    def _keep(self, module: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self._states.append(entering(arguments, options).clone())

    def _run(self, tokens: Tensor) -> NDArray[np.float64]:
        """Probabilities of the next token, `[items, tokens]`."""
        import torch

        was_training = self._model.training
        self._model.eval()
        try:
            with torch.inference_mode():
                logits = self._model(input_ids=tokens.to(self._model.device)).logits[:, -1]
                return torch.softmax(logits.double(), dim=-1).cpu().numpy()
        finally:
            self._model.train(was_training)


def _compare(
    plain: NDArray[np.float64],
    given: NDArray[np.float64],
    patched: NDArray[np.float64],
    base_answers: NDArray[np.int64],
    donor_answers: NDArray[np.int64],
) -> Interchange:
    items = np.arange(len(plain))
    own, wanted, found = (p[items, donor_answers] for p in (plain, given, patched))
    moves = wanted - own
    effect = np.full(len(items), np.nan)
    np.divide(found - own, moves, out=effect, where=np.abs(moves) >= SMALLEST_CHANGE)

    def rank_of(answer: NDArray[np.int64]) -> NDArray[np.int64]:
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
