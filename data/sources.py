"""Names of the data sources, and the one way to load rows from them.

A source is a function `rows(split, size=None, seed=0, **options) -> list[Row]`, imported when it is asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from .options import did_you_mean
from .rows import Row, RowError, check_rows


def _each(module: str, names: str) -> dict[str, str]:
    return {name: f"quince.data.{module}:{name}" for name in names.split()}


SOURCES: dict[str, str] = {
    "sql_idioms": "quince.data.sql.idioms:rows",
    "strategies": "quince.data.maths.strategies:rows",
    "countdown": "quince.data.maths.countdown:rows",
    "compositional": "quince.data.compositional.source:rows",
    "passages": "quince.data.compression.passages:rows",
    **_each("compression.passage_sets", "multirc boolq squad xquad qmsum triviaqa_long gsm8k_prompt csqa_prompt"),
    **_each("maths.benchmarks", "gsm8k math math500 aime24 amc23 olympiadbench minerva_math college_math svamp"),
    **_each("sql.text_to_sql", "spider bird"),
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
    """Load and check SFT rows (`messages`); as `load_rows` otherwise."""
    return _load(DEMONSTRATIONS, kind, options)


def _load(registry: dict[str, str], kind: str, options: dict[str, Any]) -> list[Row]:
    if kind not in registry:
        found, hint = f"data · kind · found {kind!r}", did_you_mean(kind, registry)
        raise RowError(f"{found} · one of {', '.join(registry)} · {hint}".rstrip(" ·"))
    module, name = registry[kind].split(":")
    source: Callable[..., list[Row]] = getattr(import_module(module), name)
    signature = inspect.signature(source)
    try:
        signature.bind(**options)
    except TypeError as error:
        allowed = list(signature.parameters)
        hint = did_you_mean(next((name for name in options if name not in allowed), ""), allowed)
        raise RowError(f"data · {kind} · {error} · options are {', '.join(allowed)} · {hint}".rstrip(" ·")) from None
    return check_rows(source(**options), kind)
