"""Every reader on every context, and the time it takes; results are kept passage by passage."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.chat.renderer import render_prompts
from ...data.compression.capsules import sentences
from ...data.compression.passages import Fact, facts_of, note_of
from ...data.rows import Row
from ...rewards.capsule.guards import ungrounded
from ...rewards.capsule.utility import Question, read_questions
from ..engines.base import Sampling
from ..measure.evaluate import EvaluationError
from ..measure.problems import Answer, Problem
from .costs import Timing, time_batches
from .results import CAPSULE, FULL, NONE, ORACLE, RANDOM_FACTS, SWAPPED, Results

if TYPE_CHECKING:
    from ...rewards.capsule.reader import Encoder, Reader
    from ..engines.base import Engine


def contexts(rows: Sequence[Row], capsules: Sequence[str], reader: Reader, seed: int = 0) -> dict[str, list[str]]:
    """Return `{source: [passages]}`, all but the full passages within the budget of each row.

    Random facts (the floor) and the oracle (the ceiling) fill the budget, not the length of the capsule. Where rows
    carry their facts, they are notes of facts drawn from all, and of those that are asked for. Elsewhere there is no
    such floor, and the oracle is the sentences of the passage that hold an answer.

    Capsules come as they were written; what is over the budget, by the reader's tokenizer, is dropped, as the paper's
    cut-off does.
    """
    cut = [reader.cut(text, row["budget"]) for text, row in zip(capsules, rows, strict=True)]
    passages = [row["passage"] for row in rows]
    found = {FULL: passages, CAPSULE: cut, NONE: [""] * len(rows)}
    partners = swapped(passages)
    if partners is not None:
        found[SWAPPED] = [cut[partner] for partner in partners]
    if all(row.get("facts") for row in rows):
        facts = [facts_of(row) for row in rows]
        drawn = [random.Random(f"{seed} {row['id']}").sample(of, len(of)) for row, of in zip(rows, facts, strict=True)]
        asked = [[fact for fact in of if fact.askable] for of in facts]
        for source, chosen in ((RANDOM_FACTS, drawn), (ORACLE, asked)):
            found[source] = [_notes(some, row, reader) for row, some in zip(rows, chosen, strict=True)]
    else:
        found[ORACLE] = [answer_sentences(row, reader) for row in rows]
    return found


def swapped(passages: Sequence[str]) -> list[int] | None:
    """Return for each passage the place of the next different one; None if all are the same text."""
    if len(set(passages)) < 2:
        return None
    count = len(passages)
    return [
        next(k % count for k in range(place + 1, place + count) if passages[k % count] != passage)
        for place, passage in enumerate(passages)
    ]


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


Baseline = Callable[[Sequence[str], Sequence[int], "Reader"], list[str]]
"""From passages, the tokens to use for each and the reader that counts them to shorter texts."""


@dataclass(frozen=True)
class Written:
    """A capsule as a compressor wrote it; tokens are its own, with the end token if there is one.

    `prompt_tokens` is what it read, `stopped` whether the capsule ended by itself.
    """

    text: str
    prompt_tokens: int
    tokens: int
    stopped: bool


@dataclass(frozen=True)
class Compressor:
    """A model that writes capsules, greedily; it sees a row's prompt and never a question."""

    engine: Engine
    max_tokens: int
    template: Mapping[str, Any] = field(default_factory=dict)

    def write(self, rows: Sequence[Row]) -> list[Written]:
        """Compress the passages of some rows."""
        prompts = render_prompts(rows, self.engine.tokenizer, **self.template)
        completions = self.engine.generate(prompts, Sampling(temperature=0.0, max_tokens=self.max_tokens))
        return [
            Written(answer.text.strip(), len(prompt), len(answer.token_ids), answer.finish_reason == "stop")
            for prompt, (answer,) in zip(prompts, completions, strict=True)
        ]


def measure(
    rows: Sequence[Row],
    capsules: Sequence[Written],
    readers: Sequence[Reader],
    baselines: Mapping[str, Baseline],
    seed: int = 0,
    encoder: Encoder | None = None,
) -> Results:
    """Return the readers' results on capsules, on baselines of the same length, and on the controls.

    The first reader trained the compressor and its tokens measure the budget; baselines, by source, get as many of them
    as the capsule that is read.
    """
    first = readers[0]
    texts = contexts(rows, [capsule.text for capsule in capsules], first, seed)
    allowed = [first.count(text) for text in texts[CAPSULE]]
    texts |= {source: make(texts[FULL], allowed, first) for source, make in baselines.items()}
    return Results(
        ids=[row["id"] for row in rows],
        readers=[reader.name for reader in readers],
        right={source: {r.name: read(rows, of, r) for r in readers} for source, of in texts.items()},
        tokens={source: {r.name: [r.count(text) for text in of] for r in readers} for source, of in texts.items()},
        budgets=[row["budget"] for row in rows],
        written=[first.count(capsule.text) for capsule in capsules],
        stopped=[capsule.stopped for capsule in capsules],
        grounded=[grounding(capsule.text, row) for capsule, row in zip(capsules, rows, strict=True)],
        similarity=similarity(texts[CAPSULE], texts[FULL], encoder) if encoder else [],
        compressor_read=[capsule.prompt_tokens for capsule in capsules],
        compressor_written=[capsule.tokens for capsule in capsules],
        notes=[] if SWAPPED in texts else ["All rows have the same passage, so no capsule could be swapped."],
    )


def read(rows: Sequence[Row], texts: Sequence[str], reader: Reader) -> list[float]:
    """Return the share of each row's questions with a gold answer that a reader answers right, `[rows]`.

    Raises:
        EvaluationError: A row has no such question.
    """
    asked = [(place, question) for place, row in enumerate(rows) for question in _with_gold(row)]
    answers = reader.answers([texts[place] for place, _ in asked], [question.text for _, question in asked])
    right: list[list[bool]] = [[] for _ in rows]
    for (place, question), answer in zip(asked, answers, strict=True):
        right[place].append(question.is_right(answer))
    return [float(np.mean(own)) for own in right]


def similarity(texts: Sequence[str], passages: Sequence[str], encoder: Encoder) -> list[float]:
    """Return the cosine of each text's vector with its passage's; 0 for a text without a vector."""
    first, second = (np.asarray(encoder.embed(list(of)), dtype=np.float64) for of in (texts, passages))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return ((first * second).sum(1) / np.where(lengths > 0, lengths, 1.0)).tolist()


def grounding(capsule: str, row: Row) -> float | None:
    """Return the share of what a capsule claims that its passage says; None for an empty one.

    Claims are a capsule's notes where the row carries the facts of its passage, and numbers, dates and names elsewhere.
    """
    facts = json.loads(row["facts"]) if row.get("facts") else None
    return 1 - ungrounded(capsule, row["passage"], facts) if capsule.strip() else None


def time_work(
    rows: Sequence[Row],
    capsules: Sequence[Written],
    compressor: Compressor,
    budget_reader: Reader,
    fresh_reader: Callable[[], Reader],
    batches: Sequence[int],
    repeats: int,
) -> list[Timing]:
    """Time the compressor and one reader on one question a passage."""
    questions = [_with_gold(row)[0].text for row in rows]
    passages = [row["passage"] for row in rows]
    cut = [budget_reader.cut(capsule.text, row["budget"]) for row, capsule in zip(rows, capsules, strict=True)]

    def compress(places: Sequence[int]) -> list[Written]:
        return compressor.write([rows[place] for place in places])

    def ask(texts: list[str]) -> Callable[[Sequence[int]], list[str]]:
        return lambda places: fresh_reader().answers([texts[p] for p in places], [questions[p] for p in places])

    return time_batches(range(len(rows)), batches, repeats, compress, ask(passages), ask(cut))


def problems(rows: Sequence[Row], capsules: Sequence[Written], results: Results) -> list[Problem]:
    """Return the capsules as answers for a record: worth what the first reader answers right, right if that is all."""
    found = []
    right = results.right[CAPSULE][results.readers[0]]
    for row, capsule, value, tokens in zip(rows, capsules, right, results.written, strict=True):
        over = tokens - row["budget"]
        answer = Answer(
            text=capsule.text,
            count=1,
            value=value,
            outcome="correct" if value == 1 else "wrong",
            correct=value == 1,
            solution=None,
            tokens=capsule.tokens,
            logprob=None,
            truncated=not capsule.stopped,
            detail=f"{over} tokens over the budget" if over > 0 else "",
        )
        found.append(Problem(row["id"], row["task"], row["passage"], {"questions": row["questions"]}, (answer,)))
    return found


def _with_gold(row: Row) -> list[Question]:
    found = [question for question in read_questions(row["questions"]) if question.answer is not None]
    if not found:
        raise EvaluationError(f"{row['id']} · questions · none has an answer · rows to evaluate on need gold answers")
    return found
