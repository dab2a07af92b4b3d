"""The page and the picture of the coverage bench, from its results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from quince.data.cache import write_atomic
from quince.eval.statistics import wilson
from quince.recipes.coverage.figure import draw
from quince.recipes.run_folder import processor
from scipy.stats import t as student

Result = dict[str, Any]
TYPES = ("type_0", "type_1", "type_2", "type_3")
NOTES = Path(__file__).with_name("coverage_notes.md")
"""What is said about the figures; written by hand after looking at them."""


def write_page(results: Sequence[Result], folder: Path) -> None:
    """Write `coverage.md` and `coverage.png`."""
    import torch

    draw([result for result in results if result["study"] == "two_hop"], folder / "coverage.png")
    parts = [
        "# What small models compose\n",
        NOTES.read_text(encoding="utf-8"),
        "![Accuracy by k-cutoff and by kappa](coverage.png)\n",
        "## Two-hop by type\n" + by_type(results, "two_hop"),
        "## Two-hop by k-cutoff\n" + by_cutoff(results, "two_hop"),
        "## States and interchange\n" + states(results, "two_hop", ("b1", "answer")),
        "## Non-tree\n" + by_type(results, "non_tree") + "\n" + states(results, "non_tree", ("b1", "b1, x2", "answer")),
        "## Bridge value written first\n" + by_type(results, "cot"),
        "## Switches of training\n" + switches(results),
        f"{processor()}, one thread a run on two shared cores, torch {torch.__version__}, 2026-11-24. Made by "
        "`scripts/bench/coverage.py`.\n",
    ]
    write_atomic(folder / "coverage.md", "\n".join(parts))


def over_seeds(values: Sequence[float], digits: int = 2) -> str:
    """Mean with Student's 95 % interval over seeds; without it for one seed."""
    values = [value for value in values if value is not None and np.isfinite(value)]
    if not values:
        return "-"
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) < 2:
        return mean
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{mean} ± {half:.{digits}f}"


def share(result: Result, name: str) -> float:
    good, rows = result["right"].get(name, (0, 0))
    return good / rows if rows else float("nan")


def sizes(results: Sequence[Result], study: str) -> dict[int, list[Result]]:
    found: dict[int, list[Result]] = {}
    for result in results:
        if result["study"] == study:
            found.setdefault(result["data"]["task"]["rows"], []).append(result)
    return dict(sorted(found.items()))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def by_type(results: Sequence[Result], study: str) -> str:
    """Accuracy of each type by size, mean over seeds, with the baseline of the best single slot."""
    rows = []
    for size, seeds in sizes(results, study).items():
        contexts = over_seeds([seed["shared_contexts"] for seed in seeds], 1)
        cells = [over_seeds([share(seed, name) for seed in seeds]) for name in ("train", *TYPES)]
        base = [over_seeds([seed["marginal_baseline"].get(name) for seed in seeds]) for name in ("type_0", "type_2")]
        steps = over_seeds([seed["steps"] for seed in seeds], 0)
        rows.append([f"{size:,}", contexts, *cells, " / ".join(base), steps, str(len(seeds))])
    header = ["rows", "shared contexts", "train", *TYPES, "one-slot baseline of types 0 / 2", "steps", "seeds"]
    return table([cell.replace("_", " ") for cell in header], rows)


def by_cutoff(results: Sequence[Result], study: str, largest: int = 12) -> str:
    """Accuracy on type 0 by k-cutoff with Wilson's interval over the rows of all seeds; the last bin is open."""
    rows = []
    for size, seeds in sizes(results, study).items():
        counts = np.zeros((largest + 1, 2), dtype=int)
        for seed in seeds:
            for k, pair in seed["by_cutoff"].items():
                counts[min(int(k), largest)] += pair
        rows.append([f"{size:,}", *(binned(good, total) for good, total in counts[1:])])
    return table(["rows", *(f"k = {k}" for k in range(1, largest)), f"k ≥ {largest}"], rows)


def binned(good: int, total: int) -> str:
    if not total:
        return ""
    interval = wilson(int(good), int(total))
    return f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def states(results: Sequence[Result], study: str, groupings: Sequence[str]) -> str:
    """IICG after the first block at x2, by grouping and group of rows, and what swapping that state does."""
    rows = []
    for size, seeds in sizes(results, study).items():
        gaps = [over_seeds([seed["states"]["iicg"]["type_0"][name][1][1] for seed in seeds]) for name in groupings]
        unseen = over_seeds([seed["states"]["iicg"]["type_1"]["b1"][1][1] for seed in seeds])
        rows.append([f"{size:,}", *gaps, unseen, *(over_seeds(swap(seeds, pick)) for pick in SWAPS.values())])
    header = ["rows", *(f"IICG by {name}" for name in groupings), "by b1, f1 unseen (type 1)", *SWAPS]
    return table(header, rows)


SWAPS: dict[str, tuple[str, int, str]] = {
    "answer flips": ("other_bridge", 1, "flips"),
    "prob": ("other_bridge", 1, "prob"),
    "rank overtaken": ("other_bridge", 1, "rank_overtaken"),
    "same bridge: answer kept": ("same_bridge", 1, "kept"),
    "x1 instead: flips": ("other_bridge", 0, "flips"),
}


def swap(seeds: Sequence[Result], pick: tuple[str, int, str]) -> list[float | None]:
    kind, position, name = pick
    places = [seed["states"].get("interchange", {}).get(f"{kind}/layer_1/position_{position}") for seed in seeds]
    return [place[name] if place else None for place in places]


def switches(results: Sequence[Result]) -> str:
    """Held-out accuracy of each way to train, and the first step at which it was 0.95."""
    names = [
        "modular_addition",
        "modular_addition_decay",
        "modular_addition_perpendicular",
        "modular_addition_stablemax",
        "two_hop",
        "two_hop_perpendicular",
    ]
    rows = []
    for name in names:
        found = sizes(results, name)
        if not found:
            continue
        seeds = found[max(found)]
        held_out = "type_0" if "type_0" in seeds[0]["right"] else "type_1"
        first = [next((step for step, value in seed["curve"] if value >= 0.95), None) for seed in seeds]
        reached = ", ".join("never" if step is None else str(step) for step in first)
        values = [over_seeds([share(seed, group) for seed in seeds]) for group in ("train", held_out)]
        rows.append([f"`{name}`", *values, reached, over_seeds([seed["steps"] for seed in seeds], 0)])
    return table(["run", "train", "held out", "step of 0.95, by seed", "steps"], rows)
