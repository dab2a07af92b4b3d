"""Hidden states of a probe model: clusters by intermediate value, and interchange interventions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from ...data.compositional.generate import Rows
from ...data.compositional.sequences import to_sequences
from ...eval.coverage.interventions import Interchanger, find_donors
from ...eval.coverage.representations import gap_map, hidden_states
from .measure import Examination

ROWS = 2000
"""Most rows of each group."""


def analyse(model: PreTrainedModel, examination: Examination) -> dict[str, Any]:
    """IICG of every group of rows and interchange on type 0, as plain data; empty for a single table."""
    hops = len(examination.data.task.program.hops)
    if hops == 1:
        return {}
    groups = {name: rows for name, rows in examination.groups().items() if name != "validation"}
    found = {"iicg": {name: gaps(model, rows, examination) for name, rows in groups.items()}}
    if examination.target == "direct" and 0 in examination.data.test:
        found["interchange"] = swaps(model, examination)
    return found


def groupings(rows: Rows, examination: Examination) -> dict[str, NDArray[np.int64]]:
    """Labels to group states by: each bridge value, the answer, and bridge 1 with each slot that is used again.

    The last is for families where an input enters two tables (x2 in non-tree), for which a bridge alone is not enough;
    the slot alone is its control, since states at x2 share the token whatever they compute.
    """
    hops = examination.data.task.program.hops
    labels = {f"b{hop + 1}": rows.results[:, hop] for hop in range(len(hops) - 1)} | {"answer": rows.answers}
    again = sorted(set(hops[0]) & {argument for arguments in hops[1:] for argument in arguments})
    for slot in again:
        labels[f"x{slot + 1}"] = rows.inputs[:, slot]
        labels[f"b1, x{slot + 1}"] = np.column_stack([rows.results[:, 0], rows.inputs[:, slot]])
    return labels


def gaps(model: PreTrainedModel, rows: Rows, examination: Examination) -> dict[str, list[list[float]]]:
    """IICG by grouping, `[layers, positions]`; layer l is after l blocks."""
    rows = rows.take(slice(ROWS))
    tokens = to_sequences(rows, examination.data.task.values, examination.target).tokens
    states = hidden_states(model, tokens)
    return {
        name: gap_map(states, tokens, labels).round(4).tolist() for name, labels in groupings(rows, examination).items()
    }


def swaps(model: PreTrainedModel, examination: Examination) -> dict[str, Any]:
    """Interchange at every place on type 0, between inputs that differ in the last argument of the first table."""
    data, layers = examination.data, model.config.num_hidden_layers
    slot = data.task.program.hops[0][-1]
    rows = data.test[0].take(slice(ROWS))
    found: dict[str, Any] = {"slot": slot}
    for name, control in (("other_bridge", False), ("same_bridge", True)):
        donors = find_donors(data, rows, slot, same_bridge=control)
        if not len(donors.rows):
            continue
        swapped = Interchanger(model, donors.base, donors.donors, (donors.base_answers, donors.donor_answers))
        for layer in range(1, layers):
            for position in range(data.task.program.slots):
                swap = swapped(layer, position)
                place = f"{name}/layer_{layer}/position_{position}"
                found[place] = swap.summary()
                if not control and position == slot:
                    found[f"{place}/by_cutoff"] = swap.by_cutoff(examination.cutoffs[donors.rows])
    return found
