r"""Units at the end (or, for money, at the start) of a final answer."""

from __future__ import annotations

import re
from fractions import Fraction

# Units by dimension, each with its size; a unit that is not here is compared as a word.
_SIZES = """
    length: mm millimeter 1/1000, cm centimeter 1/100, m meter 1, km kilometer 1000, in inch 0.0254, ft foot 0.3048,
        yd yard 0.9144, mi mile 1609.344
    mass: mg milligram 1/1000, g gm gram 1, kg kilogram 1000
    time: s sec second 1, min minute 60, h hr hour 3600, day 86400, week 604800
    money: dollar usd 1, cent 1/100
    volume: ml milliliter 1/1000, l liter 1
    angle: deg degree 1
"""
_UNITS = {
    name: (names[0], dimension, Fraction(size))
    for dimension, units in re.findall(r"(\w+):([^:]*)(?=\n)", _SIZES)
    for *names, size in (unit.split() for unit in units.split(","))
    for name in names
}
"""Name of a unit to the name that stands for all of its names, its dimension and its size."""
_IRREGULAR = {"feet": "foot", "inches": "inch", "metre": "meter", "litre": "liter", "°": "degree", "lbs": "lb"}
_GENERIC = frozenset({"unit", "th", "st", "nd", "rd", ""})

_FONT = r"(?:text|mathrm|textrm|textbf|mathbf|mbox|hbox|operatorname|rm|textit|mathit)"
_POWER = r"(?:\s*\^\s*(?:\{?\s*[23]\s*\}?)|[²³])?"
_IN_FONT = re.compile(
    rf"^(.*?[\d}})!\]a-z])((?:\s|~|\\[ ,;:!]|\\q?quad(?![a-zA-Z]))*\\{_FONT}\s*\{{([^{{}}]*)\}}{_POWER})\s*$", re.DOTALL
)
_BARE = re.compile(
    r"^(.*?[\d})])(?:\s|~|\\[ ,;:!])*"
    r"((?:(?:square|sq\.?|cubic|cu\.?)\s+)?[A-Za-z]{2,}(?:\s[a-z]{3,})*(?:/[a-z]{1,6})?" + _POWER + r")\s*$"
)
_DEGREES = re.compile(r"^(.*?[\d})])\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ)\s*$")
_MONEY = re.compile(r"^([-+]?)\s*\\\$\s*(?=[\d.])|^([-+]?)\s*[£€]\s*(?=[\d.])")
_NO_UNIT = re.compile(
    r"(?i)^[\s~,(]*(?:or|and|if|for|is|in|when|where|mod|percent|pct|a\.?m|p\.?m|pi|sin|cos|tan|ln|log|sqrt|i|e|base|to|with)\b"
)


def split_unit(text: str) -> tuple[str, str | None]:
    """The answer without its unit, and the unit; a text that is only words has none."""
    money = _MONEY.match(text)
    if money:
        return (money[1] or money[2] or "") + text[money.end() :], "dollar"
    degrees = _DEGREES.match(text)
    if degrees:
        return degrees[1], "degree"
    for pattern in (_IN_FONT, _BARE):
        found = pattern.match(text)
        if found and _is_value(found[1]) and not _NO_UNIT.match(found[found.lastindex or 2]):
            value, unit = found[1], text[found.end(1) :]
            degrees = _DEGREES.match(value)
            return (degrees[1], "degree " + unit) if degrees else (value, unit)
    return text, None


def ratio(gold: str | None, answer: str | None) -> Fraction | None:
    """How many of the gold unit one of the answer's is; 1 where only one is given, None where they do not compare."""
    if gold is None or answer is None:
        return Fraction(1)
    left, right = _words(gold), _words(answer)
    if left == right or not left or not right or (left[0] == right[0] == "deg" and 1 in (len(left), len(right))):
        return Fraction(1)
    if len(left) == len(right) and left[1:] == right[1:]:
        one, other = _UNITS.get(left[0]), _UNITS.get(right[0])
        power = {"squared": 2, "cubed": 3}.get(left[-1], 1)
        if one and other and one[1] == other[1] and len(left) <= 1 + (power > 1):
            return (other[2] / one[2]) ** power
    return None


def _is_value(text: str) -> bool:
    """Whether a unit can follow: a number, or an expression without words and with braces that close."""
    bare = re.sub(r"\\[A-Za-z]+", "", text)
    return (
        text.count("{") == text.count("}")
        and not text.rstrip().endswith(("_", "^", "\\"))
        and not re.search(r"[A-Za-z]{3,}|,|;|:", re.sub(r"\d,\d{3}|\{,\}|\\,|,\\!", "", bare))
        and bool(re.search(r"\d", text))
        and not re.search(rf"\\{_FONT}\b", text)
    )


def _words(unit: str) -> tuple[str, ...]:
    """Canonical words of a unit: `cm^2`, `sq cm` and `square centimeters` are one; generic ones vanish."""
    text = re.sub(rf"\\{_FONT}(?![a-z])|\\[ ,;:!]|[{{}}~]|\\q?quad", " ", unit)
    text = re.sub(r"\^\s*2|²", " squared ", re.sub(r"\^\s*3|³", " cubed ", text)).replace("/", " per ")
    words = [_singular(word.strip(".,()")) for word in text.split()]
    for name, power in (("square", "squared"), ("sq", "squared"), ("cubic", "cubed"), ("cu", "cubed")):
        if name in words:
            words.remove(name)
            words.append(power)
    words = [word for word in words if word not in _GENERIC]
    return tuple(words) if words not in (["squared"], ["cubed"]) else ()


def _singular(word: str) -> str:
    lower = word if word in ("C", "F", "K", "N", "J", "W", "V", "A") else word.lower()
    lower = _IRREGULAR.get(lower, lower)
    for ending, new in (("metres", "meter"), ("metre", "meter"), ("litres", "liter"), ("s", "")):
        if len(lower) > 3 and lower.endswith(ending) and not lower.endswith("ss"):
            lower = lower.removesuffix(ending) + new
            break
    return _UNITS[lower][0] if lower in _UNITS else lower
