"""Sources of passages and prompts to compress."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .language.section import Positive
from .source import Benchmark, Source

COLUMNS = ("passage", "budget", "questions")


class Passages(Source):
    """Generated passages to compress: facts that questions are about, facts that look like them, and filler."""

    columns = COLUMNS
    kind: Literal["passages"]
    split: Literal["train", "test", "paraphrases"] = "train"
    """`test` also has facts that `train` never says; `paraphrases` says them in other sentences."""
    askable: Positive = 3
    """Facts of a passage that questions are about."""
    distractors: int = Field(3, ge=0)
    """Facts of a passage that no question is about."""
    fillers: int = Field(8, ge=0)
    """Sentences of a passage that say nothing of anybody."""
    budget: Positive = 12
    """Most tokens of a capsule, in the reader's tokenizer."""


class PublicTexts(Benchmark):
    """Public texts with questions."""

    columns = COLUMNS
    revision: str | None = None
    """Commit on the Hub to read instead of the newest one."""
    budget: Positive | None = None
    """Most tokens of a capsule, in the reader's tokenizer; null takes the set's own."""
    questions: Positive = 8
    """Most questions of a row."""


class PassageQa(PublicTexts):
    """MultiRC, BoolQ, SQuAD: questions on passages of Wikipedia and other texts."""

    kind: Literal["multirc", "boolq", "squad"]
    split: Literal["train", "dev"] = "train"
    max_words: Positive = 1500
    """Words after which a passage is cut."""


class Xquad(PublicTexts):
    """SQuAD passages in twelve languages, for evaluation (hf.co/papers/1910.11856); the split is the language."""

    kind: Literal["xquad"]
    split: Literal["en", "ar", "de", "el", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh"] = "en"
    max_words: Positive = 1500
    """Words after which a passage is cut."""


class Qmsum(PublicTexts):
    """Meetings with queries that paragraphs answer (hf.co/papers/2104.05938)."""

    kind: Literal["qmsum"]
    split: Literal["train", "dev", "test"] = "train"
    max_words: Positive = 1500
    """Words after which a meeting is cut."""


class TriviaQaLong(PublicTexts):
    """TriviaQA as LongBench has it (hf.co/papers/2308.14508)."""

    kind: Literal["triviaqa_long"]
    split: Literal["test"] = "test"
    max_words: Positive = 1500
    """Words after which a passage is cut."""


class Prompts(PublicTexts):
    """Prompts of worked examples, each compressed once and used for many questions."""

    shots: Positive = 8
    """Worked examples of a prompt."""
    examples: str | None = None
    """Text file with the worked examples, then the same for all rows; null draws them from the records."""


class Gsm8kPrompt(Prompts):
    """Few-shot chain-of-thought prompts for GSM8K."""

    kind: Literal["gsm8k_prompt"]
    split: Literal["train", "test"] = "train"


class CsqaPrompt(Prompts):
    """Few-shot prompts for CommonsenseQA, with a chain of thought where `examples` has one."""

    kind: Literal["csqa_prompt"]
    split: Literal["train", "dev"] = "train"


PassageSource = Passages | PassageQa | Xquad | Qmsum | TriviaQaLong | Gsm8kPrompt | CsqaPrompt
