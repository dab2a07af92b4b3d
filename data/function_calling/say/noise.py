"""Slips of a user's pen: never inside of a value, so that the gold stays right."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping

_WORD = re.compile(r"\w{4,}")


def slip(text: str, kept: Iterable[str], informal: Mapping[str, str], rng: random.Random) -> str:
    """The text with one slip: two letters swapped, no capital, no full stop, or a word in informal letters.

    Args:
        text: A user's text.
        kept: Parts that stay as they are.
        informal: How users type letters of the language without its keyboard; may be empty. The
            language of a text stays plain, so one word only is typed so.
        rng: Source of chance.
    """
    parts = _parts(text, kept)
    free = [place for place, (part, is_free) in enumerate(parts) if is_free and part.strip()]
    kind = rng.choice(("swap", "lower", "point", "informal"))
    if kind == "swap" and free:
        place = rng.choice(free)
        parts[place] = (_swap(parts[place][0], rng), True)
    elif kind == "lower" and parts[0][1]:
        parts[0] = (parts[0][0][:1].lower() + parts[0][0][1:], True)
    elif kind == "point" and parts[-1][1]:
        parts[-1] = (parts[-1][0].rstrip(".?!"), True)
    elif kind == "informal" and informal and free:
        place = rng.choice(free)
        parts[place] = (_informal(parts[place][0], informal, rng), True)
    return "".join(part for part, _ in parts)


def _parts(text: str, kept: Iterable[str]) -> list[tuple[str, bool]]:
    """The text cut around the parts that stay; the flag says whether a part may change."""
    longest = sorted({word for word in kept if word}, key=len, reverse=True)
    if not longest:
        return [(text, True)]
    pattern = "|".join(map(re.escape, longest))
    cut = re.split(f"({pattern})", text)
    return [(part, place % 2 == 0) for place, part in enumerate(cut)]


def _informal(text: str, letters: Mapping[str, str], rng: random.Random) -> str:
    words = list(_WORD.finditer(text))
    if not words:
        return text
    word = rng.choice(words)
    return text[: word.start()] + word[0].translate(str.maketrans(dict(letters))) + text[word.end() :]


def _swap(text: str, rng: random.Random) -> str:
    words = list(_WORD.finditer(text))
    if not words:
        return text
    word = rng.choice(words)
    # Not the first letter: readers need it most.
    place = rng.randrange(word.start() + 1, word.end() - 1)
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]
