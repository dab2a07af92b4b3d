"""What a probe model gets right: by type, and by how much evidence covers a composition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from ...data.compositional.generate import Compositions, Rows
from ...data.compositional.properties import follows
from ...data.compositional.sequences import Target
from ...eval.coverage.closure import k_cutoffs
from ...eval.coverage.determined import determine
from ...eval.coverage.null_model import CLOSURE_FLOOR
from ...eval.coverage.observations import Observations, observe
from ...eval.coverage.representations import inference

MECHANISMS = ("equivalence", "property", "neither")
Counts = dict[str, dict[str, tuple[int, int]]]
LARGEST_K = 20
TRAIN_SAMPLE = 1000
"""Training rows whose accuracy is logged."""
BATCH = 2048


def answers(
    model: PreTrainedModel, inputs: NDArray[np.int64], values: int, target: Target, hops: int
) -> NDArray[np.int64]:
    """The model's greedy answer to each input, `[rows]`; with `cot`, after the bridge values that it writes itself.

    The reference scores tokens after the true bridge values; here a model has to get those right too.
    """
    written = 1 if target == "direct" else hops
    found = [np.empty(0, dtype=np.int64)]
    with inference(model):
        for start in range(0, len(inputs), BATCH):
            tokens = torch.from_numpy(inputs[start : start + BATCH]).to(model.device)
            for step in range(written):
                if target == "filler" and step < written - 1:
                    following = torch.full_like(tokens[:, :1], values)
                else:
                    following = model(input_ids=tokens).logits[:, -1].argmax(-1, keepdim=True)
                tokens = torch.cat([tokens, following], dim=1)
            found.append(tokens[:, -1].cpu().numpy())
    return np.concatenate(found)


@dataclass(frozen=True)
class Examination:
    """The rows that a model is evaluated on, with the k-cutoff of each row of type 0, `[rows]`."""

    data: Compositions
    target: Target
    cutoffs: NDArray[np.int64]

    def groups(self) -> dict[str, Rows]:
        """Rows by the name they are reported under."""
        train = self.data.train.take(slice(TRAIN_SAMPLE))
        held_out = {f"type_{kind}": rows for kind, rows in self.data.test.items()}
        return {"train": train, "validation": self.data.validation, **held_out}

    def right(self, model: PreTrainedModel) -> dict[str, NDArray[np.bool_]]:
        """For each group, which rows the model answers correctly."""
        task = self.data.task
        return {
            name: answers(model, rows.inputs, task.values, self.target, len(task.program.hops)) == rows.answers
            for name, rows in self.groups().items()
            if len(rows)
        }

    def accuracies(self, right: dict[str, NDArray[np.bool_]]) -> dict[str, float]:
        """Shares for the log: by group, and of type 0 by k-cutoff."""
        shares = {f"accuracy/{name}": float(found.mean()) for name, found in right.items()}
        by_cutoff = self.by_cutoff(right)
        return shares | {f"accuracy/type_0/k_{k}": good / rows for k, (good, rows) in by_cutoff.items()}

    def by_cutoff(self, right: dict[str, NDArray[np.bool_]]) -> dict[int, tuple[int, int]]:
        """Right answers and rows of type 0, by k-cutoff."""
        by_k = {int(k): right["type_0"][self.cutoffs == k] for k in np.unique(self.cutoffs)}
        return {k: (int(found.sum()), len(found)) for k, found in by_k.items()}

    def marginal_baseline(self) -> dict[str, float]:
        """Accuracy of the most frequent training answer given one slot, the slot that is best on training rows."""
        train, values = self.data.train, self.data.task.values
        counts = np.zeros((train.inputs.shape[1], values, values), dtype=np.int64)
        for slot, column in enumerate(train.inputs.T):
            np.add.at(counts[slot], (column, train.answers), 1)
        slot = int(counts.max(axis=2).sum(axis=1).argmax())
        guess = counts[slot].argmax(axis=1)
        return {
            name: float((guess[rows.inputs[:, slot]] == rows.answers).mean()) for name, rows in self.groups().items()
        }


def examine(data: Compositions, target: Target) -> Examination:
    """The rows to evaluate a model on, with the k-cutoffs of type 0 (k up to `LARGEST_K`)."""
    if 0 not in data.test:
        return Examination(data, target, np.empty(0, dtype=np.int64))
    return Examination(data, target, k_cutoffs(_observed(data), data.test[0].inputs, largest_k=LARGEST_K))


def _observed(data: Compositions) -> Observations:
    return observe(data.train.inputs, data.train.answers, (data.task.values,) * data.task.program.slots)


def by_mechanism(examination: Examination, right: dict[str, NDArray[np.bool_]]) -> Counts:
    """Right answers and rows of each held-out type, by the first of `MECHANISMS` that gives the answer.

    `equivalence`: training rows determine an answer with evidence of `CLOSURE_FLOOR` (determined coverage, since
    closure reaches most rows of unused primitives by chance); `property`: otherwise, if every primitive is used or
    follows from the used ones by the property of the tables. Empty for random tables, which have no property.
    """
    data = examination.data
    if data.task.tables == "random":
        return {}
    observed = _observed(data)
    found: Counts = {}
    for kind, rows in data.test.items():
        good = right[f"type_{kind}"]
        equivalent = determine(observed, rows.inputs, CLOSURE_FLOOR).labels >= 0
        by_property = ~equivalent & follows(data, rows)
        masks = (equivalent, by_property, ~equivalent & ~by_property)
        counts = [(int(good[mask].sum()), int(mask.sum())) for mask in masks]
        found[f"type_{kind}"] = dict(zip(MECHANISMS, counts, strict=True))
    return found
