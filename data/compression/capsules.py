"""Text functions of prompt compression: cleaning, normalising, sentences in any script, common runs."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise

_KEPT_CONTROLS = "\n\t"
_JOINERS = "\u200c\u200d"  # Persian and Indic scripts, and joined emoji, are written with them
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")

_STOPS = ".!?…。！？｡．।॥؟۔։።။៕᠃"
_WIDE_STOPS = "。！？｡"  # no space follows them
_CLOSERS = "\"'”’»›)\\]}）」』】〉》"
_SENTENCE_END = re.compile(
    rf"[{_WIDE_STOPS}]++[{_CLOSERS}]*+\s*+"
    rf"|(?<![{re.escape(_STOPS)}])[{re.escape(_STOPS)}]++[{_CLOSERS}]*+(?=\s|$)\s*+"
    r"|\n\s*+"
)
_CLAUSE_END = re.compile(r"[,;:](?=\s|$)\s*+|[、，；：،؛\t\n|]\s*+|(?<!\s)\s++[—–-]++\s++")
_ABBREVIATION = re.compile(
    r"(?:\b[^\W\d_]|\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|No|Nr|Fig|Eq|Sec|Vol|pp?|cf|ca|approx|e\.g|i\.e|z\.B|d\.h|т\.е|"
    r"г|ул|стр))\.$",
    re.IGNORECASE,
)
_UNSPACED = re.compile(  # Han, kana, Thai, Lao, Khmer, Burmese: words are not set apart
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1780-\u17ff\u1000-\u109f]"
)
_WORD = re.compile(rf"{_UNSPACED.pattern}|(?:(?!{_UNSPACED.pattern})\w)+")

Span = tuple[int, int]


def clean(text: str) -> str:
    r"""The text without characters that no tokenizer or reader should see, and with line ends of one kind.

    Control, private and unpaired surrogate characters are dropped, and format characters (zero-width space, direction
    marks) but for the joiners that scripts need.
    """
    text = _LINE_ENDS.sub("\n", text)
    unseen = [ord(character) for character in set(text) if _unseen(character)]
    return text.translate(dict.fromkeys(unseen)) if unseen else text


def _unseen(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs")
        and character not in _KEPT_CONTROLS
        and character not in _JOINERS
    )


def normalise(text: str) -> str:
    """The text for comparison: cleaned, NFKC (full-width letters and ligatures become plain ones), single spaces."""
    return " ".join(unicodedata.normalize("NFKC", clean(text)).split())


def words(text: str) -> list[str]:
    """The words of a text without case; in scripts without spaces, each character is a word."""
    return _WORD.findall(normalise(text).casefold())


def sentence_spans(text: str) -> list[Span]:
    """Where the sentences of a text are, without the white space around them.

    A sentence ends at a stop mark of any script, or at a line end, unless the line goes on with a lower-case letter
    and no mark stands before (wrapped text). Abbreviations and initials (one capital) do not end one. Text in a script
    without stop marks (Thai) has a sentence a line.
    """
    spans, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        if _ends_sentence(text, start, match):
            spans.append((start, match.end()))
            start = match.end()
    spans.append((start, len(text)))
    return [stripped for span in spans if (stripped := _strip(text, span))]


def sentences(text: str) -> list[str]:
    """The sentences of a text, see `sentence_spans`."""
    return [text[start:end] for start, end in sentence_spans(text)]


def clause_spans(text: str) -> list[Span]:
    """Where the parts of a sentence between commas, colons, dashes and table bars are."""
    ends = [match.end() for match in _CLAUSE_END.finditer(text)]
    spans = zip([0, *ends], [*ends, len(text)], strict=True)
    return [stripped for span in spans if (stripped := _strip(text, span))]


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    after = text[match.end() : match.end() + 1]
    mark = match.group().rstrip()
    if not mark:  # a line end alone
        return match.group().count("\n") > 1 or not after.islower()
    if mark != ".":
        return True
    if after.islower() and "\n\n" not in match.group():
        return False
    short = _ABBREVIATION.search(text[max(start, match.start() - 12) : match.start() + 1])
    initial = short is not None and len(short.group()) == 2 and not short.group().islower()
    return not after or "\n" in match.group() or not (initial or (short and len(short.group()) > 2))


def _strip(text: str, span: Span) -> Span | None:
    start, end = span
    start, end = end - len(text[start:end].lstrip()), start + len(text[start:end].rstrip())
    return (start, end) if start < end else None


def longest_prefix(text: str, fits: Callable[[str], bool]) -> str:
    """The longest beginning that fits and ends at a clause, else at a word, else between two characters; "" if none.

    Used where not even one whole sentence fits. Beginnings of a text that fits are taken to fit, and the answer is
    checked.
    """
    clauses, words = clause_spans(text), re.finditer(r"\S+", text)
    for places in ([end for _, end in clauses], [word.end() for word in words], _character_ends(text)):
        count = _number_that_fit(text, places, fits)
        # Counts of tokens need not grow with every letter, so what is found steps back until it fits.
        for end in reversed(places[:count]):
            prefix = text[:end].rstrip(" ,;:-–—、，；：")
            if prefix and fits(prefix):
                return prefix
    return ""


def _number_that_fit(text: str, ends: Sequence[int], fits: Callable[[str], bool]) -> int:
    """How many of the beginnings fit, by doubling, then halving: a long text is tried near its start."""
    high = 1
    while high < len(ends) and fits(text[: ends[high - 1]]):
        high *= 2
    places = range(min(high, len(ends)))
    return bisect_left(places, True, lo=high // 2, key=lambda place: not fits(text[: ends[place]]))


def _character_ends(text: str) -> list[int]:
    """Places between letters, not before a mark that belongs to the letter before it nor inside a joined emoji."""
    joined = [
        following in _JOINERS or character in _JOINERS or unicodedata.category(following).startswith("M")
        for character, following in pairwise(text)
    ]
    return [*(end for end, inside in enumerate(joined, start=1) if not inside), *([len(text)] if text else [])]


def longest_common_run(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Length of the longest run of items that both sequences have: the longest common substring of two strings.

    Row by row of the usual table, but only where items are equal.
    """
    places: dict[Hashable, list[int]] = {}
    for index, item in enumerate(second):
        places.setdefault(item, []).append(index)
    longest, ending = 0, dict[int, int]()
    for item in first:
        ending = {index: ending.get(index - 1, 0) + 1 for index in places.get(item, ())}
        longest = max(longest, max(ending.values(), default=0))
    return longest


def scripts(text: str) -> dict[str, float]:
    """Share of the letters of a text by script."""
    counts = Counter(_script(character) for character in text if character.isalpha())
    return {name: count / counts.total() for name, count in counts.items()}


def _script(character: str) -> str:
    """First word of the character's name; kana and Han are one script, since Japanese mixes them."""
    first = unicodedata.name(character, "UNKNOWN").split()[0].split("-")[0]
    return "CJK" if first in ("HIRAGANA", "KATAKANA", "FULLWIDTH", "HALFWIDTH", "KATAKANA-HIRAGANA") else first
