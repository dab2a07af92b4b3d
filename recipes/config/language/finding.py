"""A disagreement between fields, before it is given its line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One disagreement between fields; the first field is where it is reported."""

    fields: tuple[str, ...]
    found: str
    allowed: str
