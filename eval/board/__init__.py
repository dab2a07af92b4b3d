"""The board: a page that compares records, opens from the file system, and loads nothing from elsewhere."""

from __future__ import annotations

from .build import build_board

__all__ = ["build_board"]
