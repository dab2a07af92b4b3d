"""Public passages and prompts to compress: QA on texts, and few-shot prompts of worked examples.

A row holds one passage with questions on it, or one prompt of worked examples with questions of the task that it is
for (`gsm8k_prompt`, `csqa_prompt`): such a prompt is compressed once and used for every question. Columns as in
`passages`: ``passage``, ``budget`` and ``questions``, which are never in the prompt.

Records come from a local folder (``root``, or ``QUINCE_DATA``), otherwise from the Hub. The answers of `qmsum` are
paragraphs: they suit log-probs better than exact answers.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .. import files, hub
from ..options import Positive
from ..rows import Row, RowError
from . import passage_records
from .passage_records import Pairs, Passage, Placed, Question

INSTRUCTION = (
    "Summarize the text above in at most {budget} tokens. Keep names, numbers and whatever questions could be about. "
    "Write only the summary."
)
"""After the passage, so that every limit has the same beginning."""
PROMPT_INSTRUCTION = (
    "Shorten the worked examples above to at most {budget} tokens, so that a model that reads them still answers new "
    "questions in the same way. Write only the shortened examples."
)


@dataclass(frozen=True, kw_only=True)
class _Set(hub.PublicSet):
    """A set from which rows of one text each are made.

    Attributes:
        budget: Usual budget, tokens: Nano-Capsulator's (hf.co/papers/2402.18700) where it has the set.
        instruction: What follows the passage; `{budget}` stands for the budget.
    """

    provides: ClassVar[tuple[str, ...]] = ("passage", "budget", "questions")

    budget: int = 150
    instruction: str = INSTRUCTION

    def row(self, name: str, text: str, asked: list[Question], budget: int | None) -> Row:
        """The row of a text with its questions."""
        limit = self.budget if budget is None else budget
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return {
            "id": f"{name}-{digest}",
            "task": "compression",
            "prompt": [{"role": "user", "content": f"{text}\n\n{self.instruction.format(budget=limit)}"}],
            "passage": text,
            "budget": limit,
            "questions": json.dumps(asked, ensure_ascii=False),
        }


@dataclass(frozen=True, kw_only=True)
class PassageSet(_Set):
    """A data source of passages.

    Attributes:
        passages: Texts and their questions out of the records of a split.
    """

    passages: Callable[[Placed], Iterator[Passage]]

    def __call__(
        self,
        split: str,
        size: int | None = None,
        seed: int = 0,
        *,
        budget: Positive | None = None,
        questions: Positive = 8,
        max_words: Positive = 1500,
        root: str | None = None,
        revision: str | None = None,
    ) -> list[Row]:
        """Rows of a split.

        Args:
            split: One of ``splits``.
            size: Number of rows, drawn with ``seed`` and kept in file order; default all.
            seed: Seed of the draws of rows and of questions.
            budget: Most tokens of a capsule; default that of the set.
            questions: Most questions of a row.
            max_words: Words after which a passage is cut.
            root: Local folder to read instead of the Hub.
            revision: Commit on the Hub.

        Raises:
            RowError: If the split is unknown, the files cannot be had, or a record is malformed.
        """
        rows = []
        for number, (text, asked) in enumerate(self.passages(self.records(split, root, revision))):
            name = f"{self.task}/{split}/{number}"
            drawn = random.Random(f"{name} {seed}").sample(asked, min(questions, len(asked)))
            rows.append(self.row(name, _first_words(text, max_words), drawn, budget))
        return files.take(rows, size, seed, f"data · {self.task}[{split}]")


@dataclass(frozen=True, kw_only=True)
class PromptSet(_Set):
    """A data source of few-shot prompts: worked examples, and questions that they are to be used for.

    Attributes:
        pairs: Questions with worked answers out of the records of a split.
    """

    pairs: Callable[[Placed], Pairs]

    def __call__(
        self,
        split: str,
        size: int | None = None,
        seed: int = 0,
        *,
        shots: Positive = 8,
        examples: str | None = None,
        budget: Positive | None = None,
        questions: Positive = 8,
        root: str | None = None,
        revision: str | None = None,
    ) -> list[Row]:
        """Rows of a split: each has a prompt of its own, and questions that are not in it.

        Args:
            split: One of ``splits``.
            size: Number of rows; default 100.
            seed: Choice of examples and questions.
            shots: Worked examples of a prompt.
            examples: Text file with the worked examples, then the same for all rows; a relative path starts at
                ``root``, else at ``QUINCE_DATA``. CommonsenseQA's own records have no chain of thought.
            budget: Most tokens of a capsule; default that of the set.
            questions: Questions of a row.
            root: Local folder to read instead of the Hub.
            revision: Commit on the Hub.

        Raises:
            RowError: As for `PassageSet`, or if there are fewer records than a row takes.
        """
        pairs = self.pairs(self.records(split, root, revision))
        written = _text(examples, root) if examples else None
        needed = questions + (0 if written else shots)
        if len(pairs) < needed:
            raise RowError(f"data · {self.task}[{split}] · {len(pairs)} records · a row takes {needed}")
        rows = []
        for number in range(100 if size is None else size):
            name = f"{self.task}/{split}/{seed}/{number}"
            drawn = random.Random(name).sample(pairs, needed)
            shown = "\n\n".join(f"Question: {asked}\nAnswer: {worked}" for asked, worked, _ in drawn[questions:])
            asked = [
                {"question": f"Question: {text}\nAnswer:", "answer": answer} for text, _, answer in drawn[:questions]
            ]
            rows.append(self.row(name, written or shown, asked, budget))
        return rows


def _text(path: str, root: str | None) -> str:
    file = (files.data_root(root) or Path()) / path
    if not file.is_file():
        raise RowError(f"data · examples · found no file at {file} · give a text file of worked examples")
    return file.read_text(encoding="utf-8").strip()


def _first_words(text: str, limit: int) -> str:
    """The text up to the end of its word number `limit`, white space as it is."""
    words = re.finditer(r"\S+", text := text.strip())
    last = next((word for number, word in enumerate(words, start=1) if number == limit), None)
    return text if last is None else text[: last.end()]


# Budgets of 150 (CSQA, MultiRC), 350 (GSM8K) and 500 (TriviaQA) tokens are Nano-Capsulator's.
multirc = PassageSet(
    task="multirc",
    about="MultiRC: questions on short passages, with several right answers each (in SuperGLUE).",
    splits={"train": ("multirc/train",), "dev": ("multirc/dev", "multirc/val")},
    repo="aps/super_glue",
    configs=("multirc",),
    hub_splits={"dev": "validation"},
    passages=passage_records.multirc,
)
boolq = PassageSet(
    task="boolq",
    about="BoolQ: yes-no questions on passages of Wikipedia.",
    splits={"train": ("boolq/train",), "dev": ("boolq/dev",)},
    repo="google/boolq",
    hub_splits={"dev": "validation"},
    passages=passage_records.boolq,
)
squad = PassageSet(
    task="squad",
    about="SQuAD 1.1: questions on passages of Wikipedia whose answer is a span.",
    splits={"train": ("squad/train-v1.1", "squad/train"), "dev": ("squad/dev-v1.1", "squad/dev")},
    repo="rajpurkar/squad",
    hub_splits={"dev": "validation"},
    passages=passage_records.squad,
)
# The splits are languages.
xquad = PassageSet(
    task="xquad",
    about="SQuAD passages in twelve languages, for evaluation (hf.co/papers/1910.11856); the split is the language.",
    splits={name: (f"xquad/xquad.{name}",) for name in "en ar de el es hi ro ru th tr vi zh".split()},
    repo="google/xquad",
    configs=("xquad.{split}",),
    hub_splits=dict.fromkeys("en ar de el es hi ro ru th tr vi zh".split(), "validation"),
    passages=passage_records.squad,
)
# On the Hub only the test split, as LongBench has it.
qmsum = PassageSet(
    task="qmsum",
    about="Meetings with queries that paragraphs answer (hf.co/papers/2104.05938).",
    splits={"train": ("qmsum/train",), "dev": ("qmsum/val", "qmsum/dev"), "test": ("qmsum/test", "longbench/qmsum")},
    repo="Xnhyacinth/LongBench",
    configs=("qmsum",),
    budget=300,
    passages=passage_records.qmsum,
)
triviaqa_long = PassageSet(
    task="triviaqa_long",
    about="TriviaQA as LongBench has it (hf.co/papers/2308.14508).",
    splits={"test": ("longbench/triviaqa",)},
    repo="Xnhyacinth/LongBench",
    configs=("triviaqa",),
    budget=500,
    passages=passage_records.long_bench,
)
gsm8k_prompt = PromptSet(
    task="gsm8k_prompt",
    about="Few-shot chain-of-thought prompts for GSM8K, each compressed once and used for many questions.",
    splits={"train": ("gsm8k/train",), "test": ("gsm8k/test",)},
    repo="openai/gsm8k",
    configs=("main",),
    budget=350,
    instruction=PROMPT_INSTRUCTION,
    pairs=passage_records.gsm8k,
)
csqa_prompt = PromptSet(
    task="csqa_prompt",
    about="Few-shot prompts for CommonsenseQA, with a chain of thought where `examples` has one.",
    splits={"train": ("csqa/train", "csqa/train_rand_split"), "dev": ("csqa/dev", "csqa/dev_rand_split")},
    repo="tau/commonsense_qa",
    hub_splits={"dev": "validation"},
    instruction=PROMPT_INSTRUCTION,
    pairs=passage_records.csqa,
)
