"""Copying drills: conversations in which the assistant repeats a short meaningless string.

A model learns slowly to copy new strings from tool calls, where names and values are a few tokens among many, and
quickly from short strings of random letters (the induction heads of https://arxiv.org/abs/2209.11895). Tool calls then
only have to teach what to copy.
"""

from __future__ import annotations

import random
from typing import Literal

from .options import Positive
from .rows import Row

LETTERS = {
    "en": ("bcdfghjklmnprstvwz", "aeiouy"),
    "bg": ("бвгджзйклмнпрстфхцчшщ", "аъоуеияю"),
}
LONGEST = 3
"""Words of a string."""


def demonstrations(
    split: Literal["train"] = "train", size: int = 1000, seed: int = 0, turns: Positive = 8
) -> list[Row]:
    """Conversations of `turns` strings, each said by the user and repeated by the assistant.

    Args:
        split: Strings of different splits are drawn apart.
        size: Conversations.
        seed: Choice of strings.
        turns: Strings a conversation.
    """
    rng = random.Random(f"{seed}/{split}")
    rows: list[Row] = []
    for index in range(size):
        messages = []
        for _ in range(turns):
            said = _string(rng)
            messages += [{"role": "user", "content": said}, {"role": "assistant", "content": said}]
        rows.append({"id": f"copying/{split}/{seed}/{index}", "task": "copying", "messages": messages})
    return rows


def _string(rng: random.Random) -> str:
    consonants, vowels = LETTERS[rng.choice(sorted(LETTERS))]
    words = []
    for _ in range(rng.randint(1, LONGEST)):
        if rng.random() < 0.2:
            words.append(str(rng.randrange(10 ** rng.randint(1, 4))))
        else:
            word = "".join(rng.choice(consonants) + rng.choice(vowels) for _ in range(rng.randint(1, 4)))
            words.append(word.capitalize() if rng.random() < 0.3 else word)
    return rng.choice((" ", " ", "_")).join(words)
