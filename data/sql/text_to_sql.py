"""Text-to-SQL benchmarks Spider and BIRD, from a local folder that holds questions and databases.

Rows have ``id``, ``task``, ``prompt`` (schema, question, instructions), ``database`` (absolute path of
the SQLite file), ``gold_sql`` (a query, or a list of which any is right), ``semantics`` (``spider`` or
``bird``: results are compared by the benchmark's own rule), ``db_id``, and ``cluster``, the same:
questions on one database are not independent. The databases are not on the Hub, so a folder is always
needed: the option ``root``, or the environment variable ``QUINCE_DATA``.

Whether the gold query runs, and what an empty result means, is for the reward to decide.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from .. import files
from ..options import Count, provides
from ..rows import Row, RowError
from .sqlite_schema import Style, schema_text

INSTRUCTIONS = (
    "Return exactly the columns that the question asks for, in its order, and no others. "
    "Think step by step, then give one SQLite query in a code block:\n```sql\n<your query>\n```"
)


@dataclass(frozen=True)
class Layout:
    """Where a benchmark keeps its parts, below the root.

    Attributes:
        task: Name of the source, and the rows' ``task`` and ``semantics``.
        questions: Split names, each with the file stems that may hold its questions.
        databases: Split names, each with the patterns of a database file.
    """

    task: str
    questions: Mapping[str, tuple[str, ...]]
    databases: Mapping[str, tuple[str, ...]]


_SPIDER_DATABASES = ("spider/database/{db}/{db}.sqlite", "database/{db}/{db}.sqlite", "spiderman/sqlite/{db}.sqlite")
_SPIDER = Layout(
    "spider",
    {"train": ("spider/train_spider", "train_spider", "spider_syn/train_spider"), "dev": ("spider/dev", "dev")},
    {"train": _SPIDER_DATABASES, "dev": _SPIDER_DATABASES},
)
_BIRD = Layout(
    "bird",
    {split: (f"bird/{split}/{split}", f"{split}/{split}") for split in ("train", "dev")},
    {
        split: tuple(f"{prefix}{split}/{split}_databases/{{db}}/{{db}}.sqlite" for prefix in ("bird/", ""))
        for split in ("train", "dev")
    },
)


@provides("database", "gold_sql", "semantics")
def spider(
    split: Literal["train", "dev"] = "train",
    size: int | None = None,
    seed: int = 0,
    *,
    root: str | None = None,
    style: Style = "full",
    example_values: Count = 2,
) -> list[Row]:
    """Spider: train (7000 questions) and dev (1034 questions on 20 databases not in train).

    Reads the official layout (``train_spider.json``, ``dev.json``, ``database/<db>/<db>.sqlite``), also
    inside a folder ``spider``; the train questions in Spider-Syn's file, in their original wording; and
    the databases as SpiderMan has them, ``spiderman/sqlite/<db>.sqlite``. Other SQLite files in a folder ``<db>`` are
    taken for the test suite's and judged too.

    Args:
        split: ``train`` or ``dev``.
        size: Number of rows, drawn with ``seed`` and kept in file order; default all.
        seed: Seed of the draw.
        root: Folder of the data; default ``QUINCE_DATA``.
        style: ``full`` shows CREATE TABLE statements and instructions; ``compact`` is the short form
            of the generated SQL tasks: ``table(column, column)`` lines and the question.
        example_values: Example values beside each column in ``full``.

    Raises:
        RowError: If the folder, the questions or all databases are missing, or a record is malformed.

    Warns:
        UserWarning: If some rows are left out because their database file is missing.
    """
    return _rows(_SPIDER, split, size, seed, root, style, example_values)


@provides("database", "gold_sql", "semantics")
def bird(
    split: Literal["train", "dev"] = "train",
    size: int | None = None,
    seed: int = 0,
    *,
    root: str | None = None,
    style: Style = "full",
    example_values: Count = 2,
) -> list[Row]:
    """BIRD: train and dev in the official layout, also inside a folder ``bird``.

    Questions are ``train/train.json`` and ``dev/dev.json``, databases
    ``train/train_databases/<db>/<db>.sqlite`` and likewise for dev. The field ``evidence`` is shown in
    the prompt. Arguments and errors as for ``spider``.
    """
    return _rows(_BIRD, split, size, seed, root, style, example_values)


def _rows(
    layout: Layout, split: str, size: int | None, seed: int, root: str | None, style: Style, example_values: int
) -> list[Row]:
    place = f"data · {layout.task}[{split}]"
    _check_options(layout, split, style, example_values)
    folder = files.data_root(root)
    if folder is None:
        raise RowError(f"{place} · root · found none · name the data folder by root or {files.ROOT_VARIABLE}")
    path = files.find_file(folder, layout.questions[split], place)
    rows: list[Row] = []
    missing: Counter[str] = Counter()
    for number, record in files.read_records(path):
        where = f"{path}:{number}"
        db_id = str(files.field(record, ("db_id",), where))
        database = _database(folder, layout.databases[split], db_id)
        if database is None:
            missing[db_id] += 1
            continue
        schema = schema_text(database, style, example_values)
        rows.append(
            {
                "id": f"{layout.task}/{split}/{number}",
                "task": layout.task,
                "prompt": [{"role": "user", "content": _prompt(schema, record, where, style)}],
                "database": str(database),
                "gold_sql": _gold(record, where),
                "semantics": layout.task,
                "db_id": db_id,
                "cluster": db_id,
            }
        )
    _report_missing(missing, len(rows), place, layout.databases[split])
    return files.take(rows, size, seed, place)


def _check_options(layout: Layout, split: str, style: str, example_values: int) -> None:
    place = f"data · {layout.task}"
    if split not in layout.questions:
        raise RowError(f"{place} · split · found {split!r} · one of {', '.join(layout.questions)}")
    if style not in get_args(Style):
        raise RowError(f"{place} · style · found {style!r} · one of {', '.join(get_args(Style))}")
    if example_values < 0:
        raise RowError(f"{place} · example_values · found {example_values} · give 0 or more")


def _database(folder: Path, patterns: tuple[str, ...], db_id: str) -> Path | None:
    candidates = (folder / pattern.format(db=db_id) for pattern in patterns)
    return next((path for path in candidates if path.is_file()), None)


def _prompt(schema: str, record: Mapping[str, Any], where: str, style: Style) -> str:
    question = str(files.field(record, ("question", "SpiderQuestion"), where)).strip()
    evidence = str(record.get("evidence") or "").strip()
    if style == "compact":
        return "\n".join(part for part in (schema, evidence, question) if part)
    parts = [f"A SQLite database has this schema:\n\n{schema}", f"Question: {question}"]
    if evidence:
        parts.append(f"Known facts: {evidence}")
    return "\n\n".join([*parts, INSTRUCTIONS])


def _gold(record: Mapping[str, Any], where: str) -> str | list[str]:
    """The gold query, or all of them where the record has a list."""
    gold = files.field(record, ("query", "SQL"), where)
    return [str(query).strip() for query in gold] if isinstance(gold, list) else str(gold).strip()


def _report_missing(missing: Counter[str], found: int, place: str, patterns: tuple[str, ...]) -> None:
    if not missing:
        return
    names = ", ".join(f"{name} ({count})" for name, count in sorted(missing.items()))
    text = f"{place} · database · found no file for {missing.total()} rows of {names}"
    fix = f"put the files at one of {', '.join(pattern.format(db='<db>') for pattern in patterns)}"
    if not found:
        raise RowError(f"{text} · {fix}")
    warnings.warn(f"{text}; these rows are left out · {fix}", stacklevel=4)
