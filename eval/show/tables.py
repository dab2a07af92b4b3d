"""Tables of text for the terminal, Markdown and HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

_FIRST = ' class="label"'


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        title: Its title.
        header: Names of the columns; the first column names the rows.
        rows: Cells.
        note: Shown below.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def markdown(grid: Grid) -> str:
    """Return a table in Markdown, every text escaped."""
    head = "| " + " | ".join(plain(cell) for cell in grid.header) + " |"
    rule = "|---|" + "---:|" * (len(grid.header) - 1)
    rows = ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in grid.rows]
    note = ["", plain(grid.note)] if grid.note else []
    return "\n".join([f"### {plain(grid.title)}", "", head, rule, *rows, *note])


def html(grid: Grid) -> str:
    """Return a table in HTML, every text escaped."""
    head = "".join(
        f'<th scope="col"{_FIRST if not index else ""}>{escape(name)}</th>' for index, name in enumerate(grid.header)
    )
    rows = "".join(
        f'<tr><th scope="row"{_FIRST}>{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in others)}</tr>'
        for first, *others in grid.rows
    )
    note = f'<p class="note">{escape(grid.note)}</p>' if grid.note else ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{note}'


def terminal(grid: Grid, title: str) -> Table:
    """Return a table for the terminal."""
    from rich.markup import escape as escaped
    from rich.table import Table

    table = Table(title=escaped(title), caption=escaped(grid.note) or None, title_justify="left")
    for index, name in enumerate(grid.header):
        table.add_column(escaped(name), justify="right" if index else "left")
    # With many columns the interval goes below the estimate, so that they fit on a terminal.
    gap = "\n[" if len(grid.header) > 5 else " ["
    for row in grid.rows:
        table.add_row(*(escaped(cell.replace(" [", gap)) for cell in row))
    return table


def plain(text: str) -> str:
    """Escape Markdown and HTML."""
    return re.sub(r"([\\|*_`\[\]#~])", r"\\\1", escape(text, quote=False)).replace("\n", " ")
