"""The `data:` section: rows from a source of `quince.data.sources`, or from your own code."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ...data.files import jsonl, source_file
from ...data.options import Positive, PositiveFloat
from ...data.rows import Row, RowError, check_rows
from ...data.sources import DEMONSTRATIONS, SOURCES, load_demonstrations, load_rows
from ...data.user_code import described, place_of
from .language.errors import Conflict
from .language.kinds import Kinds, derived, literal_values, parameters, summary
from .language.plugins import load_plugin, plugin_problem
from .language.section import Options, Section


class Source(Section):
    """What every source has.

    `columns` are the columns its rows carry for rewards, beside `id`, `task` and `prompt`; None where only the rows
    themselves tell.
    """

    columns: ClassVar[tuple[str, ...] | None] = None

    kind: str
    split: str = "train"
    size: Positive | None = None
    """Rows to take; null takes all there are (generated tasks: their own default)."""
    seed: int = 0
    """Chooses and orders the rows."""
    share: PositiveFloat = 1.0
    """Weight of this source when several are mixed."""

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the source's function."""
        return self.model_dump(exclude={"kind", "share"}, exclude_none=True)

    def load(self, **changes: Any) -> list[Row]:
        """Its rows, checked; `changes` replace arguments."""
        return load_rows(self.kind, **self.arguments() | changes)

    def conflicts(self, field: str) -> Iterator[Conflict]:
        """What is wrong with it although each value is right; `field` is where it stands."""
        path, root = getattr(self, "path", None), getattr(self, "root", None)
        if path is None and root is None:
            return
        try:
            file = source_file(path or "", self.split, root)
        except RowError as error:
            yield Conflict((f"{field}.root",), str(error), "an existing folder")
            return
        if not file.exists():
            allowed = "an existing file; a relative path starts at `root`, else at QUINCE_DATA, else here"
            yield Conflict((f"{field}.path",), f"no file at {file}", allowed, missing_file=True)


class ConversationSource(Source):
    """What every source of whole conversations has."""

    def load(self, **changes: Any) -> list[Row]:
        """Its rows, checked; `changes` replace arguments."""
        return load_demonstrations(self.kind, **self.arguments() | changes)


class CustomSource(Source):
    """Rows from your own installed code."""

    kind: Literal["custom"]
    path: str
    """`package.module:function`, called as `function(split, size, seed, **options)`."""
    options: Options = Field(default_factory=dict)

    def load(self, **changes: Any) -> list[Row]:
        """The rows of your function, checked."""
        values = {"split": self.split, "size": self.size, "seed": self.seed} | changes
        function = load_plugin(self.path)
        try:
            rows = function(values["split"], values["size"], values["seed"], **self.options)
        except RowError:
            raise
        except Exception as error:
            raise RowError(f"{described(error)} · in the data source {self.path}") from error
        return check_rows(rows, self.path)

    def conflicts(self, field: str) -> Iterator[Conflict]:
        """Code that is not there, or that cannot be called as sources are."""
        if problem := plugin_problem(self.path):
            yield Conflict((f"{field}.path",), problem, "`package.module:function` from installed code")
            return
        function = load_plugin(self.path)
        try:
            inspect.signature(function).bind(self.split, self.size, self.seed, **self.options)
        except TypeError as error:
            where = (f"{field}.path", f"{field}.options")
            yield Conflict(where, f"{place_of(function)}: {error}", "`function(split, size, seed, **options)`")


def source_schema(kind: str, function: Any, base: type[Source] = Source) -> type[Source]:
    """The schema of a source: the signature of its function, with what `provides` adds."""
    options = parameters(function)
    annotation, default = options["split"]
    splits = tuple(getattr(function, "splits", ())) or literal_values(annotation)
    if default is ...:
        default = "train" if "train" in splits or not splits else splits[0]
    options["split"] = (Literal[splits] if splits else str, default)
    options["size"] = (Positive | None, options["size"][1])
    doc = function.__doc__ if inspect.isroutine(function) else type(function).__call__.__doc__
    about = getattr(function, "about", "") or summary(doc)
    schema: type[Source] = derived(base, kind, about, options, doc)
    schema.columns = getattr(function, "provides", None)
    return schema


def conversation_schema(kind: str, function: Any) -> type[Source]:
    """The schema of a source of whole conversations."""
    return source_schema(kind, function, ConversationSource)


class HeldOut(Section):
    """Rows that are measured while training and never trained on."""

    every: Positive = 50
    """Optimizer steps between two measurements."""
    keep_best: bool = True
    """Keep the model of the best measurement in the folder `best` of the run; `model` is that of the last step."""


def numbered(field: str, sources: list[Source]) -> dict[str, Source]:
    """Sources by the field that each stands in."""
    return {f"{field}.{index}": source for index, source in enumerate(sources)}


def source_conflicts(sources: Mapping[str, Source]) -> Iterator[Conflict]:
    """What is wrong with each source by itself."""
    for field, source in sources.items():
        yield from source.conflicts(field)


_OWN: dict[str, type[Section]] = {"jsonl": source_schema("jsonl", jsonl), "custom": CustomSource}

DataSource = Annotated[Source, Kinds(source_schema, SOURCES, {"custom": CustomSource})]
"""Rows with a prompt, for RL and evaluation."""
SftSource = Annotated[Source, Kinds(conversation_schema, DEMONSTRATIONS, _OWN)]
"""Rows with whole conversations."""
DpoSource = Annotated[Source, Kinds(conversation_schema, DEMONSTRATIONS, _OWN, "function_calls")]
"""Preferences; generated ones are right answers beside their labelled corruptions."""
PretrainSource = Annotated[
    Source,
    Kinds(conversation_schema, DEMONSTRATIONS, {}, "sql_idioms", "strategies", "countdown", "everyday", "passages"),
]
"""Conversations of a generated task as a base model writes them, right and wrong."""
