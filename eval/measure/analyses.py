"""What a kind of reward has to say about a whole suite beyond Pass@k, kept as `analysis.json` beside the record.

An analysis is made when a suite is evaluated, since only then its rows are at hand; tables, pages and boards are
made from records alone. It is a module with the functions of `Analysis`, named in `ANALYSES` by kind of reward.
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
from .labels import record_labels, suite_labels
from .problems import Problem, RecordError
from .records import Record
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
    """One model's analysis of one suite.

    Attributes:
        model: Its name.
        colour: Index of its colour in charts.
        data: What `Analysis.analyse` returned.
    """

    model: str
    colour: int
    data: Any


class Analysis(Protocol):
    """An analysis; data are plain, for JSON.

    One of a kind of reward also has `analyse(rows, problems, reward)`, which returns the data of a suite; problems are
    in the order of the rows. Prompt compression has its own command, which measures the data itself.
    """

    def tables(self, suites: Mapping[str, Sequence[Analysed]]) -> list[Table]:
        """Return what the terminal shows; the first model of a suite is the one that is compared with."""
        ...

    def section(self, suite: str, entries: Sequence[Analysed]) -> str:
        """Return HTML for the board, with every text escaped."""
        ...

    def write_page(self, suites: Mapping[str, Sequence[Analysed]], out: Path) -> Path:
        """Write a page into a folder and return its path."""
        ...


def find_analysis(settings: Settings) -> Analysis | None:
    """Return the analysis for a suite's kind of reward."""
    kind = settings.reward.get("kind")
    return _module(kind) if kind in ANALYSES else None


def write_analysis(
    folder: Path, settings: Settings, rows: Sequence[Row], problems: Sequence[Problem], reward: Reward
) -> Path | None:
    """Analyse a suite, if there is an analysis for its reward, and return the path of the file."""
    analysis = find_analysis(settings)
    if analysis is None:
        return None
    return keep_analysis(folder, settings, analysis.analyse(rows, problems, reward))  # type: ignore[attr-defined]


def keep_analysis(folder: Path, settings: Settings, data: Any) -> Path:
    """Write an analysis beside its record and return the path of the file."""
    content = {"settings_hash": settings.hash, "data": data}
    return write_atomic(folder / ANALYSIS_FILE, json.dumps(content, ensure_ascii=False) + "\n")


def read_analysis(folder: Path, settings: Settings) -> Any | None:
    """Return the data of a record's analysis; None if its reward has none or it was not made.

    Raises:
        RecordError: The file is broken, or of other answers.
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
    """Whether there is an analysis for this reward and the folder does not hold it."""
    try:
        return find_analysis(settings) is not None and read_analysis(folder, settings) is None
    except RecordError:
        return True


def analysed(records: Sequence[Record]) -> list[tuple[Analysis, dict[str, list[Analysed]]]]:
    """Return every analysis that some records have, each with its data by suite, in the order of the records."""
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
    """Print what analyses say of records, the one that is compared with first, and write their pages."""
    for analysis, suites in analysed(records):
        for table in analysis.tables(suites):
            console.print(table)
        console.print(f"Tables in {analysis.write_page(suites, Path(out))}", markup=False, soft_wrap=True)


def _module(kind: str) -> Analysis:
    return import_module(ANALYSES[kind])
