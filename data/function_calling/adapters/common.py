"""What the readers of public function-calling sets share: where a set is, how its rows are made and checked.

A reader turns one record into one row: ``tools``, ``gold`` and the ``arguments`` of a call are JSON texts, so that
nothing nested passes through a columnar store. The whole file is converted, and so checked, before rows are drawn from
it. A record that breaks the set's layout stops the run with one message, unless ``skip_malformed`` asks to leave such
records out.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ... import files, hub
from ...options import provides
from ...rows import Row, RowError
from ..check.schema import check_tool, function_of, without_nulls
from ..wire.calls import Call, dump

Record = Mapping[str, Any]
Convert = Callable[[Record, str], Row]
Source = Callable[..., list[Row]]


@dataclass(frozen=True)
class Place:
    """Where a set is.

    Attributes:
        splits: Split names, each with the file stems that may hold it below a local folder.
        repo: Hub repository; None if the set is in local files only.
    """

    kind: str
    splits: Mapping[str, tuple[str, ...]]
    repo: str | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    hub_splits: Mapping[str, str] = field(default_factory=dict)

    def records(
        self, split: str, *, root: str | None = None, path: str | None = None, revision: str | None = None
    ) -> list[tuple[str, dict[str, Any]]]:
        """Records of a split, each with its place for messages; arguments as those of ``training_source``."""
        if split not in self.splits:
            raise RowError(f"data · {self.kind} · split · found {split!r} · one of {', '.join(self.splits)}")
        folder = files.data_root(root)
        if path is not None:
            file = (folder or Path()) / path.replace("{split}", split)
            if not file.is_file():
                raise RowError(f"data · {self.kind} · path · found no file at {file} · name an existing file")
            return _records(file)
        stems = self.splits[split]
        if folder is not None:
            return _records(files.find_file(folder, stems, f"data · {self.kind}[{split}]"))
        otherwise = f"name a file by path, or a folder by root or {files.ROOT_VARIABLE}"
        if self.repo is None:
            raise RowError(f"data · {self.kind}[{split}] · found no folder · {otherwise}: {files.wanted(stems)}")
        loaded = hub.load_records(
            self.repo,
            config=self.config.get(split),
            split=self.hub_splits.get(split, split),
            revision=revision,
            otherwise=f"or {otherwise}",
        )
        return [(f"{self.repo}[{split}]:{number}", without_nulls(record)) for number, record in loaded]


def _records(file: Path) -> list[tuple[str, dict[str, Any]]]:
    # A columnar file has every key of every record; a null in it is most likely padding.
    clean = without_nulls if file.suffix == ".parquet" else dict
    return [(f"{file}:{number}", clean(record)) for number, record in files.read_records(file)]


def convert(
    kind: str,
    split: str,
    records: Iterable[tuple[str, Record]],
    to_row: Convert,
    *,
    size: int | None,
    seed: int,
    skip_malformed: bool = False,
) -> list[Row]:
    """Rows of the records: all are converted, then ``size`` are drawn with ``seed``.

    Raises:
        RowError: For the first malformed record, or if more rows are asked for than there are.
    """
    rows: list[Row] = []
    problems: list[str] = []
    for where, record in records:
        try:
            row = to_row(record, where)
        except RowError as error:
            if not skip_malformed:
                raise
            problems.append(str(error))
            continue
        rows.append({"id": f"{kind}/{split}/{where.rsplit(':', 1)[-1]}", "task": "function_call", **row})
    if problems:
        warnings.warn(f"{kind}[{split}]: {len(problems)} malformed records left out, first {problems[0]}", stacklevel=3)
    return files.take(rows, size, seed, f"data · {kind}[{split}]")


def training_source(place: Place, to_row: Convert, about: str, *columns: str) -> Source:
    """The source function of a public set to train on."""

    @provides(*columns, splits=place.splits, about=about)
    def rows(
        split: str,
        size: int | None = None,
        seed: int = 0,
        *,
        path: str | None = None,
        root: str | None = None,
        revision: str | None = None,
        skip_malformed: bool = False,
    ) -> list[Row]:
        """Rows of the set.

        Args:
            split: One of the set's splits.
            size: Number of rows, drawn with ``seed``; default all.
            seed: Seed of the draw.
            path: File to read instead of the set's usual ones, ``{split}`` in it stands for the split; a relative path
                starts at ``root``, else at ``QUINCE_DATA``.
            root: Local folder to read instead of the Hub; default the one that ``QUINCE_DATA`` names.
            revision: Commit on the Hub.
            skip_malformed: Leave out malformed records, with a warning, instead of stopping.

        Raises:
            RowError: If the split is unknown, its records are not found or one is malformed.
        """
        records = place.records(split, root=root, path=path, revision=revision)
        return convert(place.kind, split, records, to_row, size=size, seed=seed, skip_malformed=skip_malformed)

    return rows


def evaluation_source(place: Place, to_row: Convert, reason: str, about: str) -> Source:
    """The source function of a public set for evaluation only; ``reason`` says why in messages."""

    @provides("gold", splits=place.splits, about=about)
    def rows(
        split: str,
        size: int | None = None,
        seed: int = 0,
        *,
        path: str | None = None,
        root: str | None = None,
        revision: str | None = None,
    ) -> list[Row]:
        """Rows of the set; a training split is refused.

        Args:
            split: One of the set's splits.
            size: Number of rows, drawn with ``seed``; default all.
            seed: Seed of the draw.
            path: File to read instead of the set's usual one; relative to ``root``, else to ``QUINCE_DATA``.
            root: Local folder to read instead of the Hub.
            revision: Commit on the Hub.
        """
        no_training(place.kind, split, reason)
        records = place.records(split, root=root, path=path, revision=revision)
        return convert(place.kind, split, records, to_row, size=size, seed=seed)

    return rows


def file_source(kind: str, to_row: Convert, about: str) -> Source:
    """The source function of a layout that a user's own files may have."""

    @provides(about=about)
    def rows(
        split: str = "train",
        size: int | None = None,
        seed: int = 0,
        *,
        path: str,
        root: str | None = None,
        skip_malformed: bool = False,
    ) -> list[Row]:
        """Rows of a file.

        Args:
            split: Takes the place of ``{split}`` in ``path``, otherwise it is only a label.
            size: Number of rows, drawn with ``seed``; default all.
            seed: Seed of the draw.
            path: The file; a relative path starts at ``root``, else at ``QUINCE_DATA``.
            root: Folder of a relative path.
            skip_malformed: Leave out malformed records, with a warning, instead of stopping at the first.
        """
        records = Place(kind, {split: ()}).records(split, root=root, path=path)
        return convert(kind, split, records, to_row, size=size, seed=seed, skip_malformed=skip_malformed)

    return rows


def parsed(value: Any, name: str, record: Record, where: str) -> Any:
    """A field that is JSON text in some copies of a set and already decoded in others.

    Raises:
        RowError: If the text is not JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (json.JSONDecodeError, RecursionError) as error:
        raise files.malformed(where, name, value, f"mend the JSON: {error}", record) from None


def tools_column(tools: Sequence[Any], record: Record, where: str) -> str:
    """The ``tools`` column of a row from tools of the inner shape.

    Raises:
        RowError: If a tool is malformed or two different tools have one name.
    """
    seen: dict[str, Any] = {}
    for index, tool in enumerate(tools):
        checked = check_tool(tool, f"{where} · tools[{index}]")
        name = checked["function"]["name"]
        if seen.setdefault(name, checked) != checked:
            raise files.malformed(where, f"tools[{index}].name", name, "give each tool a name of its own", record)
    return dump(list(seen.values()))


def tool_list(value: Any, record: Record, where: str) -> list[dict[str, Any]]:
    """Tools of a field that holds a list of functions, bare or wrapped, as JSON text or decoded; none for an empty one.

    Raises:
        RowError: If it is no list of objects.
    """
    listed = parsed(value, "tools", record, where) if value else []
    if not isinstance(listed, list) or not all(isinstance(tool, Mapping) for tool in listed):
        raise files.malformed(where, "tools", value, "give a JSON list of tools", record)
    return [{"type": "function", "function": function_of(tool)} for tool in listed]


def listed_names(tools: str) -> set[str]:
    """Names in a ``tools`` column."""
    return {function_of(tool)["name"] for tool in json.loads(tools)}


def call_of(value: Any, name: str, record: Record, where: str) -> Call:
    """A call from ``{"name", "arguments"}``; ``parameters`` and JSON text are read as ``arguments`` too.

    Raises:
        RowError: If there is no name or the arguments are no object.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str) or not value["name"]:
        raise files.malformed(where, name, value, 'give {"name": ..., "arguments": {...}}', record)
    arguments = value["arguments"] if value.get("arguments") is not None else value.get("parameters")
    arguments = parsed(arguments, f"{name}.arguments", record, where) if arguments else {}
    if not isinstance(arguments, Mapping):
        raise files.malformed(where, f"{name}.arguments", arguments, "give an object", record)
    return Call(value["name"], dict(arguments))


def gold_column(decision: str, calls: Sequence[Call] = (), **more: Any) -> str:
    """The ``gold`` column of a row; further keys are left out where they are empty."""
    listed = [{"name": call.name, "arguments": call.arguments} for call in calls]
    return dump({"decision": decision, "calls": listed, **{key: value for key, value in more.items() if value}})


def scenario_of(calls: Sequence[Call], tools: str) -> str:
    """Scenario of a row that calls, from the number of its calls and of its tools."""
    names = {call.name for call in calls}
    if len(calls) > 1:
        return "parallel_same" if len(names) == 1 else "parallel_different"
    return "single" if len(json.loads(tools)) < 2 else "selection"


def no_training(kind: str, split: str, reason: str) -> None:
    """Refuse a training split of a benchmark.

    Raises:
        RowError: If the split is a training split.
    """
    if split.startswith("train"):
        raise RowError(f"data · {kind} · split · found {split!r} · evaluation only: {reason}; train on another set")
