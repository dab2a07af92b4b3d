"""Text-to-SQL benchmarks Spider and BIRD, from a local folder that holds questions and databases.

Rows have ``id``, ``task``, ``prompt`` (schema, question, instructions), ``database`` (absolute path of the SQLite
file), ``gold_sql`` (a query, or a list of which any is right), ``semantics`` (``spider`` or ``bird``: results are
compared by the benchmark's own rule), ``db_id``, and ``cluster``, which is the same since questions on one database
are not independent. The databases are not on the Hub, so a folder is always needed: the option ``root``, or the
environment variable ``QUINCE_DATA``.

Spider's train split has 7000 questions, its dev split 1034 on 20 other databases. Layouts, each also inside a folder
``spider`` or ``bird``:

- Spider: ``train_spider.json``, ``dev.json``, ``database/<db>/<db>.sqlite``; also the train questions in Spider-Syn's
  file, in their original wording, and the databases as SpiderMan has them, ``spiderman/sqlite/<db>.sqlite``. Other
  SQLite files in a folder ``<db>`` are taken for the test suite's, and the reward runs queries on them too.
- BIRD: ``train/train.json``, ``train/train_databases/<db>/<db>.sqlite``, and likewise for dev. The prompt shows the
  field ``evidence``.

Whether the gold query runs, and what an empty result means, is for the reward to decide.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from .. import files
from ..options import Count
from ..rows import Row, RowError
from .sqlite_schema import Style, schema_text

INSTRUCTIONS = (
    "Return exactly the columns that the question asks for, in its order, and no others. "
    "Think step by step, then give one SQLite query in a code block:\n```sql\n<your query>\n```"
)


@dataclass(frozen=True)
class TextToSql:
    """A data source: where one benchmark keeps its parts, below the root.

    The task is also the rows' `semantics`; `questions` has the file stems of each split, `databases` patterns of files.
    """

    provides: ClassVar[tuple[str, ...]] = ("database", "gold_sql", "semantics")

    task: str
    questions: Mapping[str, tuple[str, ...]]
    databases: tuple[str, ...]
    about: str

    def __call__(
        self,
        split: Literal["train", "dev"] = "train",
        size: int | None = None,
        seed: int = 0,
        *,
        root: str | None = None,
        style: Style = "full",
        example_values: Count = 2,
    ) -> list[Row]:
        """Rows of a split.

        Args:
            split: ``train`` or ``dev``.
            size: Number of rows, drawn with ``seed`` and kept in file order; default all.
            seed: Seed of the draw.
            root: Folder of the data; default ``QUINCE_DATA``.
            style: ``full`` shows CREATE TABLE statements and instructions; ``compact`` is the short form of the
                generated SQL tasks: ``table(column, column)`` lines and the question.
            example_values: Example values beside each column in ``full``.

        Raises:
            RowError: If the folder, the questions or all databases are missing, or a record is malformed.

        Warns:
            UserWarning: If some rows are left out because their database file is missing.
        """
        place = f"data · {self.task}[{split}]"
        self._check_options(split, style, example_values)
        folder = files.data_root(root)
        if folder is None:
            raise RowError(f"{place} · root · found none · name the data folder by root or {files.ROOT_VARIABLE}")
        path = files.find_file(folder, self.questions[split], place)
        rows: list[Row] = []
        missing: Counter[str] = Counter()
        for number, record in files.read_records(path):
            where = f"{path}:{number}"
            db_id = str(files.field(record, ("db_id",), where))
            candidates = (folder / pattern.format(db=db_id, split=split) for pattern in self.databases)
            database = next(filter(Path.is_file, candidates), None)
            if database is None:
                missing[db_id] += 1
                continue
            schema = schema_text(database, style, example_values)
            rows.append(
                {
                    "id": f"{self.task}/{split}/{number}",
                    "task": self.task,
                    "prompt": [{"role": "user", "content": _prompt(schema, record, where, style)}],
                    "database": str(database),
                    "gold_sql": _gold(record, where),
                    "semantics": self.task,
                    "db_id": db_id,
                    "cluster": db_id,
                }
            )
        if missing:
            names = ", ".join(f"{name} ({count})" for name, count in sorted(missing.items()))
            text = f"{place} · database · found no file for {missing.total()} rows of {names}"
            places = ", ".join(pattern.format(db="<db>", split=split) for pattern in self.databases)
            if not rows:
                raise RowError(f"{text} · put the files at one of {places}")
            warnings.warn(f"{text}; these rows are left out · put the files at one of {places}", stacklevel=3)
        return files.take(rows, size, seed, place)

    def _check_options(self, split: str, style: str, example_values: int) -> None:
        place = f"data · {self.task}"
        if split not in self.questions:
            raise RowError(f"{place} · split · found {split!r} · one of {', '.join(self.questions)}")
        if style not in get_args(Style):
            raise RowError(f"{place} · style · found {style!r} · one of {', '.join(get_args(Style))}")
        if example_values < 0:
            raise RowError(f"{place} · example_values · found {example_values} · give 0 or more")


def _prompt(schema: str, record: Mapping[str, Any], where: str, style: Style) -> str:
    question = str(files.field(record, ("question", "SpiderQuestion"), where)).strip()
    evidence = str(record.get("evidence") or "").strip()
    if style == "compact":
        return "\n".join(part for part in (schema, evidence, question) if part)
    facts = [f"Known facts: {evidence}"] if evidence else []
    parts = [f"A SQLite database has this schema:\n\n{schema}", f"Question: {question}", *facts, INSTRUCTIONS]
    return "\n\n".join(parts)


def _gold(record: Mapping[str, Any], where: str) -> str | list[str]:
    gold = files.field(record, ("query", "SQL"), where)
    return [str(query).strip() for query in gold] if isinstance(gold, list) else str(gold).strip()


spider = TextToSql(
    "spider",
    {"train": ("spider/train_spider", "train_spider", "spider_syn/train_spider"), "dev": ("spider/dev", "dev")},
    ("spider/database/{db}/{db}.sqlite", "database/{db}/{db}.sqlite", "spiderman/sqlite/{db}.sqlite"),
    "Spider: train (7000 questions) and dev (1034 questions on 20 databases not in train).",
)
bird = TextToSql(
    "bird",
    {split: (f"bird/{split}/{split}", f"{split}/{split}") for split in ("train", "dev")},
    tuple(f"{prefix}{{split}}/{{split}}_databases/{{db}}/{{db}}.sqlite" for prefix in ("bird/", "")),
    "BIRD: train and dev in the official layout, also inside a folder ``bird``.",
)
