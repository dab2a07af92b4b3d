"""Passages of a small world for prompt compression: facts that are asked for, facts that never are, and filler.

Passages are programmes of events. A fact is three words in a row: a kind of event, a person and a subject ("Today we
have song pilot river and more."). Questions are only about the kinds in ``ASKABLE``; facts about the ``DISTRACTORS``
look the same. So neither surprise nor similarity tells which facts matter, only what readers are asked: a random half
of the facts answers half of the questions. Each word is one token of the shipped tokenizer. The words are adjacent for
the shipped base, which has no induction heads and learns to copy adjacent words in minutes, others not in an hour.

Row columns for rewards and evaluation: ``passage``; ``budget`` (tokens of the reader); ``questions``, a JSON list of
``{"question", "answer"}``; ``facts``, a JSON list of ``{"entity", "attribute", "value", "askable"}``. The questions
are never in the prompt.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from ..options import Count, Positive, Share, provides
from ..rows import Row, RowError

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
PARAPHRASES = ("This week people find {note} at the street.", "There is {note} on the calendar.")
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


TRAINED = ("pretrain", "train")
SPLITS = (*TRAINED, "test", "paraphrases")
HELD_OUT = 10
"""One in so many facts is in no passage of the splits ``TRAINED``."""
FILLERS = 8
BUDGET = 12
"""Three notes and the marks between them."""
UNSAID = 0.2
"""Share of the conversations about a text with a question that it does not answer."""
WORDS = ENTITIES + ASKABLE + DISTRACTORS + VALUES
INSTRUCTION = "Notes of at most {budget} tokens:"


@dataclass(frozen=True)
class Fact:
    """One fact; ``askable`` if questions are about its kind."""

    entity: str
    attribute: str
    value: str

    @property
    def askable(self) -> bool:
        """Whether questions are about this kind of fact."""
        return self.attribute in ASKABLE

    @property
    def note(self) -> str:
        """The fact in three words."""
        return f"{self.attribute} {self.entity} {self.value}"

    @property
    def question(self) -> str:
        """The question that the note answers."""
        return f"{self.attribute} {self.entity}?"


def note_of(facts: Iterable[Fact]) -> str:
    """Terse notes: one fact after the other in three words each."""
    return "; ".join(fact.note for fact in facts)


def facts_of(row: Row) -> list[Fact]:
    """The facts of a row's passage, in their order there."""
    return [Fact(item["entity"], item["attribute"], item["value"]) for item in json.loads(row["facts"])]


@provides("passage", "budget", "questions")
def rows(
    split: Literal["train", "test", "paraphrases"] = "train",
    size: int | None = None,
    seed: int = 0,
    askable: Positive = 3,
    distractors: Count = 3,
    fillers: Count = FILLERS,
    budget: Positive = BUDGET,
) -> list[Row]:
    """Generated passages to compress: facts that questions are about, facts that look like them, and filler.

    Args:
        split: ``train``; ``test`` (also facts that are in no passage of ``train``); ``paraphrases`` (as ``test``, with
            sentences and filler of other forms).
        size: Number of rows (default 1000).
        seed: Choice of facts, order and wording.
        askable: Facts of a passage that questions are about.
        distractors: Facts of a passage that no question is about.
        fillers: Sentences of a passage that say nothing of anybody.
        budget: Most tokens of a capsule, in the reader's tokenizer.

    Raises:
        RowError: The split is unknown, or there are more facts than people.
    """
    rng = _random(split, seed, "rows")
    if askable < 1 or distractors < 0 or askable + distractors > len(ENTITIES):
        raise RowError(
            f"passages · facts · found askable {askable}, distractors {distractors} · at least 1 askable, at most "
            f"{len(ENTITIES)} together"
        )
    found: list[Row] = []
    for index in range(1000 if size is None else size):
        facts = draw_facts(rng, askable, distractors, split)
        text = passage(facts, fillers, rng, split)
        found.append(
            {
                "id": f"passages/{split}/{seed}/{index}",
                "task": "compression",
                "prompt": [{"role": "user", "content": f"{text}\n{INSTRUCTION.format(budget=budget)}"}],
                "passage": text,
                "budget": budget,
                "questions": json.dumps(
                    [{"question": fact.question, "answer": fact.note} for fact in facts if fact.askable]
                ),
                "facts": json.dumps([asdict(fact) | {"askable": fact.askable} for fact in facts]),
            }
        )
    return found


def draw_facts(rng: random.Random, askable: int, distractors: int, split: str) -> list[Fact]:
    """Facts of one passage in random order; no two about the same person, nor with the same value."""
    kinds = rng.choices(ASKABLE, k=askable) + rng.choices(DISTRACTORS, k=distractors)
    pairs = zip(rng.sample(ENTITIES, len(kinds)), kinds, strict=True)
    values = rng.sample(VALUES, len(VALUES))
    facts = []
    for entity, attribute in pairs:
        at = next(i for i, value in enumerate(values) if split not in TRAINED or not held_out(entity, attribute, value))
        facts.append(Fact(entity, attribute, values.pop(at)))
    rng.shuffle(facts)
    return facts


def passage(facts: Iterable[Fact], fillers: int, rng: random.Random, split: str = "train") -> str:
    """A text that says each fact once, among sentences of filler."""
    templates = PARAPHRASES if split == "paraphrases" else TEMPLATES
    sentences = [rng.choice(templates).format(note=fact.note) for fact in facts]
    for _ in range(fillers):
        sentences.insert(rng.randint(0, len(sentences)), filler(rng, split == "paraphrases"))
    return " ".join(sentences)


def held_out(entity: str, attribute: str, value: str) -> bool:
    """Whether a fact is kept for the splits that are not trained on."""
    digest = hashlib.blake2b(f"{entity} {attribute} {value}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) % HELD_OUT == 0


def demonstrations(
    split: Literal["train", "test", "paraphrases", "pretrain"] = "train",
    size: int | None = 1000,
    seed: int = 0,
    notes: Share = 0.5,
    complete: Share = 0.0,
    drills: Share = 0.0,
    drill: Positive = 8,
    budget: Positive = BUDGET,
) -> list[Row]:
    """Conversations that teach to read and to take notes, but not what matters: the start of reinforcement learning.

    Notes are of one to six random facts of a passage, in its order; complete ones, of all its facts, teach copying from
    a text fastest. Reading is answering a question on each fact of a passage or of notes, and sometimes one that the
    text does not answer (``missing``). An answer repeats what was asked. No fact is asked for twice: the earlier answer
    would be easier to find than the text. Drills repeat random words, the fastest start for a model that cannot copy.

    Args:
        split: As for ``rows``.
        size: Number of rows (default 1000).
        seed: Choice of everything.
        notes: Share of rows that are notes.
        complete: Share of rows that are complete notes.
        drills: Share of rows that are drills; what is left is reading.
        drill: Texts of a drill.
        budget: Limit that the instruction names; the notes ignore it.
    """
    rng = _random(split, seed, "demonstrations")
    makers = {
        "notes": lambda: _noting(rng, split, budget),
        "complete": lambda: _noting(rng, split, budget, complete=True),
        "drills": lambda: _drill(rng, drill),
        "reading": lambda: _reading(rng, split),
    }
    shares = (notes, complete, drills, max(0.0, 1 - notes - complete - drills))
    found: list[Row] = []
    for index in range(1000 if size is None else size):
        messages = makers[rng.choices(tuple(makers), shares)[0]]()
        found.append({"id": f"passages/{split}/{seed}/d{index}", "task": "compression", "messages": messages})
    return found


def _noting(rng: random.Random, split: str, budget: int, complete: bool = False) -> list[dict[str, str]]:
    facts = draw_facts(rng, 3, 3, split)
    text = passage(facts, rng.randint(0, FILLERS), rng, split)
    chosen = range(6) if complete else sorted(rng.sample(range(6), rng.randint(1, 6)))
    return [
        {"role": "user", "content": f"{text}\n{INSTRUCTION.format(budget=budget)}"},
        {"role": "assistant", "content": note_of(facts[at] for at in chosen)},
    ]


def _drill(rng: random.Random, texts: int) -> list[dict[str, str]]:
    messages = []
    for _ in range(texts):
        text = " ".join(rng.sample(WORDS, rng.randint(4, 12)))
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
    return messages


def _reading(rng: random.Random, split: str) -> list[dict[str, str]]:
    facts = draw_facts(rng, rng.randint(1, 3), rng.randint(1, 3), split)
    text = note_of(facts) if rng.random() < 0.4 else passage(facts, rng.randint(0, FILLERS), rng, split)
    asked = rng.sample(facts, len(facts))
    if rng.random() < UNSAID:
        asked.insert(rng.randint(0, len(asked)), _unsaid(rng, facts))
    messages: list[dict[str, str]] = []
    for fact in asked:
        question = fact.question if messages else f"{text}\n{fact.question}"
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": fact.note}]
    return messages


def _unsaid(rng: random.Random, facts: list[Fact]) -> Fact:
    """A fact about somebody of whom a text says nothing."""
    entity = rng.choice([name for name in ENTITIES if name not in {fact.entity for fact in facts}])
    return Fact(entity, rng.choice(ASKABLE + DISTRACTORS), UNKNOWN)


def _random(split: str, seed: int, purpose: str) -> random.Random:
    if split not in SPLITS:
        raise RowError(f"passages · split · found {split!r} · one of {', '.join(SPLITS)}")
    return random.Random(f"passages {purpose} {split} {seed}")
