"""What small models compose, over seeds: accuracy by coverage, states, interchange, and two switches of training.

    python scripts/bench/coverage/study.py run                 # every study; finished runs are passed
    python scripts/bench/coverage/study.py run --study two_hop --seed 0
    python scripts/bench/coverage/study.py report              # the page, from the runs that there are

Runs are the library's recipes, one process, one size after the other. Results of an earlier report whose runs are not
in the folder are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from quince.eval.measure.statistics import proportion
from quince.recipes.coverage.study import draw
from quince.scripts.bench.coverage import claims
from quince.scripts.bench.coverage.claims import TABLE, Result, gap, held_out, over_seeds, share, sizes
from quince.scripts.bench.pages import Page, Results, bench, span, stamp_of, table

RUNS = Path("runs/bench/coverage")
SEEDS = (0, 1, 2)
STUDIES: dict[str, str] = TABLE["studies"]


def run(
    runs: Path = RUNS, study: Sequence[str] = tuple(STUDIES), seed: Sequence[int] = SEEDS, rows: Sequence[int] = (0,)
) -> None:
    """Train every size of the studies, or the sizes of `rows`, that is not finished in the folder."""
    import torch
    from quince.recipes.config import load_recipe
    from quince.recipes.coverage.train_probe import RESULT, train_probe

    torch.set_num_threads(1)
    for name, number in product(study, seed):
        for size in reversed(load_recipe(STUDIES[name]).recipe.data.rows):
            out = runs / name / f"seed_{number}" / f"rows_{size}"
            if (out / RESULT).is_file() or (any(rows) and size not in rows):
                continue
            overrides = [f"seed={number}", f"data.rows=[{size}]", f"output_dir={out}", "trainer.disable_tqdm=true"]
            train_probe(load_recipe(STUDIES[name], overrides))
            print(f"{name}, seed {number}, {size} rows: done", flush=True)


def collect(folder: Path) -> Iterator[dict[str, Any]]:
    """The results in a folder, with study and curve of the accuracy; heat maps only where they are reported."""
    for file in sorted(folder.glob("*/seed_*/rows_*/result.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        lines = map(json.loads, (file.parent / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        name = "accuracy/type_0" if "type_0" in result["right"] else "accuracy/type_1"
        result["curve"] = [[line["step"], round(line[name], 4)] for line in lines if name in line]
        yield result | {"study": file.parts[-4], "stamp": stamp_of(file.parent)}


TYPES = ("type_0", "type_1", "type_2", "type_3")


def by_type(results: Sequence[Result], study: str) -> str:
    rows = []
    for size, seeds in sizes(results, study).items():
        contexts = over_seeds([seed["shared_contexts"] for seed in seeds], 1)
        cells = [over_seeds([share(seed, name) for seed in seeds]) for name in ("train", *TYPES)]
        base = [over_seeds([seed["marginal_baseline"].get(name) for seed in seeds]) for name in ("type_0", "type_2")]
        steps = over_seeds([seed["steps"] for seed in seeds], 0)
        rows.append([f"{size:,}", contexts, *cells, " / ".join(base), steps, str(len(seeds))])
    header = ["rows", "shared contexts", "train", *TYPES, "one-slot baseline of types 0 / 2", "steps", "seeds"]
    return table([cell.replace("_", " ") for cell in header], rows) if rows else "Not run.\n"


def by_cutoff(results: Sequence[Result], study: str, largest: int = 12) -> str:
    """Accuracy on type 0 by k-cutoff with intervals over the rows of all seeds; the last bin is open."""
    rows = []
    for size, seeds in sizes(results, study).items():
        counts = np.zeros((largest + 1, 2), dtype=int)
        for seed in seeds:
            for k, pair in seed["by_cutoff"].items():
                counts[min(int(k), largest)] += pair
        shares = (span(proportion(*map(int, pair)).as_dict()) if pair[1] else "" for pair in counts[1:])
        rows.append([f"{size:,}", *shares])
    return table(["rows", *(f"k = {k}" for k in range(1, largest)), f"k ≥ {largest}"], rows)


def states(results: Sequence[Result], study: str, groupings: Sequence[str]) -> str:
    """IICG after the first block at x2, by grouping and group of rows, and what swapping that state does."""
    rows = []
    for size, seeds in sizes(results, study).items():
        gaps = [over_seeds([gap(seed, name) for seed in seeds]) for name in groupings]
        unseen = over_seeds([gap(seed, "b1", "type_1") for seed in seeds])
        rows.append([f"{size:,}", *gaps, unseen, *(over_seeds(swap(seeds, pick)) for pick in SWAPS.values())])
    header = ["rows", *(f"IICG by {name}" for name in groupings), "by b1, f1 unseen (type 1)", *SWAPS]
    return table(header, rows) if rows else ""


SWAPS = TABLE["swaps"]


def by_mechanism(results: Sequence[Result]) -> str:
    rows = []
    for study, name in TABLE["tables"].items():
        for seeds, kind in product(sizes(results, study).values(), TYPES):
            cells = []
            for how in ("equivalence", "property", "neither"):
                total = sum(seed["by_mechanism"][kind][how][1] for seed in seeds)
                cells.append(f"{over_seeds(claims.mechanism(seeds, kind, how))} [{total:,}]" if total else "-")
            base = over_seeds([seed["marginal_baseline"].get(kind) for seed in seeds])
            rows.append([name, kind.replace("_", " "), *cells, base, str(len(seeds))])
    header = ["tables", "rows", "equivalence", "property", "neither", "one-slot baseline", "seeds"]
    return table(header, rows) if rows else "Not run.\n"


def swap(seeds: Sequence[Result], pick: Sequence[Any]) -> list[float | None]:
    kind, position, name = pick
    places = [seed["states"].get("interchange", {}).get(f"{kind}/layer_1/position_{position}") for seed in seeds]
    return [place[name] if place else None for place in places]


def switches(results: Sequence[Result]) -> str:
    rows = []
    for name in sorted(name for name in STUDIES if name.startswith(("modular_addition", "two_hop"))):
        found = sizes(results, name)
        if not found:
            continue
        seeds = found[max(found)]
        first = [next((step for step, value in seed["curve"] if value >= 0.95), None) for seed in seeds]
        reached = ", ".join("never" if step is None else str(step) for step in first)
        values = [over_seeds([share(seed, "train") for seed in seeds]), over_seeds([held_out(seed) for seed in seeds])]
        rows.append([f"`{name}`", *values, reached, over_seeds([seed["steps"] for seed in seeds], 0)])
    return table(["run", "train", "held out", "step of 0.95, by seed", "steps"], rows)


def with_earlier(results: Sequence[Result], earlier: Sequence[Result]) -> list[Result]:
    def key(result: Result) -> tuple[str, int, int]:
        task = result["data"]["task"]
        return result["study"], task["seed"], task["rows"]

    return list(({key(result): result for result in earlier} | {key(result): result for result in results}).values())


def report(out: Path, runs: Path = RUNS) -> Results:
    file = out / f"{PAGE.name}.json"
    earlier = json.loads(file.read_text(encoding="utf-8"))["runs"] if file.is_file() else []
    found = with_earlier(list(collect(runs)), earlier)
    return {"runs": found, "stamps": [result["stamp"] for result in found]}


def render(found: Results) -> str:
    results = found["runs"]
    text, outcomes = claims.claims_text(results), [holds for _, holds, _ in claims.judged(results)]
    counts = [outcomes.count(outcome) for outcome in (True, False, None)]
    opening = "Of {} claims about what small models compose, {} hold, {} do not, and {} are not measured.\n{}**.\n"
    parts = [
        opening.format(len(outcomes), *counts, text.partition("**.")[0].removeprefix("1. ")),
        "## Claims\n\n" + text,
        "![Accuracy by k-cutoff and by kappa](coverage.png)\n",
        "## Two-hop by type\n\n" + by_type(results, "two_hop"),
        "## Two-hop by k-cutoff\n\n" + by_cutoff(results, "two_hop"),
        "## States and interchange\n\n" + states(results, "two_hop", ("b1", "answer")),
        "## Non-tree\n\n" + by_type(results, "non_tree"),
        states(results, "non_tree", ("b1", "x2", "b1, x2", "answer")),
        "## Bridge value written first\n\n" + by_type(results, "cot"),
        "## Switches of training\n\n" + switches(results),
        "## Tables with a property\n\n" + by_mechanism(results),
    ]
    return "\n".join(parts)


def draw_two_hop(found: Results, out: Path) -> None:
    draw([result for result in found["runs"] if result["study"] == "two_hop"], out / "coverage.png")


PAGE = Page("coverage", "What small models compose", render, seeds=SEEDS, draw=draw_two_hop)

if __name__ == "__main__":
    bench(PAGE, run=run, report=report)
