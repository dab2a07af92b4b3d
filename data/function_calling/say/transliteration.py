"""Names in Latin letters, as the authorities of a language write them.

The Bulgarian table is the one of the Transliteration Act of 2009 (Articles 3 to 6): one Latin
spelling a letter, ``-ия`` at the end of a word is ``-ia``, and България is ``Bulgaria``. It differs
from tables made for Russian (щ is ``sht``, ъ is ``a``) and from word-of-mouth spellings (й is ``y``,
х is ``h``, ц is ``ts``), so that Търговище is ``Targovishte`` and София is ``Sofia``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...rows import RowError


@dataclass(frozen=True)
class Table:
    """How a language is written in Latin letters.

    Attributes:
        letters: Lower-case letter to Latin letters, ``"щ" -> "sht"``.
        endings: End of a word to Latin letters, applied before the letters.
        words: Whole words with a spelling of their own, in lower case.
    """

    letters: Mapping[str, str]
    endings: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


_BULGARIAN = (
    "а=a б=b в=v г=g д=d е=e ж=zh з=z и=i й=y к=k л=l м=m н=n о=o п=p р=r с=s т=t у=u "
    "ф=f х=h ц=ts ч=ch ш=sh щ=sht ъ=a ь=y ю=yu я=ya ѝ=i"
)

TABLES: dict[str, Table] = {
    "bg": Table(
        letters=dict(pair.split("=") for pair in _BULGARIAN.split()),
        endings={"ия": "ia"},
        words={"българия": "bulgaria"},
    ),
    # ICAO Doc 9303-3, section 6: how German names stand in the machine-readable zone of a passport.
    "de": Table(letters={"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"}),
    "en": Table(letters={}),
}

_WORD = re.compile(r"[^\W\d_]+")
_STRESS = re.compile("[\u0300\u0301]")  # marks that dictionaries put on a stressed vowel


def latin(text: str, language: str) -> str:
    """Write a text of a language in Latin letters; digits, spaces and punctuation stay.

    A capital that becomes several letters is all capitals inside a word of capitals (``ЩИТ`` is
    ``SHTIT``) and has one capital otherwise (``Щит`` is ``Shtit``, the initial ``Щ.`` is ``Sht.``).

    Args:
        text: A name or a phrase.
        language: A key of ``TABLES``.

    Raises:
        RowError: If the language has no table, or if letters are left that are not Latin.
    """
    table = TABLES.get(language)
    if table is None:
        raise RowError(f"transliteration · language · found {language!r} · one of {', '.join(TABLES)}, or add a table")
    composed = unicodedata.normalize("NFC", text)
    if composed.isascii():
        return composed
    composed = _STRESS.sub("", composed)
    written = _WORD.sub(lambda match: _word(match.group(), table), composed)
    left = sorted({letter for letter in written if _is_foreign(letter)})
    if left:
        raise RowError(f"transliteration · {language} · {text!r} · found {' '.join(left)} · use letters of the table")
    return written


def _word(word: str, table: Table) -> str:
    lower = word.lower()
    whole = table.words.get(lower)
    if whole is not None:
        return _cased(whole, word)
    ending = next((end for end in table.endings if lower.endswith(end)), "")
    stem = len(word) - len(ending)
    letters = [_letter(word, index, table) for index in range(stem)]
    if ending:
        letters.append(_cased(table.endings[ending], word[stem:]))
    return "".join(letters)


def _letter(word: str, index: int, table: Table) -> str:
    letter = word[index]
    latin_letters = table.letters.get(letter.lower(), letter)
    if letter.islower() or len(latin_letters) < 2:
        return latin_letters if letter.islower() else latin_letters.upper()
    neighbour = word[index + 1] if index + 1 < len(word) else word[index - 1 : index]
    return latin_letters.upper() if neighbour.isupper() else latin_letters.capitalize()


def _cased(latin_letters: str, source: str) -> str:
    if len(source) > 1 and source.isupper():
        return latin_letters.upper()
    return latin_letters.capitalize() if source[:1].isupper() else latin_letters


def _is_foreign(letter: str) -> bool:
    return letter.isalpha() and not letter.isascii() and "LATIN" not in unicodedata.name(letter, "")
