"""Readable numbers."""

from __future__ import annotations


def readable(count: float, unit: str = "B") -> str:
    """`1.5 GB`, `310 k tokens`: three digits and a decimal prefix before the unit."""
    for prefix in ("", "k", "M", "G", "T", "P", "E"):
        if count < 999.5 or prefix == "E":
            return " ".join(f"{count:.3g} {prefix}{unit}".split())
        count /= 1000
    raise AssertionError("the loop returns")
