"""Validated rows of function calls per CPU second on one core.

    python scripts/bench/function_calls/generator.py

Every row passes all validators while it is made, so the figure is that of rows ready to train on. CPU time is
measured, the best of several runs, which other work on the machine disturbs least.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from quince.data.function_calling.generator import demonstrations, rows
from quince.data.function_calling.generator_settings import SPLITS
from quince.scripts.bench.pages import Page, Results, bench, table


def rate(make: Callable[..., list[Any]], size: int, runs: int, **options: Any) -> float:
    """Rows per CPU second, the best of ``runs`` seeds; packs and tools are loaded before."""
    make(size=10, **options)
    best = 0.0
    for seed in range(1, runs + 1):
        start = time.process_time()
        made = make(size=size, seed=seed, **options)
        best = max(best, len(made) / (time.process_time() - start))
    return best


def measure(size: int = 2000, runs: int = 3) -> Results:
    cases: dict[str, tuple[Callable[..., list[Any]], dict[str, Any]]] = {
        **{f"rows, {split}": (rows, {"split": split}) for split in SPLITS},
        "rows, train, half of them masked": (rows, {"split": "train", "masking": 0.5}),
        "demonstrations, train": (demonstrations, {"split": "train"}),
        "demonstrations, up to 3 requests, masking curriculum": (
            demonstrations,
            {"split": "train", "requests": 3, "masking": 0.67, "masking_start": 0.0},
        ),
    }
    rates = {name: round(rate(make, size, runs, **options)) for name, (make, options) in cases.items()}
    return {"rows_a_run": size, "rates": rates, "seeds": list(range(1, runs + 1))}


def render(found: Results) -> str:
    rates, runs = found["rates"], len(found["provenance"]["seeds"])
    return f"""The generator makes {min(rates.values()):,} to {max(rates.values()):,} validated rows of function calls
per CPU second on one core. A figure is the best of {runs} runs of {found["rows_a_run"]:,} rows, each with its own seed.

{table(["what is made", "rows per CPU second"], [[name, f"{value:,}"] for name, value in rates.items()])}"""


PAGE = Page("function_call_generator", "Speed of the generator of function calls", render)

if __name__ == "__main__":
    bench(PAGE, measure)
