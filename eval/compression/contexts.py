"""What stands in place of a passage: nothing, the passage itself, its capsule, another one's, a floor and a ceiling."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...data.compression.capsules import sentences
from ...data.compression.passages import Fact, facts_of, note_of
from ...data.rows import Row
from ...rewards.capsule.utility import read_questions
from .results import CAPSULE, FULL, NONE, ORACLE, RANDOM_FACTS, SWAPPED

if TYPE_CHECKING:
    from ...rewards.capsule.reader import Reader


def contexts(rows: Sequence[Row], capsules: Sequence[str], reader: Reader, seed: int = 0) -> dict[str, list[str]]:
    """Return `{source: [passages]}`, all but the full passages within the budget of each row.

    Random facts (the floor) and the oracle (the ceiling) fill the budget, not the length of the capsule. Where rows
    carry their facts, they are notes of facts drawn from all, and of those that are asked for. Elsewhere there is no
    such floor, and the oracle is the sentences of the passage that hold an answer.

    Args:
        rows: With `passage`, `budget`, `questions` and perhaps `facts`.
        capsules: As they were written; whatever is over the budget is dropped, as the paper's cut-off does.
        reader: Its tokenizer measures the budget.
        seed: Of the random facts.
    """
    cut = [reader.cut(text, row["budget"]) for text, row in zip(capsules, rows, strict=True)]
    passages = [row["passage"] for row in rows]
    found = {FULL: passages, CAPSULE: cut, NONE: [""] * len(rows)}
    partners = swapped(passages)
    if partners is not None:
        found[SWAPPED] = [cut[partner] for partner in partners]
    if all(row.get("facts") for row in rows):
        found[RANDOM_FACTS] = [random_facts(row, reader, random.Random(f"{seed} {row['id']}")) for row in rows]
        found[ORACLE] = [_notes([fact for fact in facts_of(row) if fact.askable], row, reader) for row in rows]
    else:
        found[ORACLE] = [answer_sentences(row, reader) for row in rows]
    return found


def swapped(passages: Sequence[str]) -> list[int] | None:
    """Return for each passage the place of the next different one; None if all are the same text."""
    if len(set(passages)) < 2:
        return None
    partners = []
    for place, passage in enumerate(passages):
        others = (k % len(passages) for k in range(place + 1, place + len(passages)))
        partners.append(next(k for k in others if passages[k] != passage))
    return partners


def random_facts(row: Row, reader: Reader, rng: random.Random) -> str:
    """Return notes of facts in random order, as many as the budget holds: true, and blind to what is asked."""
    facts = facts_of(row)
    return _notes(rng.sample(facts, len(facts)), row, reader)


def answer_sentences(row: Row, reader: Reader) -> str:
    """Return the sentences that hold an answer word for word, in their order, cut to the budget."""
    asked = read_questions(row["questions"])
    wanted = [text.casefold() for question in asked for text in (question.answer, *question.accepted) if text]
    holding = [s for s in sentences(row["passage"]) if any(text in s.casefold() for text in wanted)]
    return reader.cut(" ".join(holding), row["budget"])


def _notes(facts: Sequence[Fact], row: Row, reader: Reader) -> str:
    """Return notes of the first facts, as many as the budget holds."""
    text = ""
    for end in range(1, len(facts) + 1):
        longer = note_of(facts[:end])
        if reader.count(longer) > row["budget"]:
            break
        text = longer
    return text
