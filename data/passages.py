"""Passages of a small world for prompt compression: facts that are asked for, facts that never are, and filler.

A fact is a person, a kind of work and its subject: "The pilot has a song about the river." Questions are only ever
about the kinds in ``ASKABLE``; facts about the ``DISTRACTORS`` look the same. So what a passage is worth to a reader
cannot be told from its text, neither by surprise nor by likeness, only from what readers are asked: a random choice
of half of the facts answers half of the questions. The words are single tokens of the shipped tokenizer.

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

from .passage_words import ASKABLE, DISTRACTORS, ENTITIES, PARAPHRASES, TEMPLATES, UNKNOWN, VALUES, filler
from .rows import Row, RowError

TRAINED = ("pretrain", "train")
SPLITS = (*TRAINED, "test", "paraphrases")
HELD_OUT = 10
"""One in so many facts is in no passage of the splits ``TRAINED``."""
FILLERS = 2
BUDGET = 12
"""Three notes and the marks between them."""
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


def read_notes(text: str) -> list[tuple[str, ...]]:
    """The notes of a text as tuples of words; well-formed ones have three."""
    return [tuple(part.split()) for part in text.replace(".", ";").replace("\n", ";").split(";") if part.strip()]


def grounded(text: str, facts: Iterable[Fact]) -> float | None:
    """Share of the notes of a text that are facts of its passage; None for a text without notes."""
    known = {(fact.attribute, fact.entity, fact.value) for fact in facts}
    notes = read_notes(text)
    return sum(note in known for note in notes) / len(notes) if notes else None


def facts_of(row: Row) -> list[Fact]:
    """The facts of a row's passage, in their order there."""
    return [Fact(item["entity"], item["attribute"], item["value"]) for item in json.loads(row["facts"])]


def rows(
    split: str,
    size: int | None = None,
    seed: int = 0,
    askable: int = 3,
    distractors: int = 3,
    fillers: int = FILLERS,
    budget: int = BUDGET,
) -> list[Row]:
    """Passages to compress.

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
        found = f"askable {askable}, distractors {distractors}"
        raise RowError(f"passages · facts · found {found} · at least 1 askable, at most {len(ENTITIES)} together")
    found = []
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
    sentences = [rng.choice(templates).format(e=fact.entity, a=fact.attribute, v=fact.value) for fact in facts]
    for _ in range(fillers):
        sentences.insert(rng.randint(0, len(sentences)), filler(rng, split == "paraphrases"))
    return " ".join(sentences)


def held_out(entity: str, attribute: str, value: str) -> bool:
    """Whether a fact is kept for the splits that are not trained on."""
    digest = hashlib.blake2b(f"{entity} {attribute} {value}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) % HELD_OUT == 0


def demonstrations(
    split: str = "train",
    size: int | None = None,
    seed: int = 0,
    notes: float = 0.5,
    drills: float = 0.0,
    questions: int = 8,
    budget: int = BUDGET,
) -> list[Row]:
    """Conversations that teach to read and to take notes, but not what matters: the start of reinforcement learning.

    Notes are of one to six random facts of a passage. Reading is answering questions on a passage, on the bare
    sentences of its facts, on notes or on nothing, with ``missing`` where the text does not say. An answer
    repeats what was asked. Drills repeat random
    words of the world, from which a model that has never had to copy learns it soonest.

    Args:
        split: As for ``rows``.
        size: Number of rows (default 1000).
        seed: Choice of everything.
        notes: Share of rows that are notes.
        drills: Share of rows that are drills; what is left is reading.
        questions: Questions of a reading row, and texts of a drill.
        budget: Limit that the instruction names; the notes pay no heed to it.
    """
    rng = _random(split, seed, "demonstrations")
    found: list[Row] = []
    for index in range(1000 if size is None else size):
        kind = rng.choices(("notes", "drills", "reading"), (notes, drills, max(0.0, 1 - notes - drills)))[0]
        makers = {
            "notes": lambda: _noting(rng, split, budget),
            "drills": lambda: _drill(rng, questions),
            "reading": lambda: _reading(rng, split, questions),
        }
        messages = makers[kind]()
        found.append({"id": f"passages/{split}/{seed}/d{index}", "task": "compression", "messages": messages})
    return found


def _noting(rng: random.Random, split: str, budget: int) -> list[dict[str, str]]:
    facts = draw_facts(rng, 3, 3, split)
    text = passage(facts, FILLERS, rng, split)
    chosen = rng.sample(facts, rng.randint(1, len(facts)))
    return [
        {"role": "user", "content": f"{text}\n{INSTRUCTION.format(budget=budget)}"},
        {"role": "assistant", "content": note_of(chosen)},
    ]


def _drill(rng: random.Random, texts: int) -> list[dict[str, str]]:
    words = ENTITIES + ASKABLE + DISTRACTORS + VALUES
    messages = []
    for _ in range(texts):
        text = " ".join(rng.choices(words, k=rng.randint(4, 12)))
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
    return messages


def _reading(rng: random.Random, split: str, questions: int) -> list[dict[str, str]]:
    facts = draw_facts(rng, rng.randint(1, 3), rng.randint(0, 3), split)
    form = rng.choices(("passage", "facts", "notes", "nothing"), (0.45, 0.1, 0.4, 0.05))[0]
    texts = {
        "passage": lambda: passage(facts, FILLERS, rng, split),
        "facts": lambda: passage(facts, 0, rng, split),
        "notes": lambda: note_of(facts),
        "nothing": lambda: "",
    }
    text, known = texts[form](), facts if form != "nothing" else []
    messages = []
    for number in range(questions):
        asked = rng.choice(known) if known and rng.random() < 0.75 else _unsaid(rng, facts, known)
        question = f"{text}\n{asked.question}".lstrip() if number == 0 else asked.question
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": asked.note}]
    return messages


def _unsaid(rng: random.Random, facts: list[Fact], known: list[Fact]) -> Fact:
    """A fact that a text does not say; half of the time about somebody of whom it may say another."""
    entity = rng.choice(facts).entity if rng.random() < 0.5 else rng.choice(ENTITIES)
    attribute = rng.choice(ASKABLE + DISTRACTORS)
    said = [fact for fact in known if (fact.entity, fact.attribute) == (entity, attribute)]
    return said[0] if said else Fact(entity, attribute, UNKNOWN)


def _random(split: str, seed: int, purpose: str) -> random.Random:
    if split not in SPLITS:
        raise RowError(f"passages · split · found {split!r} · one of {', '.join(SPLITS)}")
    return random.Random(f"passages {purpose} {split} {seed}")
