"""Names of the data sources, and the one way to load rows from them.

A source is a function ``rows(split, size=None, seed=0, **options) -> list[Row]``. It is imported
only when it is asked for, so that naming a source costs nothing.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from .rows import Row, RowError, check_rows

SOURCES: dict[str, str] = {
    "sql_idioms": "quince.data.sql.idioms:rows",
    "strategies": "quince.data.maths.strategies:rows",
    "countdown": "quince.data.maths.countdown:rows",
    "compositional": "quince.data.compositional.source:rows",
    "passages": "quince.data.compression.passages:rows",
    "multirc": "quince.data.compression.passage_sets:multirc",
    "boolq": "quince.data.compression.passage_sets:boolq",
    "squad": "quince.data.compression.passage_sets:squad",
    "xquad": "quince.data.compression.passage_sets:xquad",
    "qmsum": "quince.data.compression.passage_sets:qmsum",
    "triviaqa_long": "quince.data.compression.passage_sets:triviaqa_long",
    "gsm8k_prompt": "quince.data.compression.passage_sets:gsm8k_prompt",
    "csqa_prompt": "quince.data.compression.passage_sets:csqa_prompt",
    "gsm8k": "quince.data.maths.benchmarks:gsm8k",
    "math": "quince.data.maths.benchmarks:math",
    "math500": "quince.data.maths.benchmarks:math500",
    "aime24": "quince.data.maths.benchmarks:aime24",
    "amc23": "quince.data.maths.benchmarks:amc23",
    "olympiadbench": "quince.data.maths.benchmarks:olympiadbench",
    "minerva_math": "quince.data.maths.benchmarks:minerva_math",
    "college_math": "quince.data.maths.benchmarks:college_math",
    "svamp": "quince.data.maths.benchmarks:svamp",
    "spider": "quince.data.sql.text_to_sql:spider",
    "bird": "quince.data.sql.text_to_sql:bird",
    "function_calls": "quince.data.function_calling.generator:rows",
    "bfcl": "quince.data.function_calling.adapters.bfcl:rows",
    "when2call": "quince.data.function_calling.adapters.when2call:rows",
    "tucan_eval": "quince.data.function_calling.adapters.tucan_eval:rows",
    "xlam": "quince.data.function_calling.adapters.xlam:rows",
    "jsonl": "quince.data.files:jsonl",
}

# Sources of whole conversations: answers of a base model, right and wrong, for pretraining, and dialogues for SFT.
DEMONSTRATIONS: dict[str, str] = {
    "sql_idioms": "quince.data.sql.idioms:demonstrations",
    "strategies": "quince.data.maths.strategies:demonstrations",
    "countdown": "quince.data.maths.countdown:demonstrations",
    "everyday": "quince.data.everyday:demonstrations",
    "copying": "quince.data.copying:demonstrations",
    "passages": "quince.data.compression.passages:demonstrations",
    "function_calls": "quince.data.function_calling.generator:demonstrations",
    "xlam": "quince.data.function_calling.adapters.xlam:demonstrations",
    "tucan": "quince.data.function_calling.adapters.tucan:rows",
    "hermes_fc": "quince.data.function_calling.adapters.hermes:rows",
    "llama_factory": "quince.data.function_calling.adapters.llama_factory:rows",
    "apigen_mt": "quince.data.function_calling.adapters.llama_factory:apigen_mt",
    "tau_bench": "quince.data.function_calling.adapters.tau_bench:rows",
    "openai_messages": "quince.data.function_calling.adapters.openai_messages:rows",
}


def load_rows(kind: str, **options: Any) -> list[Row]:
    """Load and check the rows of a source.

    Raises:
        RowError: If the kind or an option is unknown, or if a row is malformed.
    """
    return _load(SOURCES, kind, options)


def load_demonstrations(kind: str, **options: Any) -> list[Row]:
    """Load and check SFT rows (``messages``); as ``load_rows`` otherwise."""
    return _load(DEMONSTRATIONS, kind, options)


def _load(registry: dict[str, str], kind: str, options: dict[str, Any]) -> list[Row]:
    if kind not in registry:
        raise RowError(f"data · kind · found {kind!r} · one of {', '.join(registry)}{_suggestion(kind, registry)}")
    module, name = registry[kind].split(":")
    source: Callable[..., list[Row]] = getattr(import_module(module), name)
    _check_options(kind, source, options)
    return check_rows(source(**options), kind)


def _check_options(kind: str, source: Callable[..., list[Row]], options: dict[str, Any]) -> None:
    signature = inspect.signature(source)
    try:
        signature.bind(**options)
    except TypeError as error:
        allowed = list(signature.parameters)
        unknown = [name for name in options if name not in allowed]
        hint = _suggestion(unknown[0], allowed) if unknown else ""
        raise RowError(f"data · {kind} · {error} · options are {', '.join(allowed)}{hint}") from None


def _suggestion(found: str, allowed: list[str] | dict[str, str]) -> str:
    close = difflib.get_close_matches(found, list(allowed), n=1)
    return f" · did you mean {close[0]!r}?" if close else ""
