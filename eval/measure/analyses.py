"""Analyses of suites beyond Pass@k, one for each kind of reward that has one; kept as `analysis.json` in the record.

An analysis is computed while its suite is evaluated, when the rows are loaded; tables, pages and boards read it from
records. It is a module with the functions of `Analysis`, named in `ANALYSES`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ...data.cache import write_atomic
from ...data.rows import Row
from ...rewards.base import Reward
from .problems import Problem, RecordError
from .records import Record, record_labels, suite_labels
from .settings import Settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

ANALYSIS_FILE = "analysis.json"

ANALYSES: dict[str, str] = {
    "function_call": "quince.eval.function_calling.call_analysis",
    "sql_execution": "quince.eval.show.sql_semantics",
    "compression": "quince.eval.compression.capsule_analysis",
}


@dataclass(frozen=True)
class Analysed:
    """One model's analysis of one suite: what `Analysis.analyse` returned, or `keep_analysis` was given."""

    model: str
    colour: int
    data: Any


class Analysis(Protocol):
    """An analysis; its data are plain, for JSON. That of prompt compression is measured by its own command."""

    def analyse(self, rows: Sequence[Row], problems: Sequence[Problem], reward: Reward) -> Any:
        """Return the data of a suite; problems are in the order of the rows."""
        ...

    def tables(self, suites: Mapping[str, Sequence[Analysed]]) -> list[Table]:
        """Return tables for the terminal; each suite's other models are compared with its first."""
        ...

    def section(self, suite: str, entries: Sequence[Analysed]) -> str:
        """Return escaped HTML for the board."""
        ...

    def write_page(self, suites: Mapping[str, Sequence[Analysed]], out: Path) -> Path:
        """Write a page and return its path."""
        ...


def find_analysis(settings: Settings) -> Analysis | None:
    """Return the analysis for a suite's kind of reward."""
    kind = settings.reward.get("kind")
    return _module(kind) if kind in ANALYSES else None


def write_analysis(
    folder: Path, settings: Settings, rows: Sequence[Row], problems: Sequence[Problem], reward: Reward
) -> Path | None:
    """Analyse a suite, if there is an analysis for its reward, and return the file's path."""
    analysis = find_analysis(settings)
    return None if analysis is None else keep_analysis(folder, settings, analysis.analyse(rows, problems, reward))


def keep_analysis(folder: Path, settings: Settings, data: Any) -> Path:
    """Write the data of an analysis into its record and return the file's path."""
    content = {"settings_hash": settings.hash, "data": data}
    return write_atomic(folder / ANALYSIS_FILE, json.dumps(content, ensure_ascii=False) + "\n")


def read_analysis(folder: Path, settings: Settings) -> Any | None:
    """Return the data of a record's analysis; None if there is none.

    Raises:
        RecordError: The file is broken, or of other samples.
    """
    path = folder / ANALYSIS_FILE
    if find_analysis(settings) is None or not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found, data = content["settings_hash"], content["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path} · not an analysis ({error!r}) · delete it and evaluate again") from error
    if found != settings.hash:
        raise RecordError(f"{path} · of settings {found}, the record is of {settings.hash} · evaluate again")
    return data


def lacks_analysis(folder: Path, settings: Settings) -> bool:
    """Whether there is an analysis for this reward but no readable one in the folder."""
    try:
        return find_analysis(settings) is not None and read_analysis(folder, settings) is None
    except RecordError:
        return True


def analysed(records: Sequence[Record]) -> list[tuple[Analysis, dict[str, list[Analysed]]]]:
    """Return the analyses of records with their data by suite, in the order of the records."""
    found: dict[str, dict[str, list[Analysed]]] = defaultdict(lambda: defaultdict(list))
    labels, suites = record_labels(records), suite_labels(records)
    colours = {label: number % 8 for number, label in enumerate(dict.fromkeys(labels.values()))}
    for record in records:
        data = read_analysis(record.folder, record.settings)
        if data is not None:
            label, suite = labels[str(record.folder)], suites[str(record.folder)]
            found[record.settings.reward["kind"]][suite].append(Analysed(label, colours[label], data))
    return [(_module(kind), dict(own)) for kind, own in found.items()]


def show_analyses(records: Sequence[Record], out: str, console: Console) -> None:
    """Print the analyses of records and write their pages; the first record of a suite is compared with."""
    for analysis, suites in analysed(records):
        for table in analysis.tables(suites):
            console.print(table)
        console.print(f"Tables in {analysis.write_page(suites, Path(out))}", markup=False, soft_wrap=True)


def _module(kind: str) -> Analysis:
    return import_module(ANALYSES[kind])
