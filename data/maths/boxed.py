r"""Final answers inside ``\boxed{}``, by matching braces."""

from __future__ import annotations

import re

_COMMAND = "\\boxed"


def last_boxed(text: str) -> str | None:
    r"""Content of the last ``\boxed{...}`` or ``\boxed x``; None if there is no complete one.

    Braces inside may nest; ``\{`` and ``\}`` are characters, not braces.
    """
    start = text.rfind(_COMMAND)
    while start >= 0:
        content = _argument(text, start + len(_COMMAND))
        if content is not None:
            return content.strip()
        start = text.rfind(_COMMAND, 0, start)
    return None


def _argument(text: str, position: int) -> str | None:
    """Argument of a TeX command: a braced group, else one character; None at the end of the text."""
    position = len(text) - len(text[position:].lstrip())
    if position == len(text) or text[position] != "{":
        return text[position : position + 1] or None
    depth = 0
    for mark in re.finditer(r"\\.|[{}]", text[position:], re.DOTALL):
        depth += {"{": 1, "}": -1}.get(mark[0], 0)
        if depth == 0:
            return text[position + 1 : position + mark.start()]
    return None
