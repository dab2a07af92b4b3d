"""Do other judges of function calls agree with ours, and if not, by which listed rule?

Every single-turn question of BFCL with its gold answer, every other accepted value of it, and one change at a time, is
judged three times: by our scorer, by BFCL's AST checker, and (rows with one gold call or none, since it knows no more)
by Tucan-Eval's rules. Each disagreement must be explained by a rule of the list; where a rule can be undone for one
reply, the two must agree once it is.

Writes `docs/results/function_call_oracle.{json,md}`: counts and row ids, no text of the benchmark.

    pip install --no-deps bfcl-eval tucan-eval
    QUINCE_DATA=<folder with bfcl_v4> python scripts/bench/function_call_oracle.py
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from function_call_judges import bfcl_functions, bfcl_judge, bfcl_same, tucan_judge, tucan_same
from function_call_predictions import misformatted, predictions
from function_call_rules import RULES, Case, explain
from quince.data import files
from quince.data.function_calling.adapters import bfcl
from quince.data.function_calling.wire.calls import Call
from quince.data.function_calling.wire.formats import render_calls
from quince.data.rows import Row
from quince.rewards.function_calling.call_scoring import score
from quince.rewards.function_calling.gold_calls import read_gold

RESULTS = Path(__file__).parents[2] / "docs" / "results"
COMMANDS = (
    "pip install --no-deps bfcl-eval tucan-eval",
    "QUINCE_DATA=<folder with bfcl_v4> python scripts/bench/function_call_oracle.py",
)
FIXED = {
    "mute": "says nothing",
    "words": "always refuses, in words",
    "some_call": "calls the first tool without arguments",
}
CATEGORIES = (*bfcl.GROUPS["single_turn"], "live_relevance")


@dataclass
class Findings:
    """What one judge and ours say of the same replies.

    Attributes:
        judge: Its name and version.
        replies: Replies judged.
        agree: Of those, equal verdicts.
        both_accept: Of those, both accept.
        golds: Gold answers by whether the other accepts them; ours accepts all that are not in `our_golds`.
        our_golds: Ids of rows whose gold answer ours rejects.
        their_golds: Ids of rows whose gold answer the other rejects.
        raises: Replies at which the other raises, by kind of change.
        rules: Disagreements by rule and by who accepts.
        changes: By kind of change: replies, disagreements, accepted by ours, accepted by the other.
        unexplained: Ids and kinds of change of the disagreements that no rule explains.
    """

    judge: str
    replies: int = 0
    agree: int = 0
    both_accept: int = 0
    golds: int = 0
    our_golds: list[str] = field(default_factory=list)
    their_golds: list[str] = field(default_factory=list)
    raises: Counter[str] = field(default_factory=Counter)
    rules: dict[str, Counter[str]] = field(default_factory=dict)
    changes: dict[str, list[int]] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)

    def add(self, case: Case) -> None:
        """Count one reply."""
        ours, theirs, label = case.ours.exact, case.theirs == "", case.prediction.label
        counts = self.changes.setdefault(label, [0, 0, 0, 0])
        self.changes[label] = [sum(pair) for pair in zip(counts, (1, ours != theirs, ours, theirs), strict=True)]
        self.replies += 1
        self.agree += ours == theirs
        self.both_accept += ours and theirs
        self.raises[label] += case.theirs.startswith("raises")
        if label == "gold":
            self.golds += 1
            self.our_golds += [] if ours else [case.row["id"]]
            self.their_golds += [] if theirs else [case.row["id"]]
        if ours != theirs:
            rule = explain(case)
            if not rule:
                self.unexplained.append(f"{case.row['id']} {label}")
            self.rules.setdefault(rule or "unexplained", Counter())["ours" if ours else "other"] += 1


def records(category: str) -> Iterator[tuple[Row, dict[str, Any]]]:
    """Our rows with BFCL's records."""
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
        expected: dict[str, Any] = {"should_call_function": bool(calls)}
        if calls:
            expected |= {"expected_function": calls[0].name, "expected_parameters": calls[0].arguments}

        def verdict(reply: str, expected: dict[str, Any] = expected) -> str:
            return judge(expected, reply).removeprefix("CORRECT")

        def again(calls: Sequence[Call], verdict: Any = verdict) -> str:
            return verdict(render_calls(calls, "tucan"))

        for prediction in (*predictions(row), *misformatted(row)):
            reply = prediction.reply("tucan")
            found.add(Case(row, prediction, score(reply, row, "tucan"), verdict(reply), again, same, True))
    return found


def page(findings: Sequence[Findings], seconds: float) -> str:
    lines = ["# Function-call scorer against other judges", "", *__doc__.split("\n\n")[1].splitlines(), ""]
    lines += [f"{date.today()}, {seconds:.0f} CPU s:", "", "    " + "\n    ".join(COMMANDS), ""]
    lines += [
        "| judge | replies | agree | both accept | gold answers | it rejects | we reject | unexplained |",
        "",
    ]
    lines[-1] = "|---" * 8 + "|"
    for found in findings:
        lines.append(
            f"| {found.judge} | {found.replies:,} | {found.agree:,} ({found.agree / found.replies:.2%}) | "
            f"{found.both_accept:,} | {found.golds:,} | {len(found.their_golds)} | {len(found.our_golds)} | "
            f"**{len(found.unexplained)}** |"
        )
    for found in findings:
        lines += ["", f"## {found.judge}", "", "Disagreements by the rule that explains them:", ""]
        lines += ["| rule | we accept | it accepts |", "|---|---|---|"]
        ranked = sorted(found.rules.items(), key=lambda item: (-item[1].total(), item[0]))
        lines += [f"| {rule} | {count['ours']:,} | {count['other']:,} |" for rule, count in ranked]
        lines += ["", "By kind of change (replies, disagreements):", ""]
        lines += [", ".join(f"{name} {n:,}/{d:,}" for name, (n, d, *_) in sorted(found.changes.items())) + "."]
        lines += ["", "What a model earns that always does the same, by our rules and by theirs:", ""]
        lines += ["| model | rows | ours | theirs |", "|---|---|---|---|"]
        for label, model in FIXED.items():
            rows, _, ours, theirs = found.changes[label]
            lines.append(f"| {model} | {rows:,} | {ours / rows:.2%} | {theirs / rows:.2%} |")
        raises = {label: count for label, count in found.raises.items() if count}
        if raises:
            lines += ["", "It raises at: " + ", ".join(f"{label} {count:,}" for label, count in raises.items()) + "."]
        if found.their_golds:
            lines += ["", f"Gold answers that it rejects: {', '.join(found.their_golds)}."]
        if found.unexplained:
            lines += ["", f"Unexplained: {'; '.join(found.unexplained[:50])}."]
    named = {name for found in findings for rule in found.rules for name in rule.split(" + ")}
    lines += ["", "## The rules", ""]
    lines += [f"- **{name}** {text}" for name, text in RULES.items() if name in named]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--categories", nargs="+", default=CATEGORIES, choices=CATEGORIES)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    start = time.process_time()
    pairs = [pair for category in options.categories for pair in records(category)]
    findings = [against_bfcl(pairs), against_tucan(pairs)]
    (options.out / "function_call_oracle.md").write_text(page(findings, time.process_time() - start), encoding="utf-8")
    text = json.dumps([vars(found) for found in findings], indent=1, ensure_ascii=False)
    (options.out / "function_call_oracle.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
