"""Words and sentences of the small world of passages; each word is one token of the shipped tokenizer."""

from __future__ import annotations

import random

ENTITIES = tuple("pilot doctor nurse farmer painter captain teacher chef singer driver author actor".split())
ASKABLE = ("song", "picture", "movie", "lesson")
DISTRACTORS = ("trip", "concert", "meeting", "message")
VALUES = tuple(
    "river island tower castle bridge garden beach harbor mountain museum stadium factory library hospital airport "
    "farm park ship wagon statue theater restaurant bank company".split()
)
UNKNOWN = "missing"
"""The answer to what a text does not say."""

TEMPLATES = (
    "Today we have {note} and more.",
    "Tomorrow you can book {note} here.",
    "Next is {note} for people.",
    "The hotel has {note} this evening.",
)
PARAPHRASES = (
    "This week people find {note} at the street.",
    "There is {note} on the calendar.",
)
"""Sentences that no passage of the split `train` has."""

_TIMES = ("Today", "Tomorrow", "Next week", "This morning", "This evening")
_PEOPLE = ("we", "you", "people")
_VERBS = ("find", "open", "close", "book", "add", "show", "remove", "send", "count", "need")
_THINGS = ("ticket", "room", "table", "street", "price", "phone", "calendar", "currency", "weather", "music")
_OTHER_THINGS = ("recipe", "order", "address", "number", "trophy", "season")


def filler(rng: random.Random, other: bool = False) -> str:
    """A sentence about nobody; with other words where `other`."""
    things = _OTHER_THINGS if other else _THINGS
    return f"{rng.choice(_TIMES)} {rng.choice(_PEOPLE)} can {rng.choice(_VERBS)} the {rng.choice(things)}."
