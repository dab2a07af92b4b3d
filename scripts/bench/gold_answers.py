"""Do the rewards accept the gold answers of real benchmarks?

A gold query is judged as a model's answer would be: fenced, and with a comment in front, so that it is executed and
not recognised by its text. A gold math answer is judged twice: boxed through the whole reward, and through
math-verify alone, without the shortcut for equal text. Writes `docs/results/gold_answers.{json,md}` with the ids of
the rows that were not accepted and no text of any benchmark.

    QUINCE_DATA=<folder> python scripts/bench/gold_answers.py
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from quince.data.rows import Row
from quince.data.sources import load_rows
from quince.rewards.answers.math import MathAnswer
from quince.rewards.answers.math_text import comparable, normal
from quince.rewards.base import Verdict
from quince.rewards.sql_execution.sql_reward import SqlExecution

RESULTS = Path(__file__).parents[2] / "docs" / "results"
MATH = {"math500": "test", "gsm8k": "test", "aime24": "test"}


@dataclass(frozen=True)
class Finding:
    """Outcomes over one benchmark.

    Attributes:
        benchmark: Name and split.
        judged_by: What judged.
        rows: Rows loaded.
        outcomes: Rows by outcome.
        accepted: Share of `correct` among the judged rows (all but `skipped`).
        not_accepted: Row ids by outcome.
    """

    benchmark: str
    judged_by: str
    rows: int
    outcomes: dict[str, int]
    accepted: float
    not_accepted: dict[str, list[str]]


def find(benchmark: str, judged_by: str, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> Finding:
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    rejected: dict[str, list[str]] = {}
    for row, verdict in zip(rows, verdicts, strict=True):
        if verdict.outcome != "correct":
            rejected.setdefault(verdict.outcome, []).append(row["id"])
    judged = len(rows) - outcomes["skipped"]
    return Finding(benchmark, judged_by, len(rows), dict(outcomes), outcomes["correct"] / judged, rejected)


def spider(split: str) -> Finding:
    rows = load_rows("spider", split=split)
    completions = [f"```sql\n-- gold\n{row['gold_sql']}\n```" for row in rows]
    return find(f"spider {split}", "sql_execution", rows, SqlExecution().judge_batch(completions, rows))


def math(kind: str, split: str) -> list[Finding]:
    reward, rows = MathAnswer(), load_rows(kind, split=split)
    whole = reward.judge_batch([f"The answer is $\\boxed{{{row['answer']}}}$." for row in rows], rows)
    grader_alone = reward.grade([comparable(normal(row["answer"]), normal(row["answer"])) for row in rows])
    return [
        find(f"{kind} {split}", "math", rows, whole),
        find(f"{kind} {split}", "math-verify alone", rows, grader_alone),
    ]


def write(findings: list[Finding]) -> None:
    lines = [
        "# Gold answers through the rewards",
        "",
        "Accepted is the share of `correct` among the judged rows. Spider is judged by its own rule, on the rows whose",
        "database file is at hand; a gold query that SQLite does not run is `error`.",
        "",
        "| benchmark | judged by | rows | correct | skipped | other | accepted |",
        "|---|---|---|---|---|---|---|",
    ]
    for item in findings:
        correct, skipped = item.outcomes.get("correct", 0), item.outcomes.get("skipped", 0)
        lines.append(
            f"| {item.benchmark} | {item.judged_by} | {item.rows} | {correct} | {skipped} "
            f"| {item.rows - correct - skipped} | **{item.accepted:.2%}** |"
        )
    lines += ["", "Rows that were not accepted, by outcome:", ""]
    for item in findings:
        for outcome, ids in item.not_accepted.items():
            lines.append(f"- {item.benchmark}, {item.judged_by}, {outcome}: {', '.join(ids)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "gold_answers.md").write_text("\n".join([*lines, "", "Made by `scripts/bench/gold_answers.py`.", ""]))
    (RESULTS / "gold_answers.json").write_text(json.dumps([asdict(item) for item in findings], indent=2) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    write([spider("dev"), spider("train"), *(finding for kind, split in MATH.items() for finding in math(kind, split))])
