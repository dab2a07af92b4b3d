"""Do the rewards accept the gold answers of real benchmarks?

    QUINCE_DATA=FOLDER python scripts/bench/gold_answers.py

A gold query is fenced with a comment in front, so that it is executed and not recognised by its text. A gold math
answer is judged boxed through the whole reward, and by algebra alone, without the shortcut for equal text.
"""

from __future__ import annotations

from collections.abc import Sequence

from quince.data.rows import Row
from quince.data.sources import load_rows
from quince.rewards.answers.math import MathAnswer
from quince.rewards.base import Verdict
from quince.rewards.sql_execution.sql_reward import SqlExecution
from quince.scripts.bench.pages import Page, Results, bench, table

MATH = {"math500": "test", "gsm8k": "test", "aime24": "test"}


def count(benchmark: str, judged_by: str, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> Results:
    """Rows by outcome, the share of `correct` among those that are not skipped, and the ids of the others."""
    ids: dict[str, list[str]] = {}
    for row, verdict in zip(rows, verdicts, strict=True):
        ids.setdefault(verdict.outcome, []).append(row["id"])
    outcomes = {outcome: len(own) for outcome, own in ids.items()}
    found = {"benchmark": benchmark, "judged_by": judged_by, "rows": len(rows), "outcomes": outcomes}
    accepted = len(ids.pop("correct", [])) / (len(rows) - outcomes.get("skipped", 0))
    return found | {"accepted": accepted, "not_accepted": ids}


def measure() -> Results:
    found = []
    for split in ("dev", "train"):
        rows = load_rows("spider", split=split)
        completions = [f"```sql\n-- gold\n{row['gold_sql']}\n```" for row in rows]
        found.append(count(f"spider {split}", "sql_execution", rows, SqlExecution().judge_batch(completions, rows)))
    for kind, split in MATH.items():
        reward, rows = MathAnswer(), load_rows(kind, split=split)
        whole = reward.judge_batch([f"The answer is $\\boxed{{{row['answer']}}}$." for row in rows], rows)
        alone = reward.grade([((row["answer"], row["answer"]),) for row in rows])
        found.append(count(f"{kind} {split}", "math", rows, whole))
        found.append(count(f"{kind} {split}", "algebra alone", rows, alone))
    return {"benchmarks": found}


def render(found: Results) -> str:
    rows, listed = [], []
    for one in found["benchmarks"]:
        correct, skipped = (one["outcomes"].get(name, 0) for name in ("correct", "skipped"))
        counts = [one["rows"], correct, skipped, one["rows"] - correct - skipped]
        rows.append([one["benchmark"], one["judged_by"], *counts, f"{one['accepted']:.2%}"])
        of = f"- {one['benchmark']}, {one['judged_by']}"
        listed += [f"{of}, {outcome}: {', '.join(ids)}" for outcome, ids in one["not_accepted"].items()]
    judged, correct = sum(row[3] + row[5] for row in rows), sum(row[3] for row in rows)
    return f"""Of {judged:,} gold answers that the rewards judged, {correct:,} are accepted.
Spider is judged by its own rule, on the rows whose database file is at hand, and a gold query that SQLite
does not run is `error`.

{table(["benchmark", "judged by", "rows", "correct", "skipped", "other", "accepted"], rows)}
Rows that were not accepted, by outcome:

{chr(10).join(listed) or "none"}"""


PAGE = Page("gold_answers", "Gold answers through the rewards", render, needs="the_benchmarks")

if __name__ == "__main__":
    bench(PAGE, measure)
