"""The schema of a probe: which parts of a row are slots, which are outputs, and how their values compare.

A schema is a YAML file; the shipped ones are in `schemas/`. Every problem of a file is reported at once, each as
*file:line · field · found · fix*.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

FOLDER = Path(__file__).with_name("schemas")
Kind = Literal["categorical", "span", "bucket", "set"]
Comparator = Literal["exact", "set", "number"]
Normaliser = Literal["lower", "strip", "words", "length", "type", "present", "first", "last", "count"]
Reader = Literal["plain", "function_calls", "bfcl", "sql"]


class ProbeError(ValueError):
    """Data or a schema that cannot be analysed as they are; the message says where and how to put it right."""


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, protected_namespaces=()
    )


class Slot(_Part):
    """One thing that a request varies in."""

    name: str = Field(min_length=1)
    path: str = Field(min_length=1)
    """Where the value is, keys with dots between: `gold.calls.0.name`; JSON text is read on the way, `*` takes all."""
    kind: Kind = "categorical"
    """`categorical`: the value itself; `span`: free text, of which only the shape counts; `bucket`: a number or the
    length of a list, by `edges`; `set`: a list whose order does not count."""
    normaliser: list[Normaliser] = []
    """Applied to the value, to each one of a list, in this order."""
    edges: list[float] = []
    """Of a bucket: where a new one begins, ascending."""
    absent: bool = False
    """Whether a row may lack the value; that is then a value of its own."""
    always: bool = False
    """Counts for every output, also where the output does not depend on it: the model has to read it all the same."""

    @model_validator(mode="after")
    def _fits(self) -> Slot:
        if (self.kind == "bucket") != bool(self.edges):
            raise ValueError(f"kind {self.kind} with edges {self.edges} · give edges to a bucket, and only to a bucket")
        if self.edges != sorted(set(self.edges)):
            raise ValueError(f"edges {self.edges} · give them ascending, each once")
        return self


class Output(_Part):
    """One component of the right answer, analysed by itself."""

    name: str = Field(min_length=1)
    path: str = Field(min_length=1)
    comparator: Comparator = "exact"
    """When two values are the same: `exact`; `set`: lists without their order; `number`: as numbers."""
    tolerance: float = Field(0.0, ge=0)
    """Numbers are the same that round to the same multiple of it; 0: that are equal. Being within a distance of each
    other would not do, since it does not carry over from one pair to the next."""
    optional: bool = False
    """Whether a row may lack it; such a row says nothing about this component."""
    relevant: list[str] | None = None
    """Slots that it depends on; null: found in the training rows."""


class Schema(_Part):
    """Slots and outputs of a kind of row."""

    name: str
    reader: Reader = "plain"
    """What paths start from: the row itself, or a reader's view of it (its fields are listed in `docs/coverage.md`)."""
    text: str | None = None
    """Path of the text that n-gram overlap is measured on; null: what the user says."""
    slots: Annotated[list[Slot], Field(min_length=2)]
    outputs: Annotated[list[Output], Field(min_length=1)]
    max_size: int = Field(2, ge=1)
    """Largest fragment: how many slots are substituted at once."""
    fragments: list[list[str]] = []
    """Larger fragments to look at as well. A request with values of one that no row has is a new primitive."""

    @model_validator(mode="after")
    def _names_fit(self) -> Schema:
        for kind, parts in (("slots", self.slots), ("outputs", self.outputs)):
            twice = [name for name, count in Counter(part.name for part in parts).items() if count > 1]
            if twice:
                raise ValueError(f"{kind} · the name {twice[0]!r} comes twice · give each its own")
        names = [slot.name for slot in self.slots]
        for where, used in self._uses():
            for name in used:
                if name not in names:
                    raise ValueError(f"{where} · found {name!r} · one of {', '.join(names)}{_hint(name, names)}")
        return self

    def _uses(self) -> Iterable[tuple[str, Sequence[str]]]:
        yield from ((f"outputs.{output.name}.relevant", output.relevant or ()) for output in self.outputs)
        yield from ((f"fragments.{place}", fragment) for place, fragment in enumerate(self.fragments))

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
        raise ProbeError(f"{where} · not YAML: {getattr(error, 'problem', error)} · mend this line") from None
    if not isinstance(data, dict):
        raise ProbeError(f"{path} · found no mapping · give name, slots and outputs")
    try:
        return Schema(**data)
    except ValidationError as error:
        problems = [_problem(path, node, details) for details in error.errors()]
        raise ProbeError("\n".join(problems)) from None
    except TypeError as error:
        raise ProbeError(f"{path} · {error} · give names of fields as keys") from None


def _problem(path: Path, node: yaml.Node | None, details: Any) -> str:
    place, message = details["loc"], details["msg"].removeprefix("Value error, ")
    where, field = f"{path}:{_line(node, place)}", _dotted(place) or "schema"
    match details["type"]:
        case "extra_forbidden":
            known = list(_model(place).model_fields)
            return f"{where} · {field} · no such field · one of {', '.join(known)}{_hint(str(place[-1]), known)}"
        case "missing":
            return f"{where} · {field} · found nothing · give this field"
        case "literal_error":
            allowed = _allowed(str(place[-1] if not isinstance(place[-1], int) else place[-2]))
            found = details["input"]
            return f"{where} · {field} · found {found!r} · one of {', '.join(allowed)}{_hint(str(found), allowed)}"
        case "value_error":
            return f"{where} · {field} · {message}"
    return f"{where} · {field} · found {details['input']!r} · {message[:1].lower()}{message[1:]}"


def _model(place: Sequence[str | int]) -> type[BaseModel]:
    inner: dict[str, type[BaseModel]] = {"slots": Slot, "outputs": Output}
    return inner.get(str(place[0]), Schema) if len(place) > 1 else Schema


def _allowed(field: str) -> tuple[str, ...]:
    literal = {"kind": Kind, "comparator": Comparator, "normaliser": Normaliser, "reader": Reader}[field]
    return get_args(literal)


def _line(node: yaml.Node | None, place: Sequence[str | int]) -> int:
    """Line of the deepest part of a place that the file has."""
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
