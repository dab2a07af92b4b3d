"""Does the reward `bfcl` give the verdicts of BFCL's own checker?

Every single-turn question with its gold answer, every other accepted value of it, and one change at a time (those of
`oracle.py`) is judged by both. Stored are counts and row ids, no text of the benchmark. Needs bfcl-eval:
`pip install --no-deps bfcl-eval`.

    QUINCE_DATA=FOLDER_WITH_BFCL_V4 python scripts/bench/function_calls/bfcl_reward.py
"""

from __future__ import annotations

import time
from collections import Counter

from quince.rewards.function_calling.bfcl import BfclCall
from quince.scripts.bench.function_calls.judges import bfcl_judge
from quince.scripts.bench.function_calls.oracle import CATEGORIES, records
from quince.scripts.bench.function_calls.predictions import predictions
from quince.scripts.bench.pages import Page, Results, bench, table


def compare() -> Results:
    start = time.process_time()
    judge, reward = bfcl_judge(), BfclCall()
    counts: Counter[str] = Counter()
    differ = []
    for category in CATEGORIES:
        for row, record in records(category):
            for prediction in predictions(row):
                theirs = judge(record, prediction.calls) == ""
                ours = reward.judge(prediction.reply("hermes"), row).value == 1.0
                counts.update(replies=1, agree=ours == theirs, accepted=theirs, questions=prediction.label == "mute")
                differ += [] if ours == theirs else [f"{row['id']} {prediction.label}"]
    return {**counts, "differ": differ, "cpu_s": round(time.process_time() - start)}


def render(found: Results) -> str:
    judged = found["provenance"]["versions"]["bfcl-eval"]
    counts = [f"{found[name]:,}" for name in ("questions", "replies", "agree", "accepted")]
    head = ["questions", "completions", "same verdict", "accepted by both", "differ"]
    listed = f"\nThey differ on: {'; '.join(found['differ'][:50])}.\n" if found["differ"] else ""
    return f"""The reward `bfcl` and the checker of bfcl-eval {judged} agree on {found["agree"]:,} of
{found["replies"]:,}
completions. These are the gold answers of every single-turn question of BFCL v4, their other accepted values, and
one change at a time.

{table(head, [[*counts, len(found["differ"])]])}{listed}
{found["cpu_s"]} CPU seconds."""


PAGE = Page("bfcl_reward", "Reward `bfcl` against BFCL's checker", render, needs="bfcl_v4")

if __name__ == "__main__":
    bench(PAGE, compare)
