"""What a probe model gets right: by type, and by how strongly training rows cover a composition."""

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
from ...eval.coverage.observations import observe

MECHANISMS = ("equivalence", "property", "neither")
Counts = dict[str, dict[str, tuple[int, int]]]


def by_mechanism(examination: Examination, right: dict[str, NDArray[np.bool_]]) -> Counts:
    """Right answers and rows of each held-out type, by the first of `MECHANISMS` that gives the answer.

    `equivalence`: the training rows determine an answer with evidence of `CLOSURE_FLOOR`, by determined coverage, since
    the closure also reaches most rows of unused primitives by chance; `property`: they do not, but every primitive is
    in use or follows from those in use by the property of the tables. Nothing for random tables, which have none.
    """
    data = examination.data
    if data.task.tables == "random":
        return {}
    observed = observe(data.train.inputs, data.train.answers, (data.task.values,) * data.task.program.slots)
    found: Counts = {}
    for kind, rows in data.test.items():
        good = right[f"type_{kind}"]
        equivalent = determine(observed, rows.inputs, CLOSURE_FLOOR).labels >= 0
        by_property = ~equivalent & follows(data, rows)
        masks = (equivalent, by_property, ~equivalent & ~by_property)
        counts = [(int(good[mask].sum()), int(mask.sum())) for mask in masks]
        found[f"type_{kind}"] = dict(zip(MECHANISMS, counts, strict=True))
    return found


LARGEST_K = 20
TRAIN_SAMPLE = 1000
"""Training rows whose accuracy is followed."""
BATCH = 2048


def answers(
    model: PreTrainedModel, inputs: NDArray[np.int64], values: int, target: Target, hops: int
) -> NDArray[np.int64]:
    """The answer the model writes to each input, `[rows]`: greedy, after bridge values of its own in `cot`.

    The reference counts tokens after the true bridge values; a model that uses its own has to get those right too.
    """
    written = 1 if target == "direct" else hops
    was_training = model.training
    model.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(inputs), BATCH):
            tokens = torch.from_numpy(inputs[start : start + BATCH]).to(model.device)
            for step in range(written):
                if target == "filler" and step < written - 1:
                    following = torch.full_like(tokens[:, :1], values)
                else:
                    following = model(input_ids=tokens).logits[:, -1].argmax(-1, keepdim=True)
                tokens = torch.cat([tokens, following], dim=1)
            found.append(tokens[:, -1].cpu().numpy())
    model.train(was_training)
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Examination:
    """The rows a model is followed on.

    Attributes:
        data: The data set.
        target: What the model writes.
        cutoffs: k-cutoff of each row of type 0, `[rows]`.
    """

    data: Compositions
    target: Target
    cutoffs: NDArray[np.int64]

    def groups(self) -> dict[str, Rows]:
        """Rows by the name they are reported under."""
        train = self.data.train.take(slice(TRAIN_SAMPLE))
        held_out = {f"type_{kind}": rows for kind, rows in self.data.test.items()}
        return {"train": train, "validation": self.data.validation, **held_out}

    def right(self, model: PreTrainedModel) -> dict[str, NDArray[np.bool_]]:
        """For each group, which rows the model answers rightly."""
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
        found = right.get("type_0", np.empty(0, dtype=bool))
        return {
            int(k): (int(found[self.cutoffs == k].sum()), int((self.cutoffs == k).sum()))
            for k in np.unique(self.cutoffs)
        }

    def marginal_baseline(self) -> dict[str, float]:
        """Accuracy of the most frequent training answer given one slot, the slot that is best on training rows."""
        train = self.data.train
        values = self.data.task.values
        best, guesses = -1, (0, np.empty(0, dtype=np.int64))
        for slot in range(train.inputs.shape[1]):
            counts = np.zeros((values, values), dtype=np.int64)
            np.add.at(counts, (train.inputs[:, slot], train.answers), 1)
            if (hits := int(counts.max(axis=1).sum())) > best:
                best, guesses = hits, (slot, counts.argmax(axis=1))
        slot, guess = guesses
        return {
            name: float((guess[rows.inputs[:, slot]] == rows.answers).mean()) for name, rows in self.groups().items()
        }


def examine(data: Compositions, target: Target) -> Examination:
    """The rows to follow a model on, with the k-cutoffs of type 0 (k up to `LARGEST_K`)."""
    held_out = data.test.get(0)
    if held_out is None:
        return Examination(data, target, np.empty(0, dtype=np.int64))
    sizes = (data.task.values,) * data.task.program.slots
    observed = observe(data.train.inputs, data.train.answers, sizes)
    return Examination(data, target, k_cutoffs(observed, held_out.inputs, largest_k=LARGEST_K))
