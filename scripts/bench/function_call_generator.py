"""Validated rows of function calls per second on one core: `python scripts/bench/function_call_generator.py`.

Every row passes all validators while it is made, so the figure is that of rows ready to train on. CPU time is
measured, the best of several runs, which other work on the machine disturbs least. Results go to
docs/results/function_call_generator.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quince.data.function_calling.generator import demonstrations, rows
from quince.data.function_calling.generator_settings import SPLITS

TARGET = Path(__file__).parents[2] / "docs" / "results" / "function_call_generator.json"


def rate(make: Callable[..., list[Any]], size: int, runs: int, **options: Any) -> float:
    """Rows per CPU second, the best of ``runs`` seeds; packs and tools are loaded before."""
    make(size=10, **options)
    best = 0.0
    for seed in range(1, runs + 1):
        start = time.process_time()
        made = make(size=size, seed=seed, **options)
        best = max(best, len(made) / (time.process_time() - start))
    return best


def cases() -> dict[str, tuple[Callable[..., list[Any]], dict[str, Any]]]:
    """What is measured: each split, and demonstrations as recipes ask for them."""
    found: dict[str, tuple[Callable[..., list[Any]], dict[str, Any]]] = {
        f"rows, {split}": (rows, {"split": split}) for split in SPLITS
    }
    found["rows, train, half of them masked"] = (rows, {"split": "train", "masking": 0.5})
    found["demonstrations, train"] = (demonstrations, {"split": "train"})
    many = {"split": "train", "requests": 3, "masking": 0.67, "masking_start": 0.0}
    found["demonstrations, up to 3 requests, masking curriculum"] = (demonstrations, many)
    return found


def main() -> None:
    """Measure, print and write the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2000, help="rows a run")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    rates = {
        name: round(rate(make, arguments.size, arguments.runs, **options)) for name, (make, options) in cases().items()
    }
    for name, value in rates.items():
        print(f"{value:6d} rows/s  {name}")
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    report = {"unit": "validated rows per CPU second, one core", "rows_a_run": arguments.size, "rates": rates}
    TARGET.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
