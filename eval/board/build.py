"""Renders the page: one file with its style, script, charts and answers inside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from ... import __version__
from ...data.cache import write_atomic
from ..records import find_records, read_record
from ..report import label, number, spread
from .content import browser, suites


def build_board(records: Sequence[Path], out: Path, base: str | None = None) -> Path:
    """Write a page that compares records and return its path, `out/index.html`.

    Args:
        records: Record folders, or folders with records below.
        out: Folder of the page; made if need be.
        base: Name of the model that the others are compared with; see `content.suites`.

    Raises:
        RecordError: A folder holds no record, or a broken one.
    """
    found = suites([read_record(folder) for folder in find_records(records)], base)
    data, left_out = browser(found)
    templates = files(__package__) / "templates"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(label=label, number=number, spread=spread)
    page = environment.from_string((templates / "board.html").read_text(encoding="utf-8")).render(
        suites=found,
        style=Markup((templates / "board.css").read_text(encoding="utf-8")),
        script=Markup((templates / "board.js").read_text(encoding="utf-8")),
        # "<", ">" and "&" are escaped, so that no answer can end the element it lies in.
        data=htmlsafe_json_dumps(data, ensure_ascii=False, separators=(",", ":")),
        left_out=left_out,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )
    return write_atomic(Path(out) / "index.html", page)
