"""Which slots an output depends on. Irrelevant slots would split the contexts and leave too little evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..coverage.observations import IntArray

LEAST_GAIN = 0.005
"""A slot is taken when it explains at least this share of the output's entropy."""
MOST_SLOTS = 5
LEAST_CONTRADICTIONS = 0.002
"""Share of rows against their input's majority above which another slot is looked for that separates them."""
SPREAD = 0.05
"""By what share of the output's entropy such a slot may raise the left-out entropy."""
BACK_OFF = 1.0
"""Pseudo-count of the wider group in the estimate for a narrower one."""


@dataclass(frozen=True)
class Relevance:
    """The relevant slots of an output.

    Attributes:
        entropy: Left-out entropy of the output in nats.
        steps: Slots in the order in which they were taken, each with the conditional entropy given it and those before
            it; slots with `always` come first.
        method: `forward`; `backward` where no slot is predictive by itself; `given` by the schema.
    """

    slots: tuple[int, ...]
    entropy: float
    steps: tuple[tuple[int, float], ...]
    method: str

    @property
    def explained(self) -> float:
        """Share of the entropy that the slots explain, 1 for an output that never varies."""
        last = self.steps[-1][1] if self.steps else self.entropy
        return 1.0 if self.entropy < 1e-9 else 1 - last / self.entropy


def select(inputs: IntArray, outputs: IntArray, always: Sequence[int] = ()) -> Relevance:
    """Choose slots by how well they predict the output of a row that is left out.

    Forward: the slot that lowers the conditional entropy most is taken until none lowers it by `LEAST_GAIN` of the
    output's entropy. The entropy is the mean log-loss of predicting each row from the other rows with its values, so a
    slot with a different value in every row predicts nothing. A slot that explains less is still taken if it separates
    contradicting rows. If more than half of the entropy is left, slots may matter only together (as in a random table);
    then, starting from all slots, those are dropped without which rows still do not contradict each other.

    `inputs` are codes, [rows, slots], and `outputs` [rows]; the slots `always` are taken in any case.
    """
    fixed = tuple(sorted(always))
    entropy = left_out_entropy(_groups(inputs[:, :0]), outputs)
    chosen, steps = _forward(inputs, outputs, fixed, entropy)
    left = steps[-1][1] if steps else entropy
    if entropy > 1e-9 and left > 0.5 * entropy:
        kept = _backward(inputs, outputs, fixed)
        if kept is not None and len(kept) <= MOST_SLOTS + len(fixed):
            together = left_out_entropy(_groups(inputs[:, kept]), outputs)
            return Relevance(kept, entropy, tuple((slot, together) for slot in kept), "backward")
    return Relevance(chosen, entropy, steps, "forward")


def given(inputs: IntArray, outputs: IntArray, slots: Sequence[int]) -> Relevance:
    """The slots that a schema names, with what they explain."""
    entropy = left_out_entropy(_groups(inputs[:, :0]), outputs)
    return Relevance(tuple(sorted(slots)), entropy, tuple(_steps(inputs, outputs, slots)), "given")


def _steps(inputs: IntArray, outputs: IntArray, slots: Sequence[int]) -> list[tuple[int, float]]:
    parts = (inputs[:, slots[: place + 1]] for place in range(len(slots)))
    return [(slot, left_out_entropy(_groups(part), outputs)) for slot, part in zip(slots, parts, strict=True)]


def left_out_entropy(groups: IntArray, outputs: IntArray) -> float:
    """Mean log-loss in nats of predicting each row's output from the other rows of its group, smoothed by all rows.

    Both arguments are [rows]; unused codes of outputs make no difference.
    """
    if len(outputs) < 2:
        return 0.0
    known, outputs = np.unique(outputs, return_inverse=True)
    kinds = len(known)
    wide = (np.bincount(outputs)[outputs] - 1 + 1 / kinds) / len(outputs)
    sizes = np.bincount(groups)[groups] - 1
    _, cell, counts = np.unique(groups * kinds + outputs, return_inverse=True, return_counts=True)
    same = counts[cell] - 1
    return float(-np.log((same + BACK_OFF * wide) / (sizes + BACK_OFF)).mean())


def _forward(
    inputs: IntArray, outputs: IntArray, fixed: tuple[int, ...], entropy: float
) -> tuple[tuple[int, ...], tuple[tuple[int, float], ...]]:
    chosen, steps = list(fixed), _steps(inputs, outputs, fixed)
    left = steps[-1][1] if steps else entropy
    while len(chosen) < MOST_SLOTS + len(fixed) and len(chosen) < inputs.shape[1]:
        rest = [slot for slot in range(inputs.shape[1]) if slot not in chosen]
        losses = [left_out_entropy(_groups(inputs[:, [*chosen, slot]]), outputs) for slot in rest]
        best = int(np.argmin(losses))
        # With the `always` slots alone the log-loss can exceed the entropy; gains are counted from the smaller.
        if min(left, entropy) - losses[best] >= max(LEAST_GAIN * entropy, 1e-9):
            found: int | None = rest[best]
        else:
            found = _settling(inputs, outputs, chosen, min(left, entropy) + SPREAD * entropy)
        if found is None:
            break
        chosen.append(found)
        left = losses[rest.index(found)]
        steps.append((found, left))
    return tuple(sorted(chosen)), tuple(steps)


def _settling(inputs: IntArray, outputs: IntArray, chosen: list[int], most: float) -> int | None:
    """The slot that resolves most contradictions (at least a quarter) with a left-out entropy of at most `most`."""
    against = _contradictions(inputs[:, chosen], outputs)
    if not chosen or against <= LEAST_CONTRADICTIONS * len(outputs):
        return None
    with_slot = {slot: inputs[:, [*chosen, slot]] for slot in range(inputs.shape[1]) if slot not in chosen}
    usable = (slot for slot, part in with_slot.items() if left_out_entropy(_groups(part), outputs) <= most)
    left = {slot: _contradictions(with_slot[slot], outputs) for slot in usable}
    best = min(left, key=lambda slot: left[slot], default=None)
    return best if best is not None and left[best] <= 0.75 * against else None


def _backward(inputs: IntArray, outputs: IntArray, fixed: tuple[int, ...]) -> tuple[int, ...] | None:
    """Slots that cannot be dropped without new contradictions; None if rows contradict each other anyway."""
    kept = list(range(inputs.shape[1]))
    if _contradictions(inputs, outputs) > 0.01 * len(outputs):
        return None
    while True:
        free = [slot for slot in kept if slot not in fixed]
        found = {slot: _contradictions(inputs[:, [s for s in kept if s != slot]], outputs) for slot in free}
        # Of the slots that can be dropped, the one with most values goes, since it splits contexts most.
        gone = [slot for slot, count in found.items() if count <= 0.01 * len(outputs)]
        if not gone or len(kept) <= 2:
            return tuple(kept)
        kept.remove(max(gone, key=lambda slot: len(np.unique(inputs[:, slot]))))


def _contradictions(inputs: IntArray, outputs: IntArray) -> int:
    """Rows whose output is not the most frequent one of their input."""
    groups = _groups(inputs)
    kinds = int(outputs.max()) + 1
    cells, counts = np.unique(groups * kinds + outputs, return_counts=True)
    most = np.zeros(int(groups.max()) + 1, dtype=np.int64)
    np.maximum.at(most, cells // kinds, counts)
    return len(outputs) - int(most.sum())


def _groups(inputs: IntArray) -> IntArray:
    """Number of the distinct input of each row."""
    if inputs.shape[1] == 0:
        return np.zeros(len(inputs), dtype=np.int64)
    return np.unique(inputs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
