"""Rows as tables of codes: rows come from a file or a data source, slots and outputs are read by a schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from ....data.files import read_records
from ....data.rows import Row
from ....data.sources import DEMONSTRATIONS, SOURCES, load_demonstrations, load_rows
from .slot_schema import ProbeError, Schema
from .values import at, output_value, slot_value

READERS = {
    "plain": "quince.eval.probe.read.slot_rows:plain",
    "function_calls": "quince.eval.probe.read.read_calls:record",
    "bfcl": "quince.eval.probe.read.read_calls:benchmark_record",
    "sql": "quince.eval.probe.read.read_sql:record",
}
"""Views of a row that paths start from, imported on use."""

NO_OUTPUT, UNKNOWN = -1, -2
"""In place of an output's code: the row lacks an optional output; the request's gold is not known."""


@dataclass(frozen=True)
class Placed:
    """A row and where it came from, for messages."""

    where: str
    row: Row


@dataclass(frozen=True)
class Codes:
    """The values of each slot and of each output, by code."""

    slots: tuple[tuple[str, ...], ...]
    outputs: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Table:
    """Rows of one data set; tables that are read together share their codes.

    Attributes:
        codes: Values by code.
        inputs: [rows, slots] codes.
        outputs: [rows, outputs] codes, `NO_OUTPUT` or `UNKNOWN`.
    """

    schema: Schema
    codes: Codes
    placed: tuple[Placed, ...]
    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.placed)

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the rows, or their file and line where they have none."""
        return [str(item.row.get("id") or item.where) for item in self.placed]

    def take(self, rows: Sequence[int] | NDArray[Any]) -> Table:
        """Some of the rows."""
        chosen = np.asarray(rows, dtype=np.int64)
        placed, texts = tuple(self.placed[i] for i in chosen), tuple(self.texts[i] for i in chosen)
        return Table(self.schema, self.codes, placed, self.inputs[chosen], self.outputs[chosen], texts)

    def named(self, values: Sequence[int]) -> dict[str, str]:
        """Slot values of one input by name."""
        pairs = zip(self.schema.slots, self.codes.slots, values, strict=True)
        return {slot.name: known[value] for slot, known, value in pairs}


def plain(row: Row) -> Row:
    """The row itself."""
    return row


def view_of(schema: Schema) -> Callable[[Row], Mapping[str, Any]]:
    """The view of a row that the schema's paths start from."""
    module, _, name = READERS[schema.reader].partition(":")
    view: Callable[[Row], Mapping[str, Any]] = getattr(import_module(module), name)
    return view


def load(source: str) -> list[Placed]:
    """Rows of a file, or of a source of the project.

    Args:
        source: A file in any format that sources read; `kind:option=value,...` (`bfcl:split=live`); or
            `demonstrations/kind:option=value,...` for conversations.

    Raises:
        ProbeError: There is no such file or source, or it is empty.
        RowError: The rows are malformed.
    """
    if Path(source).is_file():
        placed = [Placed(f"{source}:{number}", row) for number, row in read_records(Path(source))]
    else:
        placed = _from_source(source)
    if not placed:
        raise ProbeError(f"{source} · found no rows · give at least one")
    return placed


def _from_source(source: str) -> list[Placed]:
    name, _, text = source.partition(":")
    kind = name.removeprefix("demonstrations/")
    registry, read = (SOURCES, load_rows) if kind == name else (DEMONSTRATIONS, load_demonstrations)
    if kind not in registry:
        fix = f"give a file, or KIND:OPTION=VALUE,... with KIND one of {', '.join(registry)}"
        raise ProbeError(f"{source} · found no such file or source · {fix}")
    parts = [part.partition("=") for part in text.split(",") if part]
    for key, equals, _ in parts:
        if not equals:
            raise ProbeError(f"{source} · found {key!r} · give option=value, separated by commas")
    options = {key.strip(): yaml.safe_load(value) for key, _, value in parts}
    return [Placed(f"{source}[{place}]", row) for place, row in enumerate(read(kind, **options))]


def read_tables(
    schema: Schema, *data: Sequence[Placed], file: str = "the schema", requests: int | None = None
) -> list[Table]:
    """Slots and outputs of several data sets, with one code for one value.

    The requests' data set, by index, may lack outputs.

    Raises:
        ProbeError: For the first value that is missing or does not fit, with file, row, field and fix.
    """
    view = view_of(schema)
    read = [[_read(schema, view, item, file, place == requests) for item in rows] for place, rows in enumerate(data)]
    codes = _codes(schema, [values for part in read for values in part])
    return [_table(schema, codes, rows, part) for rows, part in zip(data, read, strict=True)]


class _Values(NamedTuple):
    """What was read of a row: texts, or `NO_OUTPUT` or `UNKNOWN` in place of an output."""

    slots: list[str]
    outputs: list[str | int]
    text: str


def _read(schema: Schema, view: Any, item: Placed, file: str, request: bool) -> _Values:
    try:
        record = view(item.row)
    except ValueError as error:
        fix = f"choose another reader than {schema.reader} in {file}, or fix the row"
        raise ProbeError(f"{item.where} · row · {error} · {fix}") from None
    slots = [slot_value(slot, record, item.where, file) for slot in schema.slots]
    outputs: list[str | int] = []
    for output in schema.outputs:
        if request and not output.optional and at(record, output.path) is None:
            outputs.append(UNKNOWN)
        else:
            value = output_value(output, record, item.where, file)
            outputs.append(NO_OUTPUT if value is None else value)
    text = at(record, schema.text) if schema.text else user_text(item.row)
    return _Values(slots, outputs, str(text or ""))


def _codes(schema: Schema, read: Sequence[_Values]) -> Codes:
    """Codes in the order of the values' texts.

    The engine breaks ties of equal evidence by code. The order of two values must not depend on what else is read, or
    verdicts would depend on the order of rows and on other requests.
    """
    slots = [{values.slots[place] for values in read} for place in range(len(schema.slots))]
    found = [[values.outputs[place] for values in read] for place in range(len(schema.outputs))]
    outputs = [{value for value in values if isinstance(value, str)} for values in found]
    return Codes(tuple(tuple(sorted(part)) for part in slots), tuple(tuple(sorted(part)) for part in outputs))


def _table(schema: Schema, codes: Codes, rows: Sequence[Placed], read: Sequence[_Values]) -> Table:
    def coded(known: Sequence[Sequence[str]], values: Sequence[Sequence[str | int]]) -> NDArray[np.int64]:
        numbers = [{value: code for code, value in enumerate(part)} for part in known]
        table = [
            [value if isinstance(value, int) else own[value] for own, value in zip(numbers, line, strict=True)]
            for line in values
        ]
        return np.array(table, dtype=np.int64).reshape(len(values), len(known))

    inputs, outputs = coded(codes.slots, [v.slots for v in read]), coded(codes.outputs, [v.outputs for v in read])
    return Table(schema, codes, tuple(rows), inputs, outputs, tuple(values.text for values in read))


def user_text(row: Row) -> str:
    """What the user said, all turns of a prompt or of a conversation."""
    messages = row.get("prompt") or row.get("messages") or ()
    if isinstance(messages, str):
        return messages
    return "\n".join(m["content"] for m in messages if m.get("role") == "user" and isinstance(m.get("content"), str))
