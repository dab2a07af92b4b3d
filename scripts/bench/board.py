"""The board with 10,000 answers in a browser: time until they can be read and searched, and bytes. Needs Chromium.

python scripts/bench/board.py
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from os import getloadavg
from pathlib import Path
from typing import Any

from quince.eval.board import build_board
from quince.eval.engines.base import Sampling
from quince.eval.measure.evaluate import Evaluation
from quince.eval.measure.problems import Answer, Problem, SampleLog
from quince.eval.measure.records import write_record
from quince.eval.measure.settings import Settings
from quince.scripts.bench.chromium import find_chromium, new_page
from quince.scripts.bench.pages import Page, Results, bench, table

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

    def text(length: int, draw: random.Random = draw) -> str:
        return " ".join(draw.choices(WORDS, k=length // 4))

    def answer() -> Answer:
        right = draw.random() < share
        outcome = "correct" if right else "wrong"
        return Answer(text(characters), 1, float(right), outcome, right, None, characters // 4, -9.0, False)

    def answers() -> tuple[Answer, ...]:
        return tuple(answer() for _ in range(n))

    return [
        Problem(f"made-up/{i}", "made_up", text(200, random.Random(i)), {"answer": str(i)}, answers())
        for i in range(problems)
    ]


def write_records(folder: Path, problems: int, n: int, names: Sequence[str] = ("base", "trained")) -> None:
    for seed, (model, share) in enumerate(zip(names, (0.4, 0.6), strict=True)):
        engine = {"dtype": "float32", "engine": "transformers", "engine_version": "5", "sampling": Sampling(n=n)}
        empty = {"revision": None, "reward": {}, "data": [], "rows_sha256": "", "template_sha256": ""}
        settings = Settings(suite="made_up", model=model, model_fingerprint=model, **engine, **empty)
        found = made_up(problems, n, share, seed)
        log = SampleLog(folder / model, settings.hash)
        log.append(found)
        log.finish()
        write_record(folder / model, Evaluation(tuple(found), settings.sampling, (1,)), settings)


def load(folder: Path, executable: str) -> dict[str, Any]:
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


def measure() -> Results:
    executable = find_chromium()
    if executable is None:
        sys.exit("no Chromium found · install it, or add it to PATH")
    browser = subprocess.run([executable, "--version"], capture_output=True, text=True).stdout.split(" built")[0]
    shapes = {}
    for name, (problems, n) in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            write_records(Path(folder) / "records", problems, n)
            shapes[name] = load(Path(folder), executable)
    return {"browser": browser, "load_average": getloadavg()[0], "shapes": shapes}


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def render(found: Results) -> str:
    rows, sizes, medians = [], [], []
    for name, one in found["shapes"].items():
        for view in VIEWS:
            times = [spread(one[view][key]) for key in ("load_ms", "load_cpu_ms", "search_ms")]
            rows.append([f"10,000, {name}", view, *times])
            medians.append(statistics.median(one[view]["load_ms"]) / 1e3)
        sizes.append(
            f"- {name}: page {one['page_bytes'] / 1e3:,.0f} kB, questions and answers {one['script_bytes'] / 1e6:,.1f}"
            f" MB, style and script {one['shared_bytes'] / 1e3:,.0f} kB; built in {one['build_cpu_seconds']:.1f} CPU"
            f" seconds; errors {len(one['errors'])}, requests outside the folder {len(one['outside'])}."
        )
    head = ["answers on the page", "view", "until readable, ms", "CPU, ms", "search, ms"]
    return f"""A board of 10,000 answers is readable {min(medians):.1f} to {max(medians):.1f} seconds after it is
opened.
Figures are the median of {LOADS} loads (smallest to largest) in {found["browser"]}, load of the machine
{found["load_average"]:.1f}.

{table(head, rows)}
{chr(10).join(sizes)}"""


PAGE = Page("board", "The board in a browser", render, seeds=[0, 1])

if __name__ == "__main__":
    bench(PAGE, measure)
