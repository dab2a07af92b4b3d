"""Compositions as rows of text, for any model with a tokenizer and for `quince probe`."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field

from ..options import Count, Positive, provides
from ..rows import Row, RowError
from . import FamilyName, TablesName
from .generate import CompositionError, Task, generate
from .sequences import vocabulary


@provides("accepted", "slots")
def rows(
    split: Literal["train", "validation", "test"] = "train",
    size: int | None = None,
    seed: int = 0,
    family: FamilyName = "two_hop",
    values: Annotated[int, Field(ge=2)] = 20,
    compositions: Positive = 3000,
    tables: TablesName = "random",
    held_out: Count = 0,
) -> list[Row]:
    """Generated compositions of tables (arXiv 2505.20278), with held-out rows by which primitives training used.

    The prompt is the input, the accepted answer the last table's value.

    Columns: `accepted` (JSON list of one string), `slots` (JSON object of slot to value), `type` (absent in training).

    Args:
        split: `train`, `validation`, or `test` for the held-out rows of a type.
        size: Most rows.
        seed: Of tables and draws; splits of the same seed belong to one data set.
        family: A name in `families.FAMILIES`.
        values: Values a slot can take.
        compositions: Training rows of the data set.
        tables: A name in `lookup_tables.KINDS`.
        held_out: Held-out type of the split `test`.

    Raises:
        RowError: The data set cannot be made, or it has no such split.
    """
    try:
        data = generate(Task(family=family, values=values, rows=compositions, tables=tables, seed=seed))
    except CompositionError as error:
        raise RowError(f"compositional · {error}") from None
    found = {"train": data.train, "validation": data.validation, "test": data.test.get(held_out)}
    if (chosen := found.get(split)) is None:
        types = ", ".join(map(str, data.test))
        raise RowError(f"compositional · split · found {split!r} · train, validation, or test with a type of {types}")
    tokens = vocabulary(values, "direct")
    made = []
    for number, (given, answer) in enumerate(zip(chosen.inputs[:size].tolist(), chosen.answers.tolist(), strict=False)):
        prompt = "".join(tokens[value] for value in given)
        row: Row = {
            "id": f"compositional/{family}/{seed}/{split}/{number}",
            "task": f"compositional_{family}",
            "prompt": [{"role": "user", "content": prompt}],
            "accepted": json.dumps([tokens[answer]]),
            "slots": json.dumps({f"x{slot}": value for slot, value in enumerate(given, start=1)}),
        }
        made.append(row | ({"type": held_out} if split == "test" else {}))
    return made
