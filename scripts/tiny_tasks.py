"""Documents of the lm-eval tasks for the tiny model, from the project's generators.

    python scripts/tiny_tasks.py FOLDER

The shipped ones are in recipes/library/_lm_eval; a test checks that they are what this writes.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quince.data.everyday import BULGARIAN, ENGLISH, KEYS
from quince.data.sources import load_rows

DOCUMENTS = 64


def strategies() -> Iterator[dict[str, Any]]:
    for row in load_rows("strategies", split="test", size=DOCUMENTS):
        yield {"question": row["prompt"][0]["content"], "accepted": json.loads(row["accepted"])}


def idioms() -> Iterator[dict[str, Any]]:
    rng = random.Random(0)
    for row in load_rows("sql_idioms", split="in_domain", size=4 * DOCUMENTS):
        right, wrong = ([i["sql"] for i in json.loads(row["idioms"]) if i["valid"] is valid] for valid in (True, False))
        if right and wrong:
            choices = [rng.choice(right), rng.choice(wrong)]
            rng.shuffle(choices)
            answer = next(index for index, choice in enumerate(choices) if choice in right)
            yield {"question": row["prompt"][0]["content"], "choices": choices, "right": answer}


def bulgarian_words() -> Iterator[dict[str, Any]]:
    rng = random.Random(0)
    for _ in range(DOCUMENTS):
        question = " ".join(rng.choices(BULGARIAN, k=rng.randint(4, 12))).capitalize() + rng.choice(".?")
        name, keys = f"get_{rng.choice(ENGLISH)}", rng.sample(KEYS, 2)
        words = [ENGLISH, BULGARIAN]
        rng.shuffle(words)
        calls = [{"name": name, "arguments": {key: rng.choice(some) for key in keys}} for some in words]
        texts = [f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>" for call in calls]
        yield {"question": question, "choices": texts, "right": words.index(BULGARIAN)}


TASKS = {"tiny_strategies": strategies, "tiny_idioms": idioms, "tiny_words_bg": bulgarian_words}


def write(folder: Path) -> None:
    for name, documents in TASKS.items():
        lines = [json.dumps(document, ensure_ascii=False) for document in documents()][:DOCUMENTS]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the documents are written")
    write(parser.parse_args().folder)
