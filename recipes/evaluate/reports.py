"""What evaluations print beyond their tables of Pass@k."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...eval.measure.analyses import analysed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from ...eval.measure.records import Record


def show_analyses(records: Sequence[Record], out: str, console: Console) -> None:
    """Print what analyses say of records, the one that is compared with first, and write their pages."""
    for analysis, suites in analysed(records):
        for table in analysis.tables(suites):
            console.print(table)
        console.print(f"Tables in [bold]{analysis.write_page(suites, Path(out))}[/]", soft_wrap=True)
