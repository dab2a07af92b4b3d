"""Slot values: drawn first, put into a user's words afterwards.

Closed kinds (enums, currencies, dishes) have a lexicon in each pack. Open kinds (names, texts, numbers, dates, codes)
are drawn from sets that a checksum divides in two: values of training, and values that only the split ``values`` uses.
"""

from __future__ import annotations

import datetime
import random
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from .library import Parameter, SlotKind, load_library
from .pack_model import Pack

FIRST_DAY = datetime.date(2026, 1, 1)
DAYS = 730
UNSEEN_SHARE = 4
"""One value in this many is kept for the split ``values``."""
NUMBER_WORDS = 0.3
"""Share of numbers said in words where the pack has the word."""


def is_unseen(kind: str, value: Any) -> bool:
    """Whether a value of an open kind is kept out of training."""
    return zlib.crc32(f"{kind}={value}".encode()) % UNSEEN_SHARE == 0


def draw(kind: SlotKind, rng: random.Random, pack: Pack, unseen: bool) -> Any:
    """A canonical value: what the call must hold; with `unseen`, one kept out of training."""
    sampler = SAMPLERS[kind.sampler]
    if kind.sampler in CLOSED:
        return sampler(kind, rng, pack, unseen)
    for _ in range(200):
        value = sampler(kind, rng, pack, unseen)
        if kind.sampler in COMPOSED or is_unseen(kind.name, value) == unseen:
            return value
    raise AssertionError(f"{pack.file} · {kind.name} · no {'unseen' if unseen else 'training'} value")


def say(parameter: Parameter, value: Any, form: str, rng: random.Random, pack: Pack) -> str:
    """A user's words for a value, in one inflected form of the pack."""
    kind = parameter.kind
    match kind.sampler:
        case "lexicon":
            return rng.choice(pack.words(kind.name, value, form))
        case "boolean":
            return rng.choice(pack.words(parameter.name, str(value).lower(), form))
        case "integer":
            words = pack.lexicon.get(kind.name, {}).get(str(value), {}).get(form)
            return rng.choice(words) if words and rng.random() < NUMBER_WORDS else str(value)
        case "decimal":
            return str(value).replace(".", pack.section("decimal"))
        case "town":
            return _towns(pack)[value]
        case "date":
            return _say_date(value, rng, pack)
        case "clock":
            return _say_clock(value, rng, pack)
        case "list":
            return join([str(item) for item in value], pack)
        case "object":
            return _fill(pack.section("objects", kind.name), value)
    return str(value)


def _fill(text: str, fields: dict[str, Any]) -> str:
    for name, value in fields.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def join(items: list[str], pack: Pack) -> str:
    """A list in words: the last item after ``join_slots``, the others after ``join_items``."""
    *first, last = items
    return pack.section("join_slots").join([pack.section("join_items").join(first), last]) if first else last


def _say_date(value: str, rng: random.Random, pack: Pack) -> str:
    date = datetime.date.fromisoformat(value)
    parts = {"day": date.day, "month": pack.section("months")[date.month - 1], "year": date.year}
    return _fill(rng.choice(pack.section("dates")), parts)


def _say_clock(value: str, rng: random.Random, pack: Pack) -> str:
    hour, minute = map(int, value.split(":"))
    patterns = [pattern["text"] for pattern in pack.section("clock") if _fits(pattern, hour, minute)]
    parts = {"h": hour, "hh": f"{hour:02}", "h12": (hour - 1) % 12 + 1, "mm": f"{minute:02}"}
    return _fill(rng.choice(patterns), parts)


def _fits(pattern: dict[str, Any], hour: int, minute: int) -> bool:
    first, last = pattern.get("hours", (0, 23))
    return first <= hour <= last and pattern.get("minute", minute) == minute


@lru_cache
def _towns(pack: Pack) -> dict[str, str]:
    """Latin name to the name in the pack's script, towns that exist and invented ones."""
    starts, ends = pack.section("syllables", "start"), pack.section("syllables", "end")
    invented = {a + b: starts[a] + ends[b] for a in starts for b in ends}
    return invented | pack.section("towns")


def _draw_pieces(kind: SlotKind, rng: random.Random, pack: Pack, unseen: bool) -> str:
    pieces = pack.section("pieces", kind.name)
    return pieces["join"].join(map(rng.choice, pieces["parts"]))


def _draw_pattern(kind: SlotKind, rng: random.Random, pack: Pack, unseen: bool) -> str:
    """Letters of a pattern: c consonant, v vowel, d digit, L capital; a pattern of an email ends in @..."""
    pattern, _, host = kind.options["pattern"].partition("@")
    text = "".join(rng.choice(_CLASSES[letter]) if letter in _CLASSES else letter for letter in pattern)
    return f"{text}@mail.com" if host else text


_CLASSES = {"c": "bdfgklmnprst", "v": "aeiou", "d": "123456789", "L": "ABCDEFGHKLMNPRST"}


def _draw_list(kind: SlotKind, rng: random.Random, pack: Pack, unseen: bool) -> list[str]:
    of, size = load_library().slots[kind.options["of"]], rng.choice(kind.options["sizes"])
    found: list[str] = []
    while len(found) < size:
        value = draw(of, rng, pack, unseen)
        if value not in found:
            found.append(value)
    return found


def _draw_object(kind: SlotKind, rng: random.Random, pack: Pack, unseen: bool) -> dict[str, Any]:
    slots = load_library().slots
    return {name: draw(slots[of], rng, pack, unseen) for name, of in kind.options["fields"].items()}


SAMPLERS: dict[str, Callable[[SlotKind, random.Random, Pack, bool], Any]] = {
    "lexicon": lambda kind, rng, pack, unseen: rng.choice(kind.options["values"]),
    "boolean": lambda kind, rng, pack, unseen: rng.random() < 0.5,
    "pieces": _draw_pieces,
    "pattern": _draw_pattern,
    # At least half of the towns exist.
    "town": lambda kind, rng, pack, unseen: rng.choice(
        list(pack.section("towns") if rng.random() < 0.5 else _towns(pack))
    ),
    "date": lambda kind, rng, pack, unseen: (FIRST_DAY + datetime.timedelta(days=rng.randrange(DAYS))).isoformat(),
    "clock": lambda kind, rng, pack, unseen: f"{rng.randrange(24):02}:{rng.choice((0, 0, 0, 15, 30, 45)):02}",
    "integer": lambda kind, rng, pack, unseen: rng.randint(kind.options["minimum"], kind.options["maximum"]),
    "decimal": lambda kind, rng, pack, unseen: rng.randrange(kind.options["minimum"], kind.options["maximum"]) + 0.5,
    "list": _draw_list,
    "object": _draw_object,
}
CLOSED = frozenset({"lexicon", "boolean"})
COMPOSED = frozenset({"list", "object"})  # their parts are drawn as the split asks
