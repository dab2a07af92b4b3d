"""Mechanical changes of a gold answer after which it is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise

from .rewritings import MATRIX, WHOLE_FRACTION, inside, is_prose, members

Change = Callable[[str], Iterator[str]]


def everywhere(pattern: str, new: str | Callable[[re.Match[str]], str]) -> Change:
    """Each match of the pattern replaced, one at a time."""

    def change(gold: str) -> Iterator[str]:
        for match in re.finditer(pattern, gold):
            text = gold[: match.start()] + (match.expand(new) if isinstance(new, str) else new(match))
            text += gold[match.end() :]
            if text != gold:
                yield text

    return change


def sign(gold: str) -> Iterator[str]:
    if re.match(r"-", gold):
        yield gold[1:]
    elif re.match(r"[1-9.]|\\[dt]?frac|\\sqrt|\\pi", gold):
        yield "-" + gold


def off_by_one(gold: str) -> Iterator[str]:
    for match in re.finditer(r"(?<![\d.,{])\d+(?![\d.,]*\d|\^\{?0)", gold):
        yield gold[: match.start()] + str(int(match[0]) + 1) + gold[match.end() :]
    for match in re.finditer(r"\d*\.\d+", gold):
        yield gold[: match.start()] + match[0][:-1] + str((int(match[0][-1]) + 1) % 10) + gold[match.end() :]


def digits_swapped(gold: str) -> Iterator[str]:
    for match in re.finditer(r"([1-9])(\d)(?!\^\{?0)", gold):
        if match[1] != match[2]:
            yield gold[: match.start()] + match[2] + match[1] + gold[match.end() :]


def entries_swapped(gold: str) -> Iterator[str]:
    """Neighbours in a tuple or interval."""
    if gold.count("(") + gold.count("[") != 1:
        return
    for opening, closing in (("(", ")"), ("[", "]"), ("(", "]"), ("[", ")"), ("\\left(", "\\right)")):
        parts = members(inside(gold, opening, closing) or "")
        for i in range(len(parts) - 1):
            if parts[i] != parts[i + 1]:
                yield opening + ",".join([*parts[:i], parts[i + 1], parts[i], *parts[i + 2 :]]) + closing


def matrix_changed(gold: str) -> Iterator[str]:
    """Two neighbouring entries swapped, a row dropped, a row made of a column."""
    found = MATRIX.fullmatch(gold)
    if not found:
        return
    rows = [row.split("&") for row in found[1].split("\\\\") if row.strip()]
    places = [(i, j) for i, row in enumerate(rows) for j in range(len(row))]

    def made(rows: list[list[str]]) -> str:
        return "\\begin{pmatrix}" + "\\\\".join("&".join(row) for row in rows) + "\\end{pmatrix}"

    for (i, j), (k, m) in pairwise(places):
        if rows[i][j].strip() != rows[k][m].strip():
            new = [list(row) for row in rows]
            new[i][j], new[k][m] = new[k][m], new[i][j]
            yield made(new)
    if len(rows) > 1:
        yield made(rows[:-1])
        if len(rows[0]) == 1:
            yield made([[row[0] for row in rows]])


def brackets(gold: str) -> Iterator[str]:
    """Another kind of interval."""
    plain = gold.replace("\\left", "").replace("\\right", "")
    if not is_prose(gold) and re.fullmatch(r"[(\[][^()\[\],]*,[^()\[\],]*[)\]]", plain):
        for ends in ("()", "[]", "(]", "[)"):
            if ends != plain[0] + plain[-1]:
                yield ends[0] + plain[1:-1] + ends[1]


def factor_dropped(gold: str) -> Iterator[str]:
    if is_prose(gold):
        return
    yield from everywhere(r"(?<=[\d}])\s*(?:\\cdot\s*)?\\pi(?![A-Za-z])", "")(gold)
    yield from everywhere(r"(?<![\d.^_{])(?!1\b)\d+\s*(?=\\(?:sqrt|pi)(?![A-Za-z]))", "")(gold)
    yield from everywhere(r"\\sqrt\{([2-9]\d*)\}", r"{\1}")(gold)
    yield from everywhere(r"(?<=[a-z)])\^\{?[2-9]\}?", "")(gold)
    if re.fullmatch(r"-?[2-9]\s*[a-z]", gold):
        yield gold[:-1].strip()


def upside_down(gold: str) -> Iterator[str]:
    for match in re.finditer(r"\\[dt]?frac\{([1-9]\d*)\}\{([1-9]\d*)\}", gold):
        if match[1] != match[2]:
            yield f"{gold[: match.start()]}\\frac{{{match[2]}}}{{{match[1]}}}{gold[match.end() :]}"


def members_changed(gold: str) -> Iterator[str]:
    """One member of a list, set or tuple too few, one too many."""
    if is_prose(gold) or "dots" in gold or re.fullmatch(r"-?\d{1,3}(,(\\!)?\d{3})+(\.\d+)?", gold):
        return
    for opening, closing in (("\\{", "\\}"), ("(", ")"), ("", "")):
        parts = members(inside(gold, opening, closing) or "")
        if len(set(parts)) > 1 and len(set(parts)) == len(parts) and not any(re.search(r"[()\[\]=]", p) for p in parts):
            yield opening + ",".join(parts[1:]) + closing
            yield opening + ",".join([*parts, "99"]) + closing
            return


def relation(gold: str) -> Iterator[str]:
    yield from everywhere(r"<|\\lt(?![A-Za-z])", ">")(gold)
    yield from everywhere(r"\\(?:leq?|leqslant)(?![A-Za-z])", r"\\ge ")(gold)
    yield from everywhere(r"\\(?:leq?|leqslant)(?![A-Za-z])", "<")(gold)
    yield from everywhere(r"\\(?:geq?|geqslant)(?![A-Za-z])", r"\\le ")(gold)
    yield from everywhere(r"\\cup", r"\\cap ")(gold)


def variable(gold: str) -> Iterator[str]:
    names = [name for name in sorted(set(re.findall(r"(?<![A-Za-z\\])[a-z](?![A-Za-z])", gold))) if name not in "ei"]
    if names and not is_prose(gold) and not re.search(r"\\(sum|prod|int|mid)|\|", gold):
        other = "z" if "z" not in names else "q"
        yield re.sub(rf"(?<![A-Za-z\\]){names[0]}(?![A-Za-z])", other, gold)


def number(gold: str) -> Iterator[str]:
    """What is often written beside, before or after a whole number; the point of a decimal moved."""
    if re.fullmatch(r"-?[1-9]\d*", gold):
        yield from (f"{gold}0", f"1{gold.lstrip('-')}", f"{gold}, 5{gold.lstrip('-')}", f"\\frac{{{gold}}}{{2}}")
        yield from (gold + after for after in (".5", "\\%", "_7", "\\pi", "x", "i", "!+7"))
    decimal = re.fullmatch(r"(-?[1-9]\d*)\.(\d+)", gold)
    if decimal:
        yield f"{decimal[1]}{decimal[2][0]}.{decimal[2][1:] or 0}"


def base(gold: str) -> Iterator[str]:
    found = re.fullmatch(r"(\d[\dA-F]*)_\{?(\d+)\}?", gold)
    if found:
        yield from (found[1], f"{found[1]}_{{{int(found[2]) + 1}}}")


def letters(gold: str) -> Iterator[str]:
    choice = re.fullmatch(r"\\text(?:bf)?\{\(?([A-Y])\)?\}|\(?([A-Y])\)?", gold)
    if choice:
        yield gold.replace(choice[1] or choice[2], chr(ord(choice[1] or choice[2]) + 1))
    if re.fullmatch(r"\\text\{[a-z]{3,}\}", gold):
        yield from (gold[:-2] + "}", gold.replace("{", "{un", 1))


def unit(gold: str) -> Iterator[str]:
    found = re.fullmatch(r"-?[1-9][\d.]*\s*\\(?:text|mathrm|mbox)\s*\{[~\s]*([a-z]+)\s*\}", gold)
    other = {"cm": "m", "m": "cm", "km": "m", "ft": "inches", "feet": "inches", "inches": "feet", "hours": "minutes"}
    if found and found[1] in other:
        yield re.sub(rf"{found[1]}(?=\s*\}}$)", other[found[1]], gold)


def rounded(gold: str) -> Iterator[str]:
    fraction, root = WHOLE_FRACTION.fullmatch(gold), re.fullmatch(r"\\sqrt\{(\d+)\}", gold)
    if fraction and int(fraction[3]):
        exact = Fraction(int(fraction[2]), int(fraction[3]))
        for places in (3, 8, 12):
            text = f"{float(exact):.{places}f}"
            if Fraction(text) != exact:
                yield fraction[1] + text
    if root and int(root[1]) ** 0.5 % 1:
        yield from (f"{int(root[1]) ** 0.5:.8f}", f"{int(root[1]) ** 0.5:.12f}")


def derivation(gold: str) -> bool:
    """Whether the gold answer is a computation, whose terms may change without its result."""
    return "]\\left[" in gold or gold.count("=") > 1


NEAR_MISSES: dict[str, Change] = {
    "sign": sign,
    "inner sign": everywhere(r"(?<=[\w})\]])(\s*)\+(\s*)(?=[1-9a-z\\(])", r"\1-\2"),
    "off by one": off_by_one,
    "digits swapped": digits_swapped,
    "entries swapped": entries_swapped,
    "matrix changed": matrix_changed,
    "brackets": brackets,
    "factor dropped": factor_dropped,
    "upside down": upside_down,
    "members changed": members_changed,
    "relation": relation,
    "variable": variable,
    "number": number,
    "base": base,
    "letters": letters,
    "unit": unit,
    "rounded": rounded,
}
