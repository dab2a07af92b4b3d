"""Names in Latin letters, as the authorities of a language write them.

The Bulgarian table is that of the Transliteration Act of 2009 (Articles 3 to 6): one Latin spelling for each letter,
``-ия`` at the end of a word is ``-ia``, and България is ``Bulgaria``. It differs from tables made for Russian (щ is
``sht``, ъ is ``a``) and from informal spellings (й is ``y``, х is ``h``, ц is ``ts``), so that Търговище is
``Targovishte``. The German table is ICAO Doc 9303-3, section 6: names in the machine-readable zone of a passport.
"""

from __future__ import annotations

import re
import unicodedata
from functools import partial

from ...rows import RowError

_BULGARIAN = (
    "а=a б=b в=v г=g д=d е=e ж=zh з=z и=i й=y к=k л=l м=m н=n о=o п=p р=r с=s т=t у=u "
    "ф=f х=h ц=ts ч=ch ш=sh щ=sht ъ=a ь=y ю=yu я=ya ѝ=i"
)
TABLES: dict[str, dict[str, str]] = {
    "bg": dict(pair.split("=") for pair in _BULGARIAN.split()),
    "de": {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"},
    "en": {},
}
"""Latin spelling of each lower-case letter, by language."""
# Whole words and ends of words with a spelling of their own; they go before the letters.
_SPECIAL = {"bg": {r"(?<![^\W\d_])българия(?![^\W\d_])": "bulgaria", r"ия(?![^\W\d_])": "ia"}}
_STRESS = re.compile("[\u0300\u0301]")  # marks that dictionaries put on a stressed vowel


def latin(text: str, language: str) -> str:
    """Write a text of a language in Latin letters; digits, spaces and punctuation stay.

    A capital that becomes several letters is all capitals inside a word of capitals (``ЩИТ`` is ``SHTIT``) and has one
    capital otherwise (``Щит`` is ``Shtit``, the initial ``Щ.`` is ``Sht.``).

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
    for pattern, spelling in _SPECIAL.get(language, {}).items():
        composed = re.sub(pattern, partial(_cased, spelling), composed, flags=re.IGNORECASE)
    written = "".join(_letter(composed, place, table) for place in range(len(composed)))
    left = sorted({letter for letter in written if _is_foreign(letter)})
    if left:
        raise RowError(f"transliteration · {language} · {text!r} · found {' '.join(left)} · use letters of the table")
    return written


def _cased(spelling: str, source: re.Match[str]) -> str:
    if source[0].isupper():
        return spelling.upper()
    return spelling.capitalize() if source[0][0].isupper() else spelling


def _letter(text: str, place: int, table: dict[str, str]) -> str:
    letter = text[place]
    spelling = table.get(letter.lower(), letter)
    if letter.islower() or len(spelling) < 2:
        return spelling if letter.islower() else spelling.upper()
    neighbour = next((near for near in (text[place + 1 : place + 2], text[:place][-1:]) if near.isalpha()), "")
    return spelling.upper() if neighbour.isupper() else spelling.capitalize()


def _is_foreign(letter: str) -> bool:
    return letter.isalpha() and not letter.isascii() and "LATIN" not in unicodedata.name(letter, "")
