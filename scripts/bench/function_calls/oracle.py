"""Do other judges of function calls agree with ours, and if not, by which listed rule?

    pip install --no-deps bfcl-eval tucan-eval
    QUINCE_DATA=FOLDER_WITH_BFCL_V4 python scripts/bench/function_calls/oracle.py

Every single-turn question of BFCL is judged by our scorer, by BFCL's AST checker, and (rows with one gold call or none)
by Tucan-Eval's rules. Where a rule explains a disagreement and can be undone for one reply, the two must agree once it
is. Stored are counts and row ids, no text of the benchmark.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Any

from quince.data import files
from quince.data.function_calling.adapters import bfcl
from quince.data.function_calling.wire.calls import Call
from quince.data.function_calling.wire.formats import render_calls
from quince.data.rows import Row
from quince.rewards.function_calling.call_scoring import score
from quince.rewards.function_calling.gold_calls import read_gold
from quince.scripts.bench.function_calls.judges import bfcl_functions, bfcl_judge, bfcl_same, tucan_judge, tucan_same
from quince.scripts.bench.function_calls.predictions import misformatted, predictions
from quince.scripts.bench.function_calls.rules import Case, explain
from quince.scripts.bench.pages import Page, Results, bench, table

FIXED = {"mute": "says nothing", "words": "always refuses, in words"}
FIXED |= {"some_call": "calls the first tool without arguments"}
CATEGORIES = (*bfcl.GROUPS["single_turn"], "live_relevance")


@dataclass
class Findings:
    """What one judge and ours say of the same replies; the ids are of the rows whose gold answer one rejects."""

    judge: str
    replies: int = 0
    agree: int = 0
    both_accept: int = 0
    golds: int = 0
    our_golds: list[str] = field(default_factory=list)
    their_golds: list[str] = field(default_factory=list)
    raises: Counter[str] = field(default_factory=Counter)
    rules: dict[str, Counter[str]] = field(default_factory=dict)
    # By kind of change: replies, disagreements, accepted by ours, accepted by the other.
    changes: dict[str, list[int]] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)

    def add(self, case: Case) -> None:
        """Count one reply."""
        ours, theirs, label, name = case.ours.exact, case.theirs == "", case.prediction.label, case.row["id"]
        counts = self.changes.setdefault(label, [0, 0, 0, 0])
        self.changes[label] = [sum(pair) for pair in zip(counts, (1, ours != theirs, ours, theirs), strict=True)]
        self.replies += 1
        self.agree += ours == theirs
        self.both_accept += ours and theirs
        self.raises[label] += case.theirs.startswith("raises")
        if label == "gold":
            self.golds += 1
            self.our_golds += [name] * (not ours)
            self.their_golds += [name] * (not theirs)
        if ours != theirs:
            rule = explain(case)
            self.unexplained += [f"{name} {label}"] * (not rule)
            self.rules.setdefault(rule or "unexplained", Counter())["ours" if ours else "other"] += 1


def records(category: str) -> Iterator[tuple[Row, dict[str, Any]]]:
    root = files.data_root(None)

    def read(stem: str) -> dict[str, dict[str, Any]]:
        file = files.find_file(root, (f"bfcl_v4/{stem}", stem), f"bfcl[{category}]")
        return {record["id"]: record for _, record in files.read_records(file)}

    questions = read(f"BFCL_v4_{category}")
    answers = {} if "relevance" in category else read(f"possible_answer/BFCL_v4_{category}")
    for row in bfcl.rows(category):
        name = row["id"].removeprefix("bfcl/")
        record = questions[name] | {"category": category, "answers": answers.get(name, {}).get("ground_truth")}
        yield row, record | {"function": bfcl_functions(record, json.loads(row["tools"]))}


def against_bfcl(pairs: Sequence[tuple[Row, dict[str, Any]]]) -> Findings:
    judge, same = bfcl_judge(), bfcl_same()
    found = Findings(f"bfcl-eval {version('bfcl-eval')}")
    for row, record in pairs:
        listed = [values for answer in record["answers"] or () for values in answer.values()]
        again = partial(judge, record)
        gold_ok = again([wanted.call for wanted in read_gold(row).calls]) == ""
        for prediction in predictions(row):
            ours = score(prediction.reply("hermes"), row)
            found.add(Case(row, prediction, ours, again(prediction.calls), again, same, gold_ok, listed))
    return found


def against_tucan(pairs: Sequence[tuple[Row, dict[str, Any]]]) -> Findings:
    judge, same = tucan_judge(), tucan_same()
    found = Findings(f"tucan-eval {version('tucan-eval')}")
    for row, _ in pairs:
        calls = [wanted.call for wanted in read_gold(row).calls]
        if len(calls) > 1 or row["category"] == "live_relevance":
            continue
        names = ({"expected_function": one.name, "expected_parameters": one.arguments} for one in calls)
        expected: dict[str, Any] = {"should_call_function": bool(calls), **next(names, {})}

        def verdict(reply: str, expected: dict[str, Any] = expected) -> str:
            return judge(expected, reply).removeprefix("CORRECT")

        def again(calls: Sequence[Call], verdict: Any = verdict) -> str:
            return verdict(render_calls(calls, "tucan"))

        for prediction in (*predictions(row), *misformatted(row)):
            reply = prediction.reply("tucan")
            found.add(Case(row, prediction, score(reply, row, "tucan"), verdict(reply), again, same, True))
    return found


def measure(categories: Sequence[str] = CATEGORIES) -> Results:
    start = time.process_time()
    pairs = [pair for category in categories for pair in records(category)]
    findings = [vars(against_bfcl(pairs)), vars(against_tucan(pairs))]
    return {"cpu_s": round(time.process_time() - start), "judges": findings}


def render(found: Results) -> str:
    judges = found["judges"]
    total, open_ = sum(one["replies"] for one in judges), sum(len(one["unexplained"]) for one in judges)
    rows = []
    for one in judges:
        agree = f"{one['agree']:,} ({one['agree'] / one['replies']:.2%})"
        lists = [len(one[key]) for key in ("their_golds", "our_golds", "unexplained")]
        both, golds = f"{one['both_accept']:,}", f"{one['golds']:,}"
        rows.append([one["judge"], f"{one['replies']:,}", agree, both, golds, *lists])
    head = ["judge", "replies", "agree", "both accept", "gold answers", "it rejects", "we reject", "unexplained"]
    return f"""Of {total:,} judgements, {open_:,} differ from ours without a rule of the list below that explains it.
Where a rule can be undone for one reply, the two judges must agree once it is.

{table(head, rows)}
{found["cpu_s"]} CPU seconds. Replies are the gold answer of every single-turn question of BFCL, every other accepted
value of it, and one change at a time; Tucan-Eval judges the rows with one gold call or none, since it knows no more.

{"".join(map(_judge, judges))}"""


def _judge(one: Results) -> str:
    ranked = sorted(one["rules"].items(), key=lambda item: (-sum(item[1].values()), item[0]))
    rules = [[rule, *(f"{count.get(who, 0):,}" for who in ("ours", "other"))] for rule, count in ranked]
    changes = ", ".join(f"{name} {n:,}/{differ:,}" for name, (n, differ, *_) in sorted(one["changes"].items()))
    fixed = []
    for label, model in FIXED.items():
        rows, _, ours, theirs = one["changes"][label]
        fixed.append([model, f"{rows:,}", f"{ours / rows:.2%}", f"{theirs / rows:.2%}"])
    raises = ", ".join(f"{label} {count:,}" for label, count in one["raises"].items() if count)
    lines = [
        f"It raises at: {raises}.\n\n" if raises else "",
        f"Gold answers that it rejects: {', '.join(one['their_golds'])}.\n\n" if one["their_golds"] else "",
        f"Unexplained: {'; '.join(one['unexplained'][:50])}.\n\n" if one["unexplained"] else "",
    ]
    return f"""## {one["judge"]}

Disagreements by the rule that explains them:

{table(["rule", "we accept", "it accepts"], rules)}
By kind of change (replies, disagreements): {changes}.

What a model earns that always does the same, by our rules and by theirs:

{table(["model", "rows", "ours", "theirs"], fixed)}
{"".join(lines)}"""


PAGE = Page("function_call_oracle", "Function-call scorer against other judges", render, needs="bfcl_v4")

if __name__ == "__main__":
    bench(PAGE, measure)
