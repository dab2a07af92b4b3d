"""The board section, tables and page of prompt compression, made from the results kept beside a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from ..measure.analyses import Analysed
from ..show.tables import html, terminal
from . import capsule_page as page
from .capsule_tables import Entry, suite_grids
from .results import Results

if TYPE_CHECKING:
    from rich.table import Table


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
    charts = [(e.model, name, Markup(chart)) for e in entries for name, chart in page.charts(suite, e).items()]
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        charts=charts, tables=[(grid.title, Markup(html(grid))) for grid in suite_grids(entries)], reading=page.READING
    )


def write_page(suites: Mapping[str, Sequence[Analysed]], out: Path) -> Path:
    """Write the Markdown page with its figures and return its path."""
    return page.write_page({name: _entries(analysed) for name, analysed in suites.items()}, out)


def _entries(analysed: Sequence[Analysed]) -> list[Entry]:
    return [Entry(item.model, Results.from_dict(item.data), item.colour) for item in analysed]
