"""Quince: training recipes that teach a language model something new and keep what it already knew.

The folders are floors: `recipes` builds on `eval`, which builds on `rewards`, which builds on `data`;
an import never points up. Start with the README, or with `quince list`.
"""

from __future__ import annotations

__version__ = "0.1.0"
