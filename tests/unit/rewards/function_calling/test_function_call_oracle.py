"""Generated rows through BFCL's AST checker: it agrees on gold answers and on mistakes that no rule excuses."""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from quince.data.function_calling import generator as generate
from quince.data.function_calling.check.schema import to_bfcl
from quince.rewards.function_calling.call_scoring import score
from quince.rewards.function_calling.gold_calls import read_gold
from quince.scripts.bench.function_calls.judges import bfcl_judge, bfcl_same
from quince.scripts.bench.function_calls.predictions import predictions
from quince.scripts.bench.function_calls.rules import Case, explain

pytestmark = pytest.mark.skipif(importlib.util.find_spec("bfcl_eval") is None, reason="bfcl-eval is not installed")
PAGE = Path(__file__).parents[4] / "docs" / "results" / "function_call_oracle.md"


def answers(row):
    """The gold in BFCL's form: every accepted value, and "" for a parameter that may be left out."""
    listed = []
    for wanted in read_gold(row).calls:
        values = {name: [inner(value)] for name, value in wanted.call.arguments.items()}
        for name, more in wanted.accepted.items():
            values[name] = values.get(name, []) + ["" if value is None else inner(value) for value in more]
        listed.append({wanted.call.name: values})
    return listed


def inner(value):
    """Within an object, too, every value has its list."""
    return {key: [item] for key, item in value.items()} if isinstance(value, dict) else value


def test_the_checker_agrees_or_a_rule_says_why():
    known = set(re.findall(r"^- \*\*(\w+)\*\* ", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    judge, same, labels = bfcl_judge(), bfcl_same(), Counter()
    for row in generate.rows("train", 60):
        listed = answers(row)
        if not listed:
            continue
        functions = [to_bfcl(tool) for tool in json.loads(row["tools"])]
        record = {"function": functions, "answers": listed, "category": "parallel"}
        values = [next(iter(answer.values())) for answer in listed]
        for prediction in predictions(row):
            ours, theirs = score(prediction.reply("hermes"), row), judge(record, prediction.calls)
            labels[prediction.label] += 1
            if prediction.label == "gold":
                assert (ours.exact, theirs) == (True, "")
            if ours.exact != (theirs == ""):
                case = Case(row, prediction, ours, theirs, lambda calls, r=record: judge(r, calls), same, True, values)
                rules = explain(case).split(" + ")
                assert set(rules) <= known, (prediction, theirs, ours.error, row["gold"])
    assert labels["gold"] > 20
    assert len(labels) > 15
