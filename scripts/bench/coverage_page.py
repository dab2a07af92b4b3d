"""The page and the picture of the coverage bench, from its results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from coverage_claims import claims_text, gap, held_out, over_seeds, share, sizes
from quince.data.cache import write_atomic
from quince.eval.statistics import wilson
from quince.recipes.coverage.figure import draw
from quince.recipes.run_folder import processor

Result = dict[str, Any]
SCALING = """No model is trained here: N is the smallest size at which 99 % of the held-out compositions of known
primitives are covered with evidence k (`scripts/bench/coverage_scaling.py`, three seeds for each number of values), a
lower bound for a learner that only substitutes equivalent fragments. Of the families with four slots only small numbers
of values were looked at, so their exponents are not asymptotic. Required N of trained models was not measured.

"""
TYPES = ("type_0", "type_1", "type_2", "type_3")
INTRODUCTION = """Models of 100,000 weights trained from scratch on compositions of random tables with 20 values, by the
library's recipes `coverage/tiny*` and `coverage/modular_addition*`. Type 0 are held-out compositions of primitives
that training used; in type 1 neither primitive was used, in type 2 only the second, in type 3 only the first. Chance
is 0.05; the one-slot baseline answers by the most frequent training answer for the best single slot. ± is Student's
95 % interval over seeds (tables, rows and weights all differ between seeds), brackets are Wilson's over rows. Training
stops on validation rows, never on the rows reported.
"""


def write_page(results: Sequence[Result], folder: Path) -> None:
    """Write `coverage.md` and `coverage.png`."""
    import torch

    draw([result for result in results if result["study"] == "two_hop"], folder / "coverage.png")
    parts = [
        "# What small models compose\n",
        INTRODUCTION,
        "## Claims\n\n" + claims_text(results),
        "![Accuracy by k-cutoff and by kappa](coverage.png)\n",
        "## Two-hop by type\n\n" + by_type(results, "two_hop"),
        "## Two-hop by k-cutoff\n\n" + by_cutoff(results, "two_hop"),
        "## States and interchange\n\n" + states(results, "two_hop", ("b1", "answer")),
        "## Non-tree\n\n"
        + by_type(results, "non_tree")
        + "\n"
        + states(results, "non_tree", ("b1", "x2", "b1, x2", "answer")),
        "## Bridge value written first\n\n" + by_type(results, "cot"),
        "## Switches of training\n\n" + switches(results),
        "## Rows that coverage asks for\n\n" + SCALING + scaling(folder / "coverage_scaling.json"),
        f"{processor()}, one thread a run on two shared cores, torch {torch.__version__}, 2026-11-24. Made by "
        "`scripts/bench/coverage.py`.\n",
    ]
    write_atomic(folder / "coverage.md", "\n".join(parts))


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
    return table([cell.replace("_", " ") for cell in header], rows) if rows else "Not run.\n"


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
        gaps = [over_seeds([gap(seed, name) for seed in seeds]) for name in groupings]
        unseen = over_seeds([gap(seed, "b1", "type_1") for seed in seeds])
        rows.append([f"{size:,}", *gaps, unseen, *(over_seeds(swap(seeds, pick)) for pick in SWAPS.values())])
    header = ["rows", *(f"IICG by {name}" for name in groupings), "by b1, f1 unseen (type 1)", *SWAPS]
    return table(header, rows) if rows else ""


SWAPS: dict[str, tuple[str, int, str]] = {
    "answer flips": ("other_bridge", 1, "flips"),
    "prob": ("other_bridge", 1, "prob"),
    "rank overtaken": ("other_bridge", 1, "rank_overtaken"),
    "same bridge: answer kept": ("same_bridge", 1, "kept"),
    "x1 instead: flips": ("other_bridge", 0, "flips"),
}


def scaling(file: Path) -> str:
    """Fitted exponents of the smallest N that covers, with what the theory and the paper's training give."""
    if not file.is_file():
        return "Not measured.\n"
    rows = []
    for family, found in json.loads(file.read_text(encoding="utf-8")).items():
        for k, law in ((k, found[k]) for k in found if k.isdigit()):
            span = law["exponent"]
            values = sorted({point[0] for point in law["points"]})
            theory = "-" if law["theory"] is None else f"{law['theory']:.2f}"
            fit = f"{span['estimate']:.2f} [{span['low']:.2f}, {span['high']:.2f}]"
            cells = [
                family.replace("_", "-"),
                k,
                f"{values[0]} to {values[-1]}",
                fit,
                f"{law['r_squared']:.3f}",
                theory,
            ]
            rows.append([*cells, f"{found['paper_trained']:.2f}"])
    return table(["family", "k", "values", "exponent of N", "R²", "theory", "paper, trained GPT-2"], rows)


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
        first = [next((step for step, value in seed["curve"] if value >= 0.95), None) for seed in seeds]
        reached = ", ".join("never" if step is None else str(step) for step in first)
        values = [over_seeds([share(seed, "train") for seed in seeds]), over_seeds([held_out(seed) for seed in seeds])]
        rows.append([f"`{name}`", *values, reached, over_seeds([seed["steps"] for seed in seeds], 0)])
    return table(["run", "train", "held out", "step of 0.95, by seed", "steps"], rows)
