r"""Final answers as text: where they are, their normal form, and what math-verify 0.9 overlooks in them.

math-verify calls equal, in either order: `1011_2` and `1011` (the base is dropped), `10\%` and `10` (as well as
`10\%` and `0.1`), the tuple `(1,2)` and the set `\{1,2\}`. `settled` rejects bases and brackets that differ,
`comparable` makes a percentage a fraction, and `normal` rewrites `3e8`, which math-verify reads as 3·e·8.

Still accepted though one may argue: `(1,2)` for the list `1,2`; `x=5` for `5`; a number without its unit.
Still rejected: `0.333` for `1/3`; `70` for `70\%`; a unit with a power (`12 cm^2`) for `12`; `x \le 2` for
`(-\infty,2]`; number words.
"""

from __future__ import annotations

import re

from ...data.maths.boxed import last_boxed

_HASHES = re.compile(r"####[ \t]*(\S[^\n]*)")
_LAYOUT = re.compile(r"\\[ ,;:!]|\\(?:left|right|q?quad|displaystyle)(?![A-Za-z])|(?<!\\)\$|~|\s+")
_FREE_SPACE = re.compile(r"(?<![A-Za-z0-9]) | (?![A-Za-z0-9])")  # `\pi r` and "2 or 3" keep theirs
_TEXT = re.compile(r"\\(?:text|textbf|textrm|mathrm|mbox)\{\s*([^{}]*?)\s*\}")
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_BRACED_CHARACTER = re.compile(r"([_^])\{(\w)\}(?!\w)")
_BASE = re.compile(r"\d_\{?\d")
_SCIENTIFIC = re.compile(r"^([+-]?\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})$")
_INTEGER = re.compile(r"[+-]?\d{1,30}")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:[, ]\d{3})+")


def extract_answer(completion: str) -> str | None:
    r"""The last `\boxed{...}`, else what follows the last `####`, both after the last `</think>`; else None."""
    text = completion.rsplit("</think>", 1)[-1]
    boxed = last_boxed(text)
    if boxed is not None:
        return boxed
    hashes = _HASHES.findall(text)
    return hashes[-1] if hashes else None


def normal(answer: str) -> str:
    """The answer without what does not change its meaning: spacing, delimiters, sizes, a final full stop."""
    text = _FRACTION.sub(r"\\frac", _TEXT.sub(r"\\text{\1}", answer)).replace("{,}", ",")
    text = _FREE_SPACE.sub("", _LAYOUT.sub(" ", text)).strip().removesuffix(".")
    text = _SCIENTIFIC.sub(_as_product, re.sub(r"(?<!\\)%", r"\\%", text))
    text = _BRACED_CHARACTER.sub(r"\1\2", text)
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "").replace(" ", "")
    if _INTEGER.fullmatch(text):
        return str(int(text))
    return text


def _as_product(scientific: re.Match[str]) -> str:
    return rf"{scientific[1]}\times10^{{{int(scientific[2])}}}"


def settled(gold: str, answer: str) -> bool | None:
    """Whether two normal forms are equal, where their text already tells; None where only algebra can."""
    if gold == answer:
        return True
    if _INTEGER.fullmatch(gold) and _INTEGER.fullmatch(answer):
        return False
    if _BASE.search(gold) or _BASE.search(answer):
        return False
    if "{" in (brackets := {_bracket(gold), _bracket(answer)}) and brackets & {"(", "["}:
        return False
    return None


def comparable(gold: str, answer: str) -> tuple[str, str]:
    """Two normal forms for math-verify: without percent signs, as hundredths where only one has one."""
    if gold.endswith("\\%") == answer.endswith("\\%"):
        return gold.removesuffix("\\%"), answer.removesuffix("\\%")
    return _hundredths(gold), _hundredths(answer)


def _hundredths(text: str) -> str:
    return rf"\frac{{{text[:-2]}}}{{100}}" if text.endswith("\\%") else text


def _bracket(text: str) -> str:
    """What the answer as a whole is enclosed in: `(`, `[`, `{` for a set, or nothing."""
    text = text.replace("\\lbrace", "\\{").replace("\\rbrace", "\\}")
    if text.startswith("\\{") and text.endswith("\\}"):
        return "{"
    return text[:1] if text[:1] in ("(", "[") and text[-1:] in (")", "]") else ""
