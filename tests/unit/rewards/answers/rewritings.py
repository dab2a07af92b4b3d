"""Mechanical rewritings of a gold answer that a person would call the same answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

Rewriting = Callable[[str], "str | None"]
"""The rewritten gold, or None where it does not apply."""

WHOLE_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(\d+)\}\{(\d+)\}")
MATRIX = re.compile(r"\\begin\{[pb]matrix\}(.*?)\\end\{[pb]matrix\}", re.DOTALL)
_NUMBER = r"-?\d+(\.\d+)?|-?\\frac\{\d+\}\{\d+\}"
_DEGREE = r"\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ)"
_BASED = r"([\dA-F]*\d[\dA-F]*)_\{?(\d+)\}?"
_TOKENS = re.compile(
    r"\\begin\{[a-z]+\}(?:\{[a-z|]+\})?|\\end\{[a-z]+\}|\\[A-Za-z]+|\\.|\d+(?:[.,]\d+)*|\s+|.", re.DOTALL
)
_UNIT = re.compile(
    r"(-?(?:\d[\d.]*|\\[dt]?frac\{\d+\}\{\d+\}))\s*\\(text|mathrm|mbox)\s*\{([^{}]*[A-Za-z][^{}]*)\}(\^\{?\d\}?)?"
)


def is_prose(gold: str) -> bool:
    """Whether the gold answer has words, between which blanks mean something."""
    bare = re.sub(r"\\[A-Za-z]+", " ", gold)
    fonts = r"\\(?:text|mathrm|mbox|textbf|textit|operatorname|rm|hbox)"
    return bool(re.search(fonts, gold) or re.search(r"[A-Za-z]{3,}|\b(or|to|if|is|[Nn]o|at)\b", bare))


def members(text: str) -> list[str]:
    """Parts between the commas that are not inside brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def inside(gold: str, opening: str, closing: str) -> str | None:
    enclosed = gold.startswith(opening) and gold.endswith(closing) and len(gold) > len(opening) + len(closing)
    return gold[len(opening) : len(gold) - len(closing)] if enclosed else None


def replaced(pattern: str, new: str) -> Rewriting:
    def rewrite(gold: str) -> str | None:
        text = re.sub(pattern, new, gold)
        return text if text != gold else None

    return rewrite


def where(pattern: str, new: str) -> Rewriting:
    """For golds that match as a whole."""
    return lambda gold: re.sub(rf"^(?:{pattern})$", new, gold) if re.fullmatch(pattern, gold) else None


def formula(rewrite: Rewriting) -> Rewriting:
    """For golds without words and without TeX's negative blank in numbers."""
    return lambda gold: None if is_prose(gold) or "\\!" in gold else rewrite(gold)


def blanks(gold: str) -> str | None:
    spaced = {"+", "-", "=", ",", "&", "\\cup", "\\le", "\\cdot", "\\\\"}
    return "".join(f" {token} " if token in spaced else token for token in _TOKENS.findall(gold))


def no_blanks(gold: str) -> str | None:
    text = re.sub(r"(?<![A-Za-z\\])\s+|(?<!\\)\s+(?![A-Za-z\s])", "", gold)
    return text if text != gold and not re.search(r"\d\s+\d", gold) else None


def sized_brackets(gold: str) -> str | None:
    if "\\left" in gold:
        plain = re.sub(r"\\(?:left|right)(?![A-Za-z])\s*", "", gold)
        return None if re.search(r"\\left\.|\\right\.|array", gold) else plain
    depths, depth = [], 0
    for token in re.findall(r"\\\{|\\\}|[()\[\]]", gold):
        depth += 1 if token in ("(", "[", "\\{") else -1
        depths.append(depth)
    if not depths or min(depths) < 0 or depth or "\\sqrt[" in gold:
        return None
    text = re.sub(r"\\\{|[(\[]", lambda opening: "\\left" + opening[0], gold)
    return re.sub(r"\\\}|[)\]]", lambda closing: "\\right" + closing[0], text)


def matrix(form: str) -> Rewriting:
    def rewrite(gold: str) -> str | None:
        found = MATRIX.search(gold)
        columns = "c" * (found[1].split("\\\\")[0].count("&") + 1) if found else ""
        return MATRIX.sub(lambda m: form.replace("BODY", m[1]).replace("COLUMNS", columns), gold) if found else None

    return rewrite


def thousands(separator: str) -> Rewriting:
    def rewrite(gold: str) -> str | None:
        if not re.fullmatch(r"-?[1-9]\d{3,}(\.\d+)?", gold):
            return None
        whole, point, part = gold.partition(".")
        return f"{int(whole):,}".replace(",", separator) + point + part

    return rewrite


def decimal(gold: str) -> str | None:
    found = WHOLE_FRACTION.fullmatch(gold)
    if not found or not int(found[3]):
        return None
    exact = Fraction(int(found[2]), int(found[3]))
    places = next((k for k in range(11) if (exact * 10**k).denominator == 1), None)
    if places is None:
        return None
    digits = str(int(exact * 10**places)).rjust(places + 1, "0")
    return found[1] + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def fraction(gold: str) -> str | None:
    found = re.fullmatch(r"(-?)(\d*)\.(\d+)", gold)
    if not found:
        return None
    exact = Fraction(int((found[2] or "0") + found[3]), 10 ** len(found[3]))
    return f"{found[1]}\\frac{{{exact.numerator}}}{{{exact.denominator}}}"


def mixed(form: str) -> Rewriting:
    def rewrite(gold: str) -> str | None:
        found = WHOLE_FRACTION.fullmatch(gold)
        whole, rest = divmod(int(found[2]), int(found[3])) if found and int(found[3]) else (0, 0)
        return found[1] + form % (whole, rest, found[3]) if found and whole and rest else None

    return rewrite


def reordered(gold: str) -> str | None:
    """A set or a list without brackets, from its last member to its first."""
    body = inside(gold, "\\{", "\\}")
    parts = members(body if body is not None else gold)
    unordered = body is not None or not re.match(r"\\left|[(\[{]|\\\{", gold) or len(parts) > 1 < gold.count(")")
    single = len(set(parts)) < 2 or any(not p or p.count("(") != p.count(")") for p in parts)
    if (
        single
        or not unordered
        or re.search(r"\.$|\\\$|dots|=|;|\||\\mid|:", gold)
        or re.fullmatch(r"-?\d{1,3}(,\d{3})+", gold)
    ):
        return None
    return gold.replace(body if body is not None else gold, ", ".join(reversed(parts)))


def named(prefix: str) -> Rewriting:
    other = r"[=<>,&x]|\\[lg]e|\\in|\\ne|%|\\cup|\\pm|matrix|\\equiv|\\approx|:|;|_\{?\d|\\circ|\\[$]"
    return lambda gold: None if not gold or re.search(other, gold) else prefix + gold


def without_unit(gold: str) -> str | None:
    found = _UNIT.fullmatch(gold)
    other = r"[~\s]*(th|st|nd|rd|and|or|if|for|percent|[ap]\.?m)\b|.*,"
    return found[1] if found and not re.match(other, found[3]) else None


REWRITINGS: dict[str, Rewriting] = {
    "blanks": formula(blanks),
    "no blanks": formula(no_blanks),
    "thin blanks": formula(replaced(r"(?<=[,+=])\s*", r"\\, ")),
    "outer blanks": "  {} ".format,
    "new lines": "\n{}\n".format,
    "braces": "{{{}}}".format,
    "dollars": lambda gold: None if "$" in gold else f"${gold}$",
    "math parentheses": r"\({}\)".format,
    "display style": r"\displaystyle {}".format,
    "full stop": lambda gold: None if gold.endswith(".") else gold + ".",
    "dfrac": replaced(r"\\[dt]?frac(?![A-Za-z])", r"\\dfrac"),
    "tfrac": replaced(r"\\[dt]?frac(?![A-Za-z])", r"\\tfrac"),
    "short frac": replaced(r"\\frac\{(\d)\}\{(\d)\}(?!\d)", r"\\frac\1\2"),
    "slash": where(WHOLE_FRACTION.pattern, r"\1\2/\3"),
    "minus in numerator": where(r"-\\frac\{(\d+)\}\{(\d+)\}", r"\\frac{-\1}{\2}"),
    "sized brackets": sized_brackets,
    "bmatrix": matrix(r"\begin{bmatrix}BODY\end{bmatrix}"),
    "array": matrix(r"\left[\begin{array}{COLUMNS}BODY\end{array}\right]"),
    "round matrix": matrix(r"\left(\begin{matrix}BODY\end{matrix}\right)"),
    "matrix blanks": lambda g: g.replace("\\\\", " \\\\ ").replace("&", " & ") if MATRIX.search(g) else None,
    "matrix no blanks": lambda g: re.sub(r"\s*(\\\\|&)\s*(?![A-Za-z])", r"\1", g) if MATRIX.search(g) else None,
    "comma": thousands(","),
    "braced comma": thousands("{,}"),
    "tight comma": thousands(",\\!"),
    "thin blank in number": thousands("\\,"),
    "blank in number": thousands(" "),
    "unit": where(_NUMBER, r"\g<0>\\text{ cm}"),
    "unit in roman": where(_NUMBER, r"\g<0>~\\mathrm{m/s}"),
    "square unit": where(_NUMBER, r"\g<0> \\text{ cm}^2"),
    "units": where(_NUMBER, r"\g<0> \\text{ square units}"),
    "things": where(r"\d+", r"\g<0> apples"),
    "without unit": without_unit,
    "unit in another font": lambda gold: re.sub(r"\\(text|mbox)", r"\\mathrm", gold) if without_unit(gold) else None,
    "money": where(r"\d+(\.\d+)?", r"\\$\g<0>"),
    "without money": where(r"\\\$\s*([\d.]+)", r"\1"),
    "dollars in words": where(r"\\\$\s*([\d.]+)", r"\1\\text{ dollars}"),
    "without degrees": where(rf"(-?\d+(?:\.\d+)?){_DEGREE}", r"\1"),
    "degrees braced": replaced(r"\^\s*\\circ", r"^{\\circ}"),
    "degree sign": replaced(_DEGREE, "°"),
    "degree command": replaced(_DEGREE, r"\\degree"),
    "degrees in words": where(rf"(-?\d+(?:\.\d+)?){_DEGREE}", r"\1\\text{ degrees}"),
    "percent bare": replaced(r"\\%", "%"),
    "percent in words": where(r"([\d.]+)\s*\\?%", r"\1\\text{ percent}"),
    "percent as decimal": lambda g: str(float(Fraction(g[:-2]) / 100)) if re.fullmatch(r"\d+(\.\d)?\\%", g) else None,
    "base braced": where(_BASED, r"\1_{\2}"),
    "base bare": where(r"(\d+)_\{?(\d)\}?", r"\1_\2"),
    "base in text": where(_BASED, r"\1_{\\text{\2}}"),
    "base after parentheses": where(_BASED, r"(\1)_{\2}"),
    "mixed": mixed(r"%s\frac{%s}{%s}"),
    "mixed dfrac": mixed(r"%s \dfrac{%s}{%s}"),
    "mixed with a blank": mixed(r"%s\ \frac{%s}{%s}"),
    "mixed in one line": mixed("%s %s/%s"),
    "decimal": decimal,
    "fraction": fraction,
    "trailing zero": where(r"-?\d*\.\d+", r"\g<0>0"),
    "point zero": where(r"-?\d+", r"\g<0>.0"),
    "leading zero": where(r"(-?)\.(\d+)", r"\g<1>0.\2"),
    "no leading zero": where(r"(-?)0\.(\d+)", r"\1.\2"),
    "plus": where(r"\d+(\.\d+)?", r"+\g<0>"),
    "scientific": where(r"(-?\d+(?:\.\d+)?)[eE]([+-]?)0*(\d+)", r"\1 \\times 10^{\2\3}"),
    "x=": formula(named("x=")),
    "f(t) =": formula(named("f(t) = ")),
    "without x=": where(r"[a-z]\s*=\s*(-?\d+|-?\\frac\{\d+\}\{\d+\})", r"\1"),
    "other order": formula(reordered),
    "brace commands": lambda g: g.replace("\\{", "\\lbrace ").replace("\\}", "\\rbrace ") if "\\{" in g else None,
    "text": replaced(r"\\(?:mathrm|textbf|mbox)(?=\{)", r"\\text"),
    "bold text": replaced(r"\\text(?=\{)", r"\\textbf"),
    "without text": where(r"\\text(?:bf)?\{([A-Za-z ]+|\([A-Z]\))\}", r"\1"),
    "in text": where(r"-?\d+|[A-Z][a-z]{2,}|[A-E]|\([A-E]\)", r"\\text{\g<0>}"),
    "letter alone": where(r"\\text(?:bf)?\{\(([A-Z])\)\}", r"\1"),
    "exponent braced": replaced(r"\^(\d)(?!\d)", r"^{\1}"),
    "exponent bare": replaced(r"\^\{([0-9a-z])\}(?!\w)", r"^\1"),
    "root bare": replaced(r"\\sqrt\{(\d)\}(?!\w)", r"\\sqrt\1"),
    "root braced": replaced(r"\\sqrt\s?(\d)", r"\\sqrt{\1}"),
    "times": lambda g: None if re.search(r"\\(sin|cos|tan|ln|log)", g) else formula(
        replaced(r"(?<![\w^_{}])(\d+)\s*(?=\\sqrt\{?\d|\\pi)", r"\1 \\cdot "))(g),
    "plus infinity": formula(replaced(r",\s*\\infty", r",+\\infty")),
    "relation commands": replaced(r"\\([lgn])e(?![A-Za-z])", r"\\\1eq"),
}  # fmt: skip
