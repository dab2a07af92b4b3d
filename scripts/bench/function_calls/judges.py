"""Two other judges of function calls, as they are published: BFCL's AST checker and Tucan-Eval's scorer.

Both come from the environment if it has them (`pip install --no-deps bfcl-eval tucan-eval`); nothing of them is copied
here. BFCL's checker wants its model table for one flag of one model, which pulls in the clients of a dozen vendors; a
stand-in for that one module makes it import with the standard library alone.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import types
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from quince.data.function_calling.check.schema import to_bfcl
from quince.data.function_calling.wire.calls import Call
from quince.scripts.bench.function_calls.rules import mapped

_MODELS = "bfcl_eval.constants.model_config"


def bfcl_judge() -> Callable[[Mapping[str, Any], Sequence[Call]], str]:
    """BFCL's verdict on calls: "" if valid, else its error type.

    The record is a row of its question files with `answers` (its `ground_truth`) and `category`.
    """
    stand_in = types.ModuleType(_MODELS)
    any_model = defaultdict(lambda: types.SimpleNamespace(underscore_to_dot=False))  # keeps the dots in names
    stand_in.MODEL_CONFIG_MAPPING = any_model  # type: ignore[attr-defined]
    sys.modules.setdefault(_MODELS, stand_in)
    checker = importlib.import_module("bfcl_eval.eval_checker.ast_eval.ast_checker").ast_checker
    python = importlib.import_module("bfcl_eval.constants.enums").Language.PYTHON

    def judge(record: Mapping[str, Any], calls: Sequence[Call]) -> str:
        if record["answers"] is None:  # irrelevance and relevance are judged by whether anything was called
            return "" if bool(calls) == record["category"].endswith("_relevance") else "called"
        output = [{call.name: call.arguments} for call in calls]
        try:
            found = checker(record["function"], output, record["answers"], python, record["category"], "any")
        except Exception as error:  # a checker that fails has accepted nothing
            return f"raises {type(error).__name__}"
        return "" if found["valid"] else found["error_type"]

    return judge


def bfcl_same() -> Callable[[Any, Any], bool]:
    """Whether BFCL's checker takes two texts, or lists or objects of them, for the same."""
    plain = importlib.import_module("bfcl_eval.eval_checker.ast_eval.ast_checker").standardize_string

    def normal(value: Any) -> Any:
        return mapped(lambda item: plain(item) if isinstance(item, str) else item, value)

    return lambda one, other: normal(one) == normal(other)


def bfcl_functions(record: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """BFCL's, but those of Java and JavaScript with Python's types: calls on the wire are JSON, not source text."""
    foreign = record["category"] in ("simple_java", "simple_javascript")
    return [to_bfcl(tool) for tool in tools] if foreign else list(record["function"])


def tucan_judge() -> Callable[[Mapping[str, Any], str], str]:
    """Tucan-Eval's verdict on a reply: its error type, or "raises ..." where its run would end."""
    evaluator = importlib.import_module("tucan.evaluation").FunctionCallEvaluator()

    def judge(expected: Mapping[str, Any], reply: str) -> str:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                found = evaluator._parse_tool_call(reply, "```tool_call", "```")
            return evaluator._determine_error_type(expected, found)
        except Exception as error:
            return f"raises {type(error).__name__}"

    return judge


def tucan_same() -> Callable[[Any, Any], bool]:
    equivalent = importlib.import_module("tucan.evaluate")._values_are_equivalent
    return lambda one, other: bool(equivalent(other, one))
