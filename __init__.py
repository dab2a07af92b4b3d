"""Quince: training recipes that teach a language model something new and keep what it already knew.

The folders are floors: `recipes` builds on `eval`, which builds on `rewards`, which builds on `data`;
an import never points up. Start with the README, or with `quince list`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .data.version import __version__

if TYPE_CHECKING:
    from .recipes.compression.compress import compress_prompt, compress_prompts

_LAZY = {"compress_prompt", "compress_prompts"}
__all__ = ["__version__", "compress_prompt", "compress_prompts"]


def __getattr__(name: str) -> Any:
    """The calls for prompts, imported when first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .recipes.compression import compress

    return getattr(compress, name)
