"""The board section, tables and page of prompt compression, made from the results kept beside a record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from ...data.cache import write_atomic
from ..measure.analyses import Analysed
from ..show.figures import alone
from ..show.tables import html, markdown, plain, terminal
from .capsule_charts import accuracy_chart, break_even_chart
from .capsule_tables import Entry, suite_grids
from .results import Results

if TYPE_CHECKING:
    from rich.table import Table

READING = (
    "Readers answer greedily; a question counts for its passage, and the passage is the unit of every interval (95 %). "
    "Capsules are cut to the budget before they are read. The "
    "first reader trained the compressor and counts the budget; the others did neither. Baselines have as many of its "
    "tokens as the capsule of the same passage; random facts and the oracle have the whole budget. The transfer ratio "
    "is (capsule / full passage) of a reader by that of the first one. A swapped capsule is that of another passage."
)
"""How the tables are to be read."""


def charts_of(suite: str, entry: Entry) -> dict[str, str]:
    """Return the charts of one compressor by what they show."""
    found = {"Right answers": accuracy_chart(entry.results, f"Right answers from {entry.model} on {suite}")}
    for reader, timings in entry.results.timings.items():
        found[f"Time with {reader}"] = break_even_chart(timings, f"Time of {entry.model} with {reader} on {suite}")
    return found


def figures(suite: str, entries: Sequence[Entry], out: Path) -> list[str]:
    """Write the charts of some compressors into a folder and return links to them."""
    links = []
    for number, entry in enumerate(entries, start=1):
        for place, (name, chart) in enumerate(charts_of(suite, entry).items(), start=1):
            file = f"compression_{re.sub(r'[^A-Za-z0-9_-]+', '-', suite)}_{number}_{place}.svg"
            write_atomic(out / file, alone(chart))
            links.append(f"![{plain(name)}: {plain(entry.model)}]({file})")
    return links


def tables(suites: Mapping[str, Sequence[Analysed]]) -> list[Table]:
    """Return the tables of every set of passages."""
    grids = [grid for analysed in suites.values() for grid in suite_grids(_entries(analysed))]
    return [terminal(grid, grid.title) for grid in grids]


def section(suite: str, analysed: Sequence[Analysed]) -> str:
    """Return the tables and charts of a set of passages as HTML, every text escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    entries = _entries(analysed)
    template = files(__package__) / "templates" / "section.html"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    charts = [(e.model, name, Markup(chart)) for e in entries for name, chart in charts_of(suite, e).items()]
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        charts=charts, tables=[(grid.title, Markup(html(grid))) for grid in suite_grids(entries)], reading=READING
    )


def write_page(suites: Mapping[str, Sequence[Analysed]], out: Path) -> Path:
    """Write `compression.md` and its figures (SVG) into a folder, made if need be, and return the page's path."""
    parts = ["# Prompt compression", READING]
    for name, analysed in suites.items():
        entries = _entries(analysed)
        parts += [f"## {plain(name)}", *figures(name, entries, out), *map(markdown, suite_grids(entries))]
    return write_atomic(out / "compression.md", "\n\n".join(parts) + "\n")


def _entries(analysed: Sequence[Analysed]) -> list[Entry]:
    return [Entry(item.model, Results.from_dict(item.data), item.colour) for item in analysed]
