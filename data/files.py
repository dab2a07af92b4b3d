"""Local files: where they are, how they are read, and the source of ready rows (kind ``jsonl``).

The option ``root`` of a source names the folder of its data, or for all sources at once the environment variable
``QUINCE_DATA``. Files are found by their stem, in any of the formats of ``SUFFIXES``. Nothing in a file is executed.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

from .rows import Row, RowError, shorten

ROOT_VARIABLE = "QUINCE_DATA"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet", ".csv", ".csv.gz")


def jsonl(
    split: str = "train", size: int | None = None, seed: int = 0, *, path: str, root: str | None = None
) -> list[Row]:
    """Ready rows in JSON-lines, JSON, CSV or parquet files; their columns are known only when they are read.

    Args:
        split: Replaces ``{split}`` in ``path``.
        size: Number of rows, drawn with ``seed`` and kept in file order; default all.
        seed: Seed of the draw.
        path: File in any format of ``SUFFIXES``. A relative path starts at ``root``, else at
            ``QUINCE_DATA``, else at the working directory.
        root: Folder of a relative path.

    Raises:
        RowError: If the file is missing or a line of it is malformed.
    """
    file = source_file(path, split, root)
    if not file.is_file():
        raise RowError(f"jsonl · path · found no file at {file} · give a file, or set root or {ROOT_VARIABLE}")
    return take([record for _, record in read_records(file)], size, seed, str(file))


def source_file(path: str, split: str, root: str | None) -> Path:
    """The file that a source names, whether it is there or not; raises as `data_root`."""
    return (data_root(root) or Path()) / path.replace("{split}", split)


def data_root(root: str | None = None) -> Path | None:
    """Folder of local data: ``root``, else the one named by ``QUINCE_DATA``, else None.

    Raises:
        RowError: If a folder is named that does not exist.
    """
    name, value = ("root", root) if root else (ROOT_VARIABLE, os.environ.get(ROOT_VARIABLE))
    if not value:
        return None
    folder = Path(value).expanduser().resolve()
    if not folder.is_dir():
        raise RowError(f"data · {name} · found no folder at {folder} · name an existing folder")
    return folder


def find_file(root: Path, stems: Sequence[str], where: str) -> Path:
    """First existing file ``root/stem + suffix``.

    Raises:
        RowError: If there is none; the message lists what would have done.
    """
    file = next((file for stem in stems for end in SUFFIXES if (file := root / (stem + end)).is_file()), None)
    if file is None:
        raise RowError(f"{where} · file · found none under {root} · {wanted(stems)}")
    return file


def wanted(stems: Sequence[str]) -> str:
    """Advice that names the files that would do."""
    return f"put one of {', '.join(stems)} there, ending in one of {' '.join(SUFFIXES)}"


def read_records(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Records of a file with their number: the line for JSONL, otherwise counted from 1.

    Raises:
        RowError: If a record is not a mapping or the file cannot be parsed.
    """
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[-1]
    readers = {"jsonl": _read_jsonl, "json": _read_json, "csv": _read_csv, "parquet": _read_parquet}
    if kind not in readers:
        raise RowError(f"{path} · format · found .{kind} · one of {' '.join(SUFFIXES)}")
    records: list[tuple[int, dict[str, Any]]] = []
    number = 0
    try:
        for number, record in readers[kind](path):
            if not isinstance(record, dict):
                raise RowError(f"{path}:{number} · record · found {shorten(record)} · give a JSON object")
            records.append((number, record))
    except RowError:
        raise
    except UnicodeDecodeError as error:
        place = f"{path}:{_undecodable(path)}"
        raise RowError(f"{place} · not UTF-8 ({_reason(error)}) · save the file as UTF-8") from error
    except (ValueError, EOFError, RecursionError, OSError, csv.Error, zlib.error) as error:
        raise RowError(f"{path}:{number + 1} · cannot be read ({_reason(error)}) · mend or replace the file") from error
    if not records:
        raise RowError(f"{path} · found no rows · give at least one")
    return records


def take(rows: Sequence[Row], size: int | None, seed: int, where: str) -> list[Row]:
    """``size`` rows drawn without replacement, in their old order; all of them for None.

    Raises:
        RowError: If more rows are asked for than there are.
    """
    if size is None:
        return list(rows)
    if not 0 < size <= len(rows):
        raise RowError(f"{where} · size · found {size} · give 1 to {len(rows)}, the rows there are")
    return [rows[index] for index in sorted(random.Random(seed).sample(range(len(rows)), size))]


def field(record: Mapping[str, Any], names: Sequence[str], where: str) -> Any:
    """Value of the first of ``names`` that the record has and that is not None.

    Raises:
        RowError: If it has none of them; the message shows the record.
    """
    for name in names:
        if record.get(name) is not None:
            return record[name]
    raise malformed(where, " or ".join(names), None, "give this field", record)


def malformed(where: str, name: str, found: Any, fix: str, record: Mapping[str, Any]) -> RowError:
    """Error for one bad record; shows the record, shortened."""
    return RowError(f"{where} · {name} · found {shorten(found, 60)} · {fix} · record: {shorten(record)}")


def _open(path: Path, errors: str = "strict") -> IO[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    return cast(IO[str], opener(path, "rt", encoding="utf-8-sig", newline="", errors=errors))


def _undecodable(path: Path) -> int:
    """The first line that is not UTF-8."""
    with _open(path, errors="surrogateescape") as lines:
        bad = (number for number, line in enumerate(lines, start=1) if re.search("[\udc80-\udcff]", line))
        return next(bad, 1)


def _read_jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    with _open(path) as lines:
        yield from _parse_lines(lines, path)


def _parse_lines(lines: Iterable[str], path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _parse(line, f"{path}:{number}")


def _read_json(path: Path) -> Iterator[tuple[int, Any]]:
    with _open(path) as file:
        text = file.read()
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        # A whole value and more after it: one object a line, whatever the name says (BFCL's files).
        if error.msg == "Extra data":
            yield from _parse_lines(text.split("\n"), path)
            return
    except (ValueError, RecursionError):
        pass
    records = _parse(text, str(path))
    if isinstance(records, dict) and isinstance(records.get("data"), list):  # SQuAD's own files
        records = records["data"]
    if not isinstance(records, list):
        raise RowError(f"{path} · file · found {shorten(records, 60)} · give a JSON list of objects")
    yield from enumerate(records, start=1)


def _read_csv(path: Path) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(2**31 - 1)
    with _open(path) as file:
        for number, record in enumerate(csv.DictReader(file, strict=True), start=1):
            if None in record or None in record.values():
                raise RowError(f"{path} · record {number} · found {shorten(record)} · give one value for each column")
            yield number, record


def _read_parquet(path: Path) -> Iterator[tuple[int, Any]]:
    from pyarrow import parquet

    yield from enumerate(parquet.read_table(path).to_pylist(), start=1)


def _parse(text: str, where: str) -> Any:
    try:
        value = json.loads(text)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # half of a pair is no character
    except (ValueError, RecursionError) as error:
        raise RowError(f"{where} · JSON · found {shorten(text, 80)} · mend it: {_reason(error)}") from None
    return value


def _reason(error: Exception) -> str:
    """What went wrong, in one line for people."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.object[error.start]:#04x}"
    if isinstance(error, UnicodeEncodeError):
        return f"half of a surrogate pair: {error.object[error.start]!a}"
    return str(error).partition("\n")[0].partition(";")[0]
