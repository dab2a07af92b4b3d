"""Does the reward `bfcl` give the verdicts of BFCL's own checker?

Every single-turn question with its gold answer, every other accepted value of it, and one change at a time (those of
`function_call_oracle.py`) is judged by both. Writes `docs/results/bfcl_reward.{json,md}`: counts and row ids, no text
of the benchmark.

    pip install --no-deps bfcl-eval
    QUINCE_DATA=<folder with bfcl_v4> python scripts/bench/bfcl_reward.py
"""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import date
from importlib.metadata import version
from pathlib import Path

from function_call_judges import bfcl_judge
from function_call_oracle import CATEGORIES, records
from function_call_predictions import predictions
from quince.data.cache import write_atomic
from quince.rewards.function_calling.bfcl import BfclCall

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def compare() -> dict[str, object]:
    """Replies, equal verdicts, and the ids of the rest, over all categories."""
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
    return {**counts, "differ": differ}


def main() -> None:
    start = time.process_time()
    found = compare() | {"bfcl_eval": version("bfcl-eval"), "date": date.today().isoformat()}
    found["cpu_s"] = round(time.process_time() - start)
    counts = " | ".join(f"{found[name]:,}" for name in ("questions", "replies", "agree", "accepted"))
    page = f"""# Reward `bfcl` against BFCL's checker

Every single-turn question of BFCL v4 with its gold answer, every other accepted value of it, and one change at a time,
judged by the reward and by bfcl-eval {found["bfcl_eval"]}. {found["date"]}, {found["cpu_s"]} CPU s, no random numbers:

    pip install --no-deps bfcl-eval
    QUINCE_DATA=<folder with bfcl_v4> python scripts/bench/bfcl_reward.py

| questions | replies | both accept or both reject | accepted | differ |
|---:|---:|---:|---:|---:|
| {counts} | **{len(found["differ"])}** |

Calls are read from the reply by Quince's strict parser, and Java's and JavaScript's types are those of JSON.
"""
    write_atomic(RESULTS / "bfcl_reward.md", page)
    write_atomic(RESULTS / "bfcl_reward.json", json.dumps(found, indent=1) + "\n")
    print(page, *found["differ"][:40], sep="\n")


if __name__ == "__main__":
    main()
