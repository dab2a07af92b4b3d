"""The `rewards:` section: one schema per kind of verifiable reward."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from ...rewards.answers.text import Format as FormatReward
from .language.section import Options, Positive, PositiveFloat, Section, Weight


class RewardSpec(Section):
    """What every reward has.

    `columns` are the row columns it reads; null means that only its own code knows.
    """

    columns: ClassVar[tuple[str, ...] | None] = ()

    kind: str
    weight: float = 1.0
    """Factor of this reward in the sum of rewards."""


class SqlExecution(RewardSpec):
    """1 if the query returns what the gold query returns, on the row's own database."""

    columns = ("database", "gold_sql")
    kind: Literal["sql_execution"]
    timeout_s: PositiveFloat = 5.0
    """Deadline of a query; one that is out of time or over another limit is wrong."""
    max_rows: Positive = 100_000
    """Most rows of a result."""
    max_bytes: Positive = 64 * 2**20
    """Most memory of a result."""
    semantics: Literal["spider", "bird", "set", "bag", "ordered"] | None = None
    """How results are compared, `spider` and `bird` as the benchmarks do; null takes the row's own."""
    permute_columns: bool = False
    """Accept the columns in any order; of no effect under `spider` (which does) and `bird` (which does not)."""
    keep_distinct: bool = False
    """Leave DISTINCT in under `spider`, as the official script's flag of this name does."""
    strict: bool = False
    """For training: the order of rows counts wherever gold has an ORDER BY, and empty gold results are not judged."""


AnswerFormat = Literal["auto", "boxed", "hashes", "answer_line", "tag", "last_number"]


class Math(RewardSpec):
    """1 if the final answer is mathematically equal to the gold one."""

    columns = ("answer",)
    kind: Literal["math"]
    answer_format: AnswerFormat = "auto"
    r"""Where the final answer stands, the last one counting: `boxed` (`\boxed{}`), `hashes` (`####`), `answer_line`
    (`Answer:`), `tag` (`<answer>`), `last_number`, or `auto`: whichever of the first four comes last."""
    timeout_s: PositiveFloat = 3.0
    """Deadline of an answer; one that takes longer is wrong."""
    workers: Positive = 2
    """Processes that judge side by side."""


class CountdownReward(RewardSpec):
    """1 if the expression (`+ - * /`) uses each number at most once and reaches the target."""

    columns = ("numbers", "target")
    kind: Literal["countdown"]
    use_all: bool = False
    """Every number must be used, as in the game of 24."""
    answer_format: Literal["auto", "boxed", "hashes", "answer_line", "tag"] = "auto"
    """Where the expression stands, as for `math`; `auto` takes the last line where no format is met."""


class ExactMatch(RewardSpec):
    """1 if the answer is one of the accepted texts or numbers."""

    columns = ("accepted",)
    kind: Literal["exact_match"]


class Format(RewardSpec):
    """1 if the whole completion matches a regular expression."""

    kind: Literal["format"]
    pattern: str
    """In RE2's syntax: any pattern takes linear time, none looks around or back."""

    @field_validator("pattern")
    @classmethod
    def _runs(cls, pattern: str) -> str:
        FormatReward(pattern)
        return pattern


class Length(RewardSpec):
    """Soft penalty for answers near the length limit (DAPO, hf.co/papers/2503.14476)."""

    kind: Literal["length"]
    limit: Positive
    """Longest useful answer, tokens."""
    margin: Positive
    """Width of the slope below it, tokens."""


class FunctionCall(RewardSpec):
    """Whether a reply makes the right tool calls, or rightly asks, refuses or answers."""

    columns = ("gold",)
    kind: Literal["function_call"]
    format: Literal["hermes", "openai", "tucan", "llama3", "gemma"] = "hermes"
    """How calls are written."""
    grading: Literal["binary", "graded"] = "binary"
    """`binary`: 1 if everything is right, else 0 (Tool-N1, hf.co/papers/2505.00024). `graded`: -1 to 1 (ToolRL,
    hf.co/papers/2504.13958; a needless call has the lowest grade)."""


class Bfcl(RewardSpec):
    """1 if BFCL's own checker would accept the calls of a reply; for its questions, and never for training."""

    columns = ("bfcl",)
    kind: Literal["bfcl"]
    format: Literal["hermes", "openai", "tucan", "llama3", "gemma"] = "hermes"
    """How calls are written."""


class Capsule(RewardSpec):
    """What a short text is worth to the recipe's `readers` of a long one: gate * (1 + utility - penalties), 0 to 2.

    After Nano-Capsulator (hf.co/papers/2402.18700); each penalty is the weight of a share in 0 to 1.
    """

    columns = ("passage", "budget", "questions")
    kind: Literal["capsule"]
    pool: Literal["mean", "min"] = "mean"
    """How the utilities of several readers become one."""
    utility: Literal["dense", "agreement", "accuracy", "none"] = "dense"
    """`dense`: kept share of the log-prob that the passage adds to the answer. `agreement`: the greedy answer is that
    on the passage (the paper's). `accuracy`: it is right."""
    min_gain: PositiveFloat = 0.1
    """Questions whose answer the passage makes less than this much likelier (nats) are not asked; for `dense`."""
    helped_only: bool = True
    """Ask only questions that the passage helps with, for the other utilities too; the paper asks all."""
    gate: Literal["hard", "cut", "none"] = "hard"
    """`hard`: nothing for a capsule over the budget, unfinished or too short. `cut`: cut at the budget, then scored.
    `none`: no limit, a negative control."""
    min_tokens: Positive = 1
    """Shortest legal capsule."""
    grounding: Weight = 0.5
    """Numbers, dates and names (with the column `facts`: lines) that the passage lacks."""
    duplicates: Weight = 0.5
    """Repeated lines or runs of words."""
    readability: Weight = 1.0
    """Another script, odd characters, words run together, perplexity."""
    leak: Weight = 1.0
    """Words of the questions."""
    injection: Weight = 1.0
    """Lines that speak to the reader."""
    copying: Weight = 0.0
    """The longest run copied from the passage; at 0 it is only logged."""
    semantics: Weight = 0.0
    """Cosine with the passage below the floor, by the recipe's `encoder`."""
    semantics_floor: float = Field(0.5, gt=-1, le=1)
    max_perplexity: PositiveFloat | None = None
    """Perplexity from which a capsule is unreadable, by the first reader."""


class CustomReward(RewardSpec):
    """A reward from your own installed code."""

    columns = None
    kind: Literal["custom"]
    path: str
    """`package.module:Class`, a `quince.rewards.base.Reward`, made as `Class(**options)`."""
    options: Options = Field(default_factory=dict)


Reward = Annotated[
    SqlExecution | Math | CountdownReward | ExactMatch | Format | Length | FunctionCall | Bfcl | Capsule | CustomReward,
    Field(discriminator="kind"),
]
