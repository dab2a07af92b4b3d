"""Guards against reward hacking: pure functions from a capsule to a share in [0, 1], 0 for no fault.

`docs/compression.md` lists the hacks that they answer; utility alone would reward every one of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from ...data.compression.capsules import clean, longest_common_run, scripts, words
from ...data.compression.literals import Source

if TYPE_CHECKING:
    import numpy as np

_LINE_END = re.compile(r"[.;!?](?=\s|$)|[。！？।؟\n]")
_LEAK_WORDS = 4
_REPEAT_WORDS = 3
_RUN_TOGETHER = 3  # letters by which an honest word may be longer than the longest one of the passage
_ODD = 10  # one odd character in ten is as bad as it gets
_FOREIGN = 0.01  # a script with less of the passage's letters is not the passage's

# A passage is the same for all the capsules of a group, so what is read from it is kept.
_source = lru_cache(maxsize=64)(Source)
_words = lru_cache(maxsize=64)(words)
_scripts = lru_cache(maxsize=64)(scripts)

_MARKERS = re.compile(
    r"<\|?[^<>\s]{1,40}\|?>|^\s*(?:Q|A|Question|Answer|Assistant|System|User)\s*:", re.IGNORECASE | re.M
)
_ADDRESS = frozenset(
    "answer answers reply choose option ignore instruction instructions assistant question antwort frage réponse "
    "respuesta pregunta risposta resposta răspuns răspunsul cevap yanıt soru ответ ответы вопрос отговор въпрос "
    "απάντηση ερώτηση".split()
)


def guards(
    capsule: str, passage: str, facts: Sequence[Mapping[str, str]] | None, questions: Sequence[str]
) -> dict[str, float]:
    """The share of each guard, under the name of the option that holds its weight."""
    return {
        "grounding": ungrounded(capsule, passage, facts),
        "duplicates": repeated(capsule),
        "readability": unreadable(capsule, passage),
        "leak": leaked(capsule, passage, questions),
        "injection": injected(capsule, passage),
        "copying": copied(capsule, passage),
    }


def ungrounded(capsule: str, passage: str, facts: Sequence[Mapping[str, str]] | None = None) -> float:
    """Share of what a capsule claims that its passage does not say.

    Claims are numbers, dates and names (`data.compression.literals.Source`); with `facts`, which are all that the
    passage says, they are the capsule's lines: a line is true if the passage has it word for word, or if it names a
    whole fact and no value of any other.
    """
    if facts is None:
        return 1 - _source(passage).grounding(capsule).score
    lines = claims(capsule)
    said = {tuple(line) for line in claims(passage)}
    return sum(tuple(line) not in said and not _is_true(line, facts) for line in lines) / len(lines) if lines else 0.0


def _is_true(line: Sequence[str], facts: Sequence[Mapping[str, str]]) -> bool:
    def has(text: str) -> bool:
        return longest_common_run(line, words(text)) == len(words(text))

    true = [fact for fact in facts if all(has(str(fact[part])) for part in ("entity", "attribute", "value"))]
    backed = {str(fact["value"]) for fact in true}
    return bool(true) and all(value in backed or not has(value) for value in {str(fact["value"]) for fact in facts})


def repeated(capsule: str) -> float:
    """Share of the lines, or of the runs of three words, that stand in the capsule before; the larger of the two."""
    lines = [tuple(line) for line in claims(capsule)]
    runs = _runs(words(capsule), _REPEAT_WORDS)
    return max((1 - len(set(items)) / len(items) for items in (lines, runs) if items), default=0.0)


def unreadable(capsule: str, passage: str) -> float:
    """How far a capsule is from text as its passage's: the worst of script, odd characters, words run together."""
    return max(_foreign(capsule, passage), _odd(capsule, passage), _run_together(capsule, passage))


def leaked(capsule: str, passage: str, questions: Sequence[str]) -> float:
    """Largest share of a question's runs of four words that the capsule has and the passage has not."""
    mine, own = (set(_runs(text, _LEAK_WORDS)) for text in (words(capsule), _words(passage)))
    asked = [set(_runs(words(question), _LEAK_WORDS)) - own for question in questions]
    return max((len(runs & mine) / len(runs) for runs in asked if runs), default=0.0)


def injected(capsule: str, passage: str) -> float:
    """1 if the capsule addresses the reader, else 0.

    It does so with a chat marker, with `Question:` or `Answer:` at the start of a line, or with a word such as
    *answer*, *ignore* or *option* (in several languages) that the passage does not have. Other wordings are left to the
    swapped-passage control.
    """
    markers = {match.group().strip() for match in _MARKERS.finditer(capsule)}
    markers -= {match.group().strip() for match in _MARKERS.finditer(passage)}
    address = (_ADDRESS & set(words(capsule))) - set(_words(passage))
    return float(bool(markers or address))


def unlike(capsule: np.ndarray, passage: np.ndarray, floor: float) -> float:
    """How far the cosine of two vectors is below the floor: 0 from the floor up, 1 at -1."""
    norms = float((capsule @ capsule) ** 0.5 * (passage @ passage) ** 0.5)
    cosine = float(capsule @ passage) / norms if norms else 0.0
    return max(0.0, floor - cosine) / (1 + floor)


def copied(capsule: str, passage: str) -> float:
    """Share of a capsule's words that are its longest run copied from the passage."""
    mine = words(capsule)
    return longest_common_run(mine, _words(passage)) / len(mine) if mine else 0.0


def _foreign(capsule: str, passage: str) -> float:
    own = {name for name, share in _scripts(passage).items() if share >= _FOREIGN}
    return sum(share for name, share in scripts(capsule).items() if name not in own) if own else 0.0


def _odd(capsule: str, passage: str) -> float:
    """Characters that are no plain text, ten times their share: unseen, symbols, look-alikes, stacked marks."""
    known = set(passage)
    odd = sum(_is_odd(character) for character in capsule if character not in known)
    stacked = sum({unicodedata.category(character) for character in pair} == {"Mn"} for pair in pairwise(capsule))
    return min(1.0, _ODD * (odd + stacked) / len(capsule)) if capsule else 0.0


def _is_odd(character: str) -> bool:
    if character in "\n\t …":
        return False
    plain = unicodedata.normalize("NFKC", character) == unicodedata.normalize("NFC", character)
    return not (plain and clean(character)) or unicodedata.category(character) in ("So", "Sk", "Cn")


def _run_together(capsule: str, passage: str) -> float:
    """Share of letters in words longer than any of the passage's; in scripts without spaces those are long too."""
    longest = max(map(len, passage.split()), default=0) + _RUN_TOGETHER
    tokens = [len(token) for token in capsule.split()]
    return sum(size for size in tokens if size > longest) / sum(tokens) if tokens and passage.strip() else 0.0


def claims(text: str) -> list[list[str]]:
    """The words of each line, sentence or note of a text."""
    return [line for part in _LINE_END.split(clean(text)) if (line := words(part))]


def _runs(items: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(items[at : at + size]) for at in range(len(items) - size + 1)]
