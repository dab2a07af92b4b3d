"""The `data:` section: one schema per kind of source, with that source's own options."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from .coverage import CompositionalFamily, CompositionalTables
from .function_calling_data import FunctionCallQuestions
from .language.section import Options, Positive, Section, Share
from .passages import PassageSource
from .source import Benchmark, Source


class SqlIdioms(Source):
    """Generated questions on small SQLite databases whose hidden quirks break some SQL idioms."""

    columns = ("database", "gold_sql", "semantics")
    kind: Literal["sql_idioms"]
    split: Literal["train", "in_domain", "cross_domain"] = "train"


class Strategies(Source):
    """Generated arithmetic that several strategies solve; each row hides which ones it accepts."""

    columns = ("accepted",)
    kind: Literal["strategies"]
    split: Literal["train", "test"] = "train"
    world: int = 0
    """Key of the hash that decides what a row accepts."""


class Countdown(Source):
    """Generated: reach a target from three or four numbers with + - *."""

    columns = ("numbers", "target")
    kind: Literal["countdown"]
    split: Literal["train", "test"] = "train"


class Compositional(Source):
    """Generated compositions of tables (arXiv 2505.20278), with held-out rows by which primitives training used."""

    columns = ("accepted", "slots")
    kind: Literal["compositional"]
    split: Literal["train", "validation", "test"] = "train"
    family: CompositionalFamily = "two_hop"
    values: int = Field(20, ge=2)
    """Values a slot can take."""
    compositions: Positive = 3000
    """Training rows of the data set."""
    tables: CompositionalTables = "random"
    held_out: int = Field(0, ge=0)
    """Which type of held-out rows `test` gives."""


class FunctionCalls(Source):
    """Generated requests in several languages: to call tools, to ask for a missing value, to refuse or to answer."""

    columns = ("gold",)
    kind: Literal["function_calls"]
    split: Literal["train", "test", "values", "paraphrases", "tools", "names", "language", "more_tools"] = "train"
    """`test` is like `train`; each of the others holds out the thing of its name."""
    languages: list[str] = Field(["en", "bg"], min_length=1)
    """Languages of the users; for the split `language` those that were trained on."""
    scenarios: list[str] | dict[str, float] | None = None
    """Names of scenarios, or their shares; null takes all in their usual shares."""
    min_tools: int = Field(1, ge=0)
    """Fewest tools listed in a prompt."""
    max_tools: int = Field(8, ge=0)
    """Most tools listed in a prompt."""
    masking: Share = 0.0
    """Probability that the names of a row's tools and parameters are made up, so that they have to be read."""
    descriptions: Literal["en", "target", "mixed"] = "en"
    """Language of tool descriptions; `target` is that of the user."""
    name_style: Literal["snake", "mixed"] = "snake"
    noise: Share = 0.0
    """Probability of slips in a user's text."""


class MathSet(Benchmark):
    """A public set of math problems with final answers."""

    columns = ("answer",)

    revision: str | None = None
    """Commit on the Hub to read instead of the default one."""
    instruction: str | None = None
    """Last line of each prompt; null asks for steps and a boxed answer."""


class Gsm8k(MathSet):
    """Grade-school word problems (hf.co/papers/2110.14168)."""

    kind: Literal["gsm8k"]
    split: Literal["train", "test"] = "train"


class MathCompetition(MathSet):
    """The MATH data set, full official split (hf.co/papers/2103.03874)."""

    kind: Literal["math"]
    split: Literal["train", "test"] = "train"


class MathTest(MathSet):
    """Sets that exist only for evaluation."""

    kind: Literal["math500", "aime24", "amc23", "olympiadbench", "minerva_math", "college_math", "svamp"]
    split: Literal["test"] = "test"


class TextToSql(Benchmark):
    """Questions over real SQLite databases: Spider (hf.co/papers/1809.08887), BIRD (2305.03111)."""

    columns = ("database", "gold_sql", "semantics")
    kind: Literal["spider", "bird"]
    split: Literal["train", "dev"] = "train"
    style: Literal["full", "compact"] = "full"
    """`full` shows CREATE TABLE statements; `compact` the short form of the generated SQL tasks."""
    example_values: int = Field(2, ge=0)
    """Example values beside each column in `full`."""


class Jsonl(Source):
    """Ready rows in JSON-lines files; their columns are known only when they are read."""

    columns = None
    kind: Literal["jsonl"]
    path: str
    """A JSON-lines, JSON, CSV or parquet file; `{split}` in it stands for the split."""
    root: str | None = None
    """Folder of a relative path; null takes `$QUINCE_DATA`, else the working directory."""


class CustomSource(Source):
    """Rows from your own installed code."""

    columns = None
    kind: Literal["custom"]
    path: str
    """`package.module:function`, called as `function(split, size, seed, **options)`."""
    options: Options = Field(default_factory=dict)


class Demonstrations(Section):
    """Conversations of a generated task as a base model writes them, right and wrong."""

    kind: Literal["sql_idioms", "strategies", "countdown", "everyday"]
    size: Positive = 1000
    """Conversations to generate."""
    seed: int = 0

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments for `quince.data.sources.load_demonstrations(kind, ...)`."""
        return self.model_dump(exclude={"kind"})


class PassageDemonstrations(Demonstrations):
    """Questions on passages and notes, and notes of random facts of a passage."""

    kind: Literal["passages"]  # type: ignore[assignment]
    notes: Share = 0.5
    """Share of the rows that write notes."""
    drills: Share = 0.0
    """Share of the rows that repeat random words; what is left reads."""


DataSource = Annotated[
    SqlIdioms
    | Strategies
    | Countdown
    | Compositional
    | PassageSource
    | FunctionCalls
    | Gsm8k
    | MathCompetition
    | MathTest
    | TextToSql
    | FunctionCallQuestions
    | Jsonl
    | CustomSource,
    Field(discriminator="kind"),
]
