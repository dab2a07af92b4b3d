"""Literals, which must survive compression unchanged: numbers, dates, names, and what a user names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .capsules import clean, normalise, sentences, words

Literal = str | re.Pattern[str] | Callable[[str], Sequence[str]]
"""What must be kept: the text itself, every match of a pattern, or all that a function finds (`numbers`, `names`)."""

_NUMBER = re.compile(r"\d+(?:[.,'’\u00a0\u202f]\d+)*")
_DATE = re.compile(
    r"\b\d{4}[-./]\d{1,2}[-./]\d{1,2}\b|\b\d{1,2}[-./]\d{1,2}[-./]\d{2,4}\b"
    r"|\b\d{1,2}(?:\.|st|nd|rd|th)?\s(?:of\s)?[^\W\d_]{3,}\.?,?\s\d{4}\b"
    r"|\b[^\W\d_]{3,}\.?\s\d{1,2}(?:st|nd|rd|th)?,\s\d{4}\b|\d{4}年\d{1,2}月\d{1,2}日"
)
_CASED_WORD = re.compile(r"[^\W\d_][\w’'-]*")
_GROUPED = re.compile(r"\d{1,3}(?:([.,'’\u00a0\u202f])\d{3})(?:\1\d{3})*")
_SHORT = 3  # letters of an opening word that is no news: The, In, He, Als, Это


def numbers(text: str) -> list[str]:
    """The numbers of a text as they are written, without signs and units, each once."""
    return _distinct(_NUMBER.findall(comparable(text)))


def dates(text: str) -> list[str]:
    """The dates of a text as they are written: of digits, or a day, a word and a year; each once."""
    return _distinct(match.group() for match in _DATE.finditer(comparable(text)))


def names(text: str, openings: bool = False) -> list[str]:
    """Words with a capital letter, each once: names, and in German all nouns. Scripts without capitals have none.

    With `openings` also the first word of a sentence if it has more than three letters; without, a first word counts
    only where the next one has a capital too, or where capitals follow inside it.
    """
    found: list[str] = []
    for sentence in sentences(text):
        tokens = [match.group().rstrip("'’-") for match in _CASED_WORD.finditer(normalise(sentence))]
        for index, token in enumerate(tokens):
            if not token[0].isupper() or len(token) < 2:
                continue
            follows = index + 1 < len(tokens) and tokens[index + 1][0].isupper()
            opens = openings and len(token) > _SHORT
            if index > 0 or opens or any(map(str.isupper, token[1:])) or (follows and len(token) > _SHORT):
                found.append(token)
    return _distinct(found)


KINDS: dict[str, Callable[[str], list[str]]] = {"numbers": numbers, "dates": dates, "names": names}
"""Functions by the name that a command line gives them."""


@dataclass(frozen=True)
class Grounding:
    """Share of a text's numbers, dates and names that its source has (1 for a text without any), and those it lacks."""

    score: float
    absent: tuple[str, ...]


class Source:
    """A text that others are checked against; its numbers and words are read once.

    Numbers are equal in any spelling with the same value (`1,200` and `1200`, `3,5` and `3.5`); a date is there if its
    numbers and its month are; a name may be inflected. Numbers as words are not read: `3` for `three` counts as absent.
    """

    def __init__(self, text: str) -> None:
        self._numbers = {form for number in numbers(text) for form in _forms(number)}
        self._words: dict[str, set[str]] = {}
        for word in words(text):
            self._words.setdefault(word[:4], set()).add(word)

    def grounding(self, text: str) -> Grounding:
        """Compare the numbers, dates and names of a text with those of the source."""
        claimed = {number: self._has_number(number) for number in numbers(text)}
        claimed |= {name: self._has_name(name) for name in names(text, openings=True)}
        for date in dates(text):
            months = [word for word in _CASED_WORD.findall(date) if len(word) >= 3]
            claimed[date] = all(map(self._has_number, numbers(date))) and all(map(self._has_name, months))
        absent = tuple(literal for literal, known in claimed.items() if not known)
        return Grounding(1 - len(absent) / len(claimed) if claimed else 1.0, absent)

    def _has_number(self, number: str) -> bool:
        return bool(_forms(number) & self._numbers)

    def _has_name(self, name: str) -> bool:
        return all(any(_same_word(part, word) for word in self._words.get(part[:4], ())) for part in words(name))


@dataclass(frozen=True)
class Kept:
    """A literal of a source that must be kept.

    `whole`: it must stand for itself, `5` not in `15` or `2.5`, nor `Ann` in `Annex`; False for parts of words in the
    source.
    """

    text: str
    whole: bool = True

    def within(self, comparable_text: str) -> bool:
        """Whether a text, made `comparable`, holds the literal. Case counts."""
        literal = comparable(self.text)
        return _stands(comparable_text, literal) if self.whole else literal in comparable_text


def comparable(text: str) -> str:
    """The text as literals are looked for in it: normalised, with the digits of all scripts as 0 to 9."""
    return _digits(normalise(text))


def required(source: str, must_keep: Iterable[Literal]) -> tuple[list[Kept], list[str]]:
    """What of a source must be kept, each once; and those strings of `must_keep` that it does not have."""
    text = comparable(source)
    found: dict[str, str] = {}
    unknown: list[str] = []
    for entry in must_keep:
        if isinstance(entry, str):
            key = comparable(entry)
            if key and key in text:
                found.setdefault(key, " ".join(clean(entry).split()))
            else:
                unknown.append(entry)
        else:
            matches = (
                (match.group() for match in entry.finditer(text)) if isinstance(entry, re.Pattern) else entry(text)
            )
            found |= {key: match for match in matches if (key := comparable(match)) and key not in found}
    return [Kept(literal, _stands(text, key)) for key, literal in found.items()], unknown


def missing(text: str, literals: Iterable[Kept]) -> list[Kept]:
    """The literals that a text does not hold."""
    held = comparable(text)
    return [literal for literal in literals if not literal.within(held)]


def _stands(text: str, literal: str) -> bool:
    at = text.find(literal)
    while at >= 0:
        end = at + len(literal)
        if not (_glued(text[max(0, at - 2) : at], literal) or _glued(text[end : end + 2][::-1], literal[::-1])):
            return True
        at = text.find(literal, at + 1)
    return False


def _glued(before: str, literal: str) -> bool:
    """Whether a literal continues to the left, as `5` does in `15` and `2.5`; reversed texts tell about the right."""
    last, first = before[-1:], literal[:1]
    if first.isdigit():
        return last.isdigit() or (len(before) == 2 and before[0].isdigit() and last in ".,")
    return _cased(first) and _cased(last)


def _cased(character: str) -> bool:
    """Whether a letter is of a script with capitals; others set no spaces between words."""
    return character.lower() != character.upper()


def _digits(text: str) -> str:
    """Digits of all scripts as 0 to 9."""
    return text if text.isascii() else "".join(str(unicodedata.digit(character, character)) for character in text)


def _forms(number: str) -> set[str]:
    """The values a spelling of a number may mean: `1.234` is 1234 or 1.234."""
    forms = {_plain(re.sub(r"['’\s]", "", number).replace(",", "."))}
    if _GROUPED.fullmatch(number):
        forms.add(_plain(re.sub(r"\D", "", number)))
    grouped = re.fullmatch(r"(\d{1,3}(?:[.,]\d{3})+)([.,])(\d+)", number)
    if grouped:
        forms.add(_plain(re.sub(r"\D", "", grouped[1]) + "." + grouped[3]))
    return forms


def _plain(number: str) -> str:
    """Without leading zeros and zeros after the point."""
    whole, dot, fraction = number.partition(".")
    fraction = fraction.rstrip("0") if "." not in fraction else fraction
    return (whole.lstrip("0") or "0") + (dot + fraction if fraction else "")


def _same_word(word: str, other: str) -> bool:
    """Whether two words are one but for their last three letters at most, four letters shared."""
    shared = max(4, max(len(word), len(other)) - 3)
    return word == other or word[:shared] == other[:shared]


def _distinct(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
