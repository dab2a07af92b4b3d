"""Script and language of a short text, without a model or a dictionary.

Letters distinguish Bulgarian from English, and a few function words distinguish languages of one script. Where neither
decides (``OK``, ``42``, a name) the answer is ``unclear``. After the word-level pass rate of language confusion (arXiv
2406.20052, section 3), with Unicode ranges in place of a language identifier.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

Verdict = Literal["right", "wrong", "unclear"]

# Script of each language; a language that is not listed is taken to be written in Latin letters.
SCRIPTS: dict[str, str] = {
    **dict.fromkeys(("bg", "mk", "ru", "sr", "uk", "be", "kk"), "Cyrillic"),
    **dict.fromkeys(("ar", "fa", "ur"), "Arabic"),
    **dict.fromkeys(("hi", "mr", "ne"), "Devanagari"),
    **{"el": "Greek", "he": "Hebrew", "hy": "Armenian", "ka": "Georgian", "th": "Thai"},
    **{"zh": "Han", "ja": "Japanese", "ko": "Hangul"},
}

_RANGES: dict[str, str] = {
    "Latin": "A-Za-zª-ºÀ-ÖØ-öø-ɏḀ-ỿ",
    "Cyrillic": "Ѐ-ӿԀ-ԯ",
    "Greek": "Ͱ-Ͽἀ-῿",
    "Arabic": "؀-ۿݐ-ݿ",
    "Devanagari": "ऀ-ॿ",
    "Hebrew": "֐-׿",
    "Armenian": "԰-֏",
    "Georgian": "Ⴀ-ჿ",
    "Thai": "฀-๿",
    "Han": "㐀-䶿一-鿿",
    "Japanese": "぀-ヿ㐀-䶿一-鿿",
    "Hangul": "가-힣ᄀ-ᇿ",
}

# Letters of the script that the language does not have.
_FOREIGN_LETTERS: dict[str, str] = {"bg": "ЫыЭэЁёІіЇїЄєЎўҐґЈјЉљЊњЋћЂђЏџЃѓЌќЅѕ", "ru": "ІіЇїЄєЎўҐґЈјЉљЊњЋћЂђЏџЃѓЌќЅѕ"}

# Frequent words that belong to one of these languages alone.
FUNCTION_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the of and to is are you your i it this that these which what where when how who with for from "
        "can cannot not do does did please sorry have has could would should there my we they be been at by",
        "de": "der das dem ein eine einen einem einer und oder ist sind ich sie wir ihr mein nicht kein keine "
        "mit von zu für auf aus bei nach wie wer wo wann welche welcher welches welchen bitte kann können "
        "möchten haben habe wird werden über leider diese dieser dieses auch noch im zum zur",
        "fr": "le les une et est sont vous je elle nous cette quel quelle où quand pour avec dans sur pas ne "
        "merci désolé aux votre mon peux pouvez",
        "es": "el las y usted yo él nosotros este esta qué cuál dónde cuándo cómo para con por lo siento "
        "gracias del su puede puedo",
        "it": "gli uno è sono lei io noi questo questa quale dove quando della nel non grazie",
    }.items()
}
_ANY_WORD = re.compile(r"[^\W\d_]+")


def share(text: str, script: str) -> float:
    """Share of the letters of a text that are of a script, 0 to 1; 0 for a text without letters."""
    letters = sum(map(str.isalpha, text))
    return len(_letters(script).findall(text)) / letters if letters else 0.0


def foreign_words(text: str, language: str, ignore: Iterable[str] = ()) -> list[str]:
    """Words of a model's text that its language (two-letter code) should not hold, apart from those in `ignore`.

    For a language of another script: words of three or more Latin letters. For a language of Latin letters: words of
    any other script. In both: words with a letter that the language lacks.
    """
    found = _foreign(SCRIPTS.get(language, "Latin"), language).findall(text)
    if not found:
        return []
    known = {word for other in ignore for word in _ANY_WORD.findall(other.casefold())}
    return [word for word in found if word.isalpha() and word.casefold() not in known]


def language_of(text: str, language: str, ignore: Sequence[str] = ()) -> Verdict:
    """Whether a text is of a language.

    ``wrong`` needs evidence: a foreign word, or more function words of another language than of this one. ``right``
    needs it as well: a letter of the language's own script, or a function word. Args are those of ``foreign_words``.
    """
    script = SCRIPTS.get(language, "Latin")
    text = unicodedata.normalize("NFC", text)
    if foreign_words(text, language, ignore):
        return "wrong"
    if script != "Latin":
        return "right" if _letters(script).search(text) else "unclear"
    if language not in FUNCTION_WORDS:
        return "unclear"
    words = _ANY_WORD.findall(text.lower())
    votes = {name: sum(word in listed for word in words) for name, listed in FUNCTION_WORDS.items()}
    own = votes.pop(language)
    other = max(votes.values())
    return "wrong" if other > own else "right" if own > other else "unclear"


@lru_cache
def _letters(script: str) -> re.Pattern[str]:
    return re.compile(f"[{_RANGES[script]}]")


@lru_cache
def _foreign(script: str, language: str) -> re.Pattern[str]:
    lacking = _FOREIGN_LETTERS.get(language, "")
    # Without its own letters, Latin letters, digits and the underscore, a word is of a third script.
    parts = [rf"[^\W\d_A-Za-z{_RANGES['Latin']}{_RANGES[script]}]+"]
    if script != "Latin":
        parts.append(f"[{_RANGES['Latin']}]{{3,}}")
    if lacking:
        parts.append(rf"[^\W\d_]*[{lacking}][^\W\d_]*")
    return re.compile("|".join(parts))
