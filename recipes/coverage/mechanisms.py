"""What could have told a model the answer to a held-out row: equivalent fragments, a property, or neither.

The taxonomy of arXiv 2505.20278: what rests on structure ends where equivalence does; a property of the tables, or an
operator shared between places, may reach further.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...data.compositional.properties import follows
from ...eval.coverage.determined import determine
from ...eval.coverage.null_model import CLOSURE_FLOOR
from ...eval.coverage.observations import observe
from .measure import Examination

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
