"""Sources of public function-calling sets: those with single questions, and those with whole conversations."""

from __future__ import annotations

from typing import Literal

from .source import Benchmark, Source


class EvaluationSet(Benchmark):
    """A set that is there to measure with; it gives no training split."""

    columns = ("gold",)


class Bfcl(EvaluationSet):
    """Single-turn questions of the Berkeley Function-Calling Leaderboard, version 4, from a local folder."""

    columns = ("gold", "bfcl")
    kind: Literal["bfcl"]
    split: Literal[
        "simple_python",
        "simple_java",
        "simple_javascript",
        "multiple",
        "parallel",
        "parallel_multiple",
        "irrelevance",
        "live_simple",
        "live_multiple",
        "live_parallel",
        "live_parallel_multiple",
        "live_irrelevance",
        "live_relevance",
        "non_live",
        "live",
        "single_turn",
    ] = "single_turn"
    """A category; or `non_live` or `live`, those with gold calls; or `single_turn`, these and irrelevance."""


class When2Call(EvaluationSet):
    """Questions whose right reply is one of: answer, call, ask, refuse (hf.co/datasets/nvidia/When2Call)."""

    kind: Literal["when2call"]
    split: Literal["test"] = "test"
    path: str | None = None
    """File to read instead of the set's usual one; relative to `root`."""
    revision: str | None = None
    """Commit on the Hub."""


class TucanEval(EvaluationSet):
    """Questions in Bulgarian in six scenarios, with and without tools (hf.co/papers/2506.23394)."""

    kind: Literal["tucan_eval"]
    split: Literal["test"] = "test"
    path: str | None = None
    """File to read instead of the set's usual one; relative to `root`."""
    revision: str | None = None
    """Commit on the Hub."""


class TrainingSet(Benchmark):
    """A public set to train on."""

    path: str | None = None
    """File to read instead of the set's usual one; relative to `root`; `{split}` in it stands for the split."""
    revision: str | None = None
    """Commit on the Hub."""
    skip_malformed: bool = False
    """Leave out records that break the set's layout, with a warning, instead of stopping at the first."""


class Xlam(TrainingSet):
    """xLAM-60k: single questions and the calls that answer them (hf.co/papers/2406.18518); gated."""

    columns = ("gold",)
    kind: Literal["xlam"]
    split: Literal["train"] = "train"


class Tucan(TrainingSet):
    """Tucan-BG: conversations in Bulgarian with tools (hf.co/papers/2506.23394)."""

    kind: Literal["tucan"]
    split: Literal["train"] = "train"


class HermesFunctionCalls(TrainingSet):
    """Hermes function calling v1 (hf.co/datasets/NousResearch/hermes-function-calling-v1)."""

    kind: Literal["hermes_fc"]
    split: Literal["singleturn", "multiturn", "glaive"] = "singleturn"
    """`multiturn` begins like `singleturn`, row by row: take one of them."""


class ApigenMt(TrainingSet):
    """APIGen-MT: dialogues of customer service (hf.co/papers/2504.03601); gated, not for commercial use."""

    kind: Literal["apigen_mt"]
    split: Literal["train"] = "train"


class TauBench(Benchmark):
    """tau-bench's published dialogues, from a local folder; not to be trained on to report tau-bench."""

    kind: Literal["tau_bench"]
    split: Literal["airline", "airline_few_shot", "retail_few_shot"] = "airline"
    """`airline`: trajectories of gpt-4o. The other two are cut before their first call, which was lost."""
    path: str | None = None
    """File to read instead of the set's usual one; relative to `root`."""
    solved: bool = True
    """Only trajectories that the benchmark judged solved."""
    tools: str | None = None
    """JSON file with the benchmark's tools, in MCP's or OpenAI's shape; without it the rows list none."""


class ToolConversations(Source):
    """Conversations with tools in a file of your own."""

    kind: Literal["llama_factory", "openai_messages"]
    """Layout of the file: LLaMA-Factory's roles, or messages and tools as OpenAI's API and TRL have them."""
    path: str
    """The file; `{split}` in it stands for the split."""
    root: str | None = None
    """Folder of a relative path; null takes `$QUINCE_DATA`, else the working directory."""
    skip_malformed: bool = False
    """Leave out records that break the layout, with a warning, instead of stopping at the first."""


FunctionCallQuestions = Bfcl | When2Call | TucanEval | Xlam
"""Rows with a prompt and a gold, for RL and evaluation."""
ImportedConversations = Xlam | Tucan | HermesFunctionCalls | ApigenMt | TauBench | ToolConversations
"""Rows with whole conversations, for SFT."""
