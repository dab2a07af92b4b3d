r"""Final answers inside ``\boxed{}``, by matching braces."""

from __future__ import annotations

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
    while position < len(text) and text[position].isspace():
        position += 1
    if position == len(text):
        return None
    if text[position] != "{":
        return text[position]
    depth, index = 0, position
    while index < len(text):
        if text[index] == "\\":
            index += 1  # the next character is escaped
        elif text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return text[position + 1 : index]
        index += 1
    return None
