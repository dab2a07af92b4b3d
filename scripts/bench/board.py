"""The board with 10,000 answers in a browser: time until they can be read and searched, and bytes.

Writes `docs/results/board.json` and `.md`: `python scripts/bench/board.py`. Needs Chromium.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from chromium import find_chromium, new_page
from quince.eval.board import build_board
from quince.eval.engines.base import Sampling
from quince.eval.measure.evaluate import Evaluation
from quince.eval.measure.problems import Answer, Problem
from quince.eval.measure.records import write_record
from quince.eval.measure.samples import SampleLog
from quince.eval.measure.settings import Settings

RESULTS = Path(__file__).parents[2] / "docs" / "results"
SHAPES = {"one answer a problem": (5_000, 1), "8 answers a problem": (625, 8)}
"""Problems and answers of each, for two models: 10,000 answers on the page that compares them."""
WORDS = "the of sum is so we get and then multiply by 3 7 12 which gives x = 4 because each row has price total".split()
VIEWS = {"desktop": 1280, "phone": 390}
LOADS = 7
READY = "performance.getEntriesByName('answers')[0]?.startTime"
SEARCH = """(async () => {
  const box = document.forms[0].elements.query, start = performance.now();
  box.value = "because each"; box.dispatchEvent(new Event("input", {bubbles: true}));
  return performance.now() - start;
})()"""


def made_up(problems: int, n: int, share: float, seed: int, characters: int = 400) -> list[Problem]:
    """Problems with n different answers each, of about this length, a share of them right."""
    draw = random.Random(seed)

    def text(length: int) -> str:
        return " ".join(draw.choices(WORDS, k=length // 4))

    def answer() -> Answer:
        right = draw.random() < share
        outcome = "correct" if right else "wrong"
        return Answer(text(characters), 1, float(right), outcome, right, None, characters // 4, -9.0, False)

    return [
        Problem(f"made-up/{i}", "made_up", text(200), {"answer": str(i)}, tuple(answer() for _ in range(n)))
        for i in range(problems)
    ]


def write_records(folder: Path, problems: int, n: int, names: Sequence[str] = ("base", "trained")) -> None:
    """Records of two models."""
    for seed, (model, share) in enumerate(zip(names, (0.4, 0.6), strict=True)):
        settings = Settings(
            suite="made_up",
            model=model,
            revision=None,
            model_fingerprint=model,
            dtype="float32",
            engine="transformers",
            engine_version="5",
            sampling=Sampling(n=n),
            reward={},
            data=[],
            rows_sha256="",
            template_sha256="",
        )
        found = made_up(problems, n, share, seed)
        log = SampleLog(folder / model, settings.hash)
        log.append(found)
        log.finish()
        write_record(folder / model, Evaluation(tuple(found), settings.sampling, (1,)), settings)


def measure(folder: Path, executable: str) -> dict[str, Any]:
    """Build the board of the records and load the comparison a few times in each view."""
    started = time.process_time()
    index = build_board([folder / "records"], folder / "board")
    result: dict[str, Any] = {"build_cpu_seconds": time.process_time() - started}
    page = index.parent / "comparisons" / "base--trained.html"
    result["page_bytes"] = page.stat().st_size
    result["script_bytes"] = sum(file.stat().st_size for file in (index.parent / "data").rglob("*.js"))
    result["shared_bytes"] = sum((index.parent / name).stat().st_size for name in ("board.css", "board.js"))
    with new_page(executable) as tab:
        for name, width in VIEWS.items():
            tab.view(width)
            times: dict[str, list[float]] = {"load_ms": [], "load_cpu_ms": [], "search_ms": []}
            for _ in range(LOADS):
                before = tab.cpu_seconds()
                tab.open(page.as_uri())
                times["load_ms"].append(tab.wait_for(READY))
                times["load_cpu_ms"].append(1e3 * (tab.cpu_seconds() - before))
                times["search_ms"].append(tab.evaluate(SEARCH))
            result[name] = times
        result["errors"] = tab.errors
        result["outside"] = [url for url in tab.requests if not url.startswith(("file:", "data:"))]
    return result


def spread(values: list[float]) -> str:
    """Median with the smallest and the largest."""
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def page_text(record: dict[str, Any]) -> str:
    """The results page."""
    rows = [
        "| answers on the page | view | until readable, ms | CPU, ms | search, ms |",
        "|---|---|---:|---:|---:|",
    ]
    for name, found in record["shapes"].items():
        for view in VIEWS:
            cells = " | ".join(spread(found[view][key]) for key in ("load_ms", "load_cpu_ms", "search_ms"))
            rows.append(f"| 10,000, {name} | {view} | {cells} |")
    sizes = [
        f"- {name}: page {found['page_bytes'] / 1e3:,.0f} kB, questions and answers {found['script_bytes'] / 1e6:,.1f} "
        f"MB, style and script {found['shared_bytes'] / 1e3:,.0f} kB; built in {found['build_cpu_seconds']:.1f} CPU "
        f"seconds; errors {len(found['errors'])}, requests outside the folder {len(found['outside'])}."
        for name, found in record["shapes"].items()
    ]
    return "\n".join(
        [
            "# The board in a browser",
            "",
            "Two models side by side with 10,000 different answers of about 400 characters, opened from the file",
            f"system. Median of {LOADS} loads (smallest to largest): from the start of navigation, by",
            "`performance.now()`, until all questions and answers are read, the filters are counted and the list is",
            "there; CPU is that of all processes of the browser, which other work on the machine does not change;",
            "then a search through every question and answer, typed for the first time.",
            "",
            *rows,
            "",
            *sizes,
            "",
            f"{record['date']}, {record['hardware']}, {record['browser']}, load of the machine "
            f"{record['load_average']:.1f}. Made by `{record['command']}`.",
            "",
        ]
    )


def main() -> None:
    executable = find_chromium()
    if executable is None:
        sys.exit("no Chromium found · install it, or add it to PATH")
    from os import getloadavg

    record: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "hardware": "two shared Xeon cores",
        "browser": subprocess.run([executable, "--version"], capture_output=True, text=True).stdout.split(" built")[0],
        "command": "python scripts/bench/board.py",
        "load_average": getloadavg()[0],
        "numpy": np.__version__,
        "shapes": {},
    }
    for name, (problems, n) in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            write_records(Path(folder) / "records", problems, n)
            record["shapes"][name] = measure(Path(folder), executable)
    (RESULTS / "board.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "board.md").write_text(page_text(record), encoding="utf-8")
    print(page_text(record))


if __name__ == "__main__":
    main()
