"""The schema of a probe: which parts of a row are slots, which are outputs, and how their values compare.

A schema is a YAML file; the shipped ones are in `schemas/`. Every problem of a file is reported at once, each as
*file:line · field · found · fix*.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

FOLDER = Path(__file__).with_name("schemas")
Kind = Literal["categorical", "span", "bucket", "set"]
Comparator = Literal["exact", "set", "number"]
Normaliser = Literal["lower", "strip", "words", "length", "type", "present", "first", "last", "count"]
Reader = Literal["plain", "function_calls", "bfcl", "sql"]


class ProbeError(ValueError):
    """Data or a schema that cannot be analysed; the message says where and how to fix it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Slot(_Part):
    """One part of a request that varies."""

    name: str = Field(min_length=1)
    path: str = Field(min_length=1)
    """Where the value is, keys joined by dots: `gold.calls.0.name`; JSON text is parsed on the way; `*`: all items."""
    kind: Kind = "categorical"
    """`categorical`: the value itself; `span`: free text, reduced to its shape; `bucket`: a number or the length of a
    list, by `edges`; `set`: a list regardless of order."""
    normaliser: list[Normaliser] = []
    """Applied in this order to the value, or to each item of a list."""
    edges: list[float] = []
    """Lower edges of the buckets but the first, ascending."""
    absent: bool = False
    """Whether a row may lack the value; a missing value is then a value of its own."""
    always: bool = False
    """Relevant to every output, even if the output does not depend on it, since the model has to read it."""

    @model_validator(mode="after")
    def _fits(self) -> Slot:
        if (self.kind == "bucket") != bool(self.edges):
            raise ValueError(f"kind {self.kind} with edges {self.edges} · give edges to a bucket, and only to a bucket")
        if self.edges != sorted(set(self.edges)):
            raise ValueError(f"edges {self.edges} · give them ascending, each once")
        return self


class Output(_Part):
    """One part of the right answer, analysed separately."""

    name: str = Field(min_length=1)
    path: str = Field(min_length=1)
    comparator: Comparator = "exact"
    """When two values are the same: `exact`; `set`: lists without their order; `number`: as numbers."""
    tolerance: float = Field(0.0, ge=0)
    """Numbers are the same if they round to the same multiple of it; with 0, if they are equal. (Distance between two
    numbers would not be transitive.)"""
    optional: bool = False
    """Whether a row may lack it; such a row is no evidence for this output."""
    relevant: list[str] | None = None
    """Slots that it depends on; null: determined from the training rows."""


class Schema(_Part):
    """Slots and outputs of a kind of row."""

    name: str
    reader: Reader = "plain"
    """What paths start from: the row itself, or a reader's view of it (fields are listed in `docs/coverage.md`)."""
    text: str | None = None
    """Path of the text for n-gram overlap; null: what the user says."""
    slots: Annotated[list[Slot], Field(min_length=2)]
    outputs: Annotated[list[Output], Field(min_length=1)]
    max_size: int = Field(2, ge=1)
    """Most slots that are substituted at once."""
    fragments: list[list[str]] = []
    """Larger fragments to consider too. A request whose values of one occur in no row has a new primitive."""

    @model_validator(mode="after")
    def _names_fit(self) -> Schema:
        for kind, parts in (("slots", self.slots), ("outputs", self.outputs)):
            twice = [name for name, count in Counter(part.name for part in parts).items() if count > 1]
            if twice:
                raise ValueError(f"{kind} · the name {twice[0]!r} comes twice · give each its own")
        names = [slot.name for slot in self.slots]
        uses = [(f"outputs.{output.name}.relevant", name) for output in self.outputs for name in output.relevant or ()]
        uses += [(f"fragments.{place}", name) for place, fragment in enumerate(self.fragments) for name in fragment]
        for where, name in uses:
            if name not in names:
                raise ValueError(f"{where} · found {name!r} · one of {', '.join(names)}{_hint(name, names)}")
        return self

    def position(self, name: str) -> int:
        """Index of a slot."""
        return [slot.name for slot in self.slots].index(name)


def shipped() -> list[str]:
    """Names of the schemas that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def schema_path(name: str) -> Path:
    """The file of a schema: a path, or the name of a shipped one.

    Raises:
        ProbeError: There is no such file.
    """
    for path in (Path(name), FOLDER / f"{name}.yaml"):
        if path.is_file():
            return path
    known = shipped()
    raise ProbeError(f"schema · found no {name!r} · a YAML file, or one of {', '.join(known)}{_hint(name, known)}")


def load_schema(name: str) -> Schema:
    """Read a schema.

    Raises:
        ProbeError: For all problems of the file at once.
    """
    path = schema_path(name)
    try:
        text = path.read_text(encoding="utf-8")
        node, data = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ProbeError(f"{where} · not YAML: {getattr(error, 'problem', error)} · fix this line") from None
    if not isinstance(data, dict):
        raise ProbeError(f"{path} · found no mapping · give name, slots and outputs")
    try:
        return Schema(**data)
    except ValidationError as error:
        raise ProbeError("\n".join(_problem(path, node, details) for details in error.errors())) from None
    except TypeError as error:
        raise ProbeError(f"{path} · {error} · give names of fields as keys") from None


def _problem(path: Path, node: yaml.Node | None, details: Any) -> str:
    place, message = details["loc"], details["msg"].removeprefix("Value error, ")
    where, field = f"{path}:{_line(node, place)}", _dotted(place) or "schema"
    match details["type"]:
        case "extra_forbidden":
            inner: dict[str | int, type[BaseModel]] = {"slots": Slot, "outputs": Output}
            known = list((inner.get(place[0], Schema) if len(place) > 1 else Schema).model_fields)
            return f"{where} · {field} · no such field · one of {', '.join(known)}{_hint(str(place[-1]), known)}"
        case "missing":
            return f"{where} · {field} · found nothing · give this field"
        case "literal_error":
            allowed = re.findall(r"'(\w+)'", details["ctx"]["expected"])
            found = details["input"]
            return f"{where} · {field} · found {found!r} · one of {', '.join(allowed)}{_hint(str(found), allowed)}"
        case "value_error":
            return f"{where} · {field} · {message}"
    return f"{where} · {field} · found {details['input']!r} · {message[:1].lower()}{message[1:]}"


def _line(node: yaml.Node | None, place: Sequence[str | int]) -> int:
    """Line of the deepest part of a location that the file contains."""
    for key in place:
        if isinstance(node, yaml.MappingNode):
            pairs = {inner.value: (inner, value) for inner, value in node.value}
            if key not in pairs:
                break
            node = pairs[key][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
    return node.start_mark.line + 1 if node else 1


def _dotted(place: Sequence[str | int]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).lstrip(".")


def _hint(found: str, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(found, list(allowed), n=1)
    return f" · did you mean `{close[0]}`?" if close else ""
