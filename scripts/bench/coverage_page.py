"""The page and the picture of the coverage bench, from its results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from coverage_claims import claims_text, gap, held_out, mechanism, over_seeds, share, sizes
from quince.data.cache import write_atomic
from quince.eval.coverage.scaling import kappa
from quince.eval.measure.statistics import wilson
from quince.recipes.coverage.study import draw
from quince.recipes.run.run_folder import processor

Result = dict[str, Any]
SCALING = """No model is trained here: N is the smallest size at which 99 % of the held-out compositions of known
primitives are covered with evidence k (`scripts/bench/coverage_scaling.py`, three seeds for each number of values), a
lower bound for a learner that only substitutes equivalent fragments. Of the families with four slots only small numbers
of values were looked at, so their exponents are not asymptotic.

"""
REQUIRED = """Required N of a trained model: type 0 is answered with 0.95 at the end of the 2,500 steps of
`coverage/tiny`. It is looked for on a grid of factor 1.25 and interpolated (`scripts/bench/coverage_required.py`). The
criterion, the grid and the first guesses, of equal kappa for every |X| as the tables above suggested, were fixed before
these models were trained; that wide brackets are halved was added when the first ones were seen. With 20 values the
sizes of the tables above are used as well. The exponent is the slope of log N with Student's interval. Steps are the
same for every |X|: these rows suffice within them. One seed beside 20 values, and a factor of at most two between the
numbers of values, are little for an exponent. Of the families with four slots three-hop needs about twice the rows of
the first guess; 12 values were added after 8 and 10, since of 6 too few compositions are left to find the size.

"""
MECHANISMS = """Two-hop at 3,000 rows whose tables have a property. Equivalence: the training rows determine an answer
with evidence of at least 3; property: they do not, but every primitive is in use or follows from those in use by the
property (symmetric: its mirror image is in use; one table: the other place uses it); neither: the rest. Where tables
are symmetric or one, the few rows of types 1 to 3 under equivalence are alike by chance. Accuracy over seeds, in
brackets the rows of all seeds.

"""
FOUND = """
- Structure: an argument that is ignored makes pairs equivalent that training never used, and every model answers all of
  them after 500 steps. What nothing gives away stays near chance.
- Property: symmetry reaches further than equivalence, but only in the first table, whose arguments are both tokens
  (type 2). In the second, one of whose arguments is a bridge value, it is not found (types 1 and 3), so that the
  average that was claimed is not reached in every seed. A single table of modular addition, above, is known beyond
  equivalence as well, with perpendicular gradients.
- Shared operator: an entry that only the other place uses is answered as rarely as one that no place uses.
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
        "## Tables with a property\n\n" + MECHANISMS + by_mechanism(results) + FOUND,
        "## Rows that coverage asks for\n\n" + SCALING + scaling(folder / "coverage_scaling.json"),
        "## Rows that trained models need\n\n" + REQUIRED + required(folder / "coverage_required.json"),
        f"{processor()}, one thread a run on two shared cores, torch {torch.__version__}, 2026-11-24; tables with a "
        "property and rows that trained models need: 2026-11-30. Made by `scripts/bench/coverage.py`.\n",
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


def by_mechanism(results: Sequence[Result]) -> str:
    """Accuracy of each type by what gives the answer away, for tables with a property."""
    rows = []
    for study, name in TABLES.items():
        for seeds in sizes(results, study).values():
            for kind in TYPES:
                cells = [of_mechanism(seeds, kind, how) for how in ("equivalence", "property", "neither")]
                base = over_seeds([seed["marginal_baseline"].get(kind) for seed in seeds])
                rows.append([name, kind.replace("_", " "), *cells, base, str(len(seeds))])
    header = ["tables", "rows", "equivalence", "property", "neither", "one-slot baseline", "seeds"]
    return table(header, rows) if rows else "Not run.\n"


def of_mechanism(seeds: Sequence[Result], kind: str, how: str) -> str:
    total = sum(seed["by_mechanism"][kind][how][1] for seed in seeds)
    return f"{over_seeds(mechanism(seeds, kind, how))} [{total:,}]" if total else "-"


TABLES = {"symmetric": "symmetric", "ignored": "x2 ignored", "same": "one at both places"}


def required(file: Path) -> str:
    """Required N of trained models by |X|, and the exponents beside theory and paper."""
    if not file.is_file():
        return "Not measured.\n"
    found = json.loads(file.read_text(encoding="utf-8"))
    laws, points = [], []
    for name, law in found["laws"].items():
        by_values: dict[int, list[float | None]] = {}
        for values, _, needed in law["points"]:
            by_values.setdefault(values, []).append(needed)
        for values, seeds in by_values.items():
            reached = [rows for rows in seeds if rows is not None]
            shown = ", ".join(f"{rows:,.0f}" for rows in reached) or "-"
            contexts = (
                ", ".join(f"{kappa(rows, values):.1f}" for rows in reached) if name.startswith("two_hop") else "-"
            )
            open_ = len(seeds) - len(reached)
            points.append([name.replace("_", " "), str(values), shown, contexts or "-", str(open_)])
        span = law["exponent"]
        fit = f"{span['estimate']:.2f} [{span['low']:.2f}, {span['high']:.2f}]" if span else "not measured"
        squared = f"{law['r_squared']:.3f}" if span else "-"
        theory = "2.00, 2.25, 2.33" if name == "two_hop" else "-"
        laws.append([name.replace("_", " "), fit, squared, theory, f"{law['paper_trained']:.2f}"])
    head = ["family", "exponent of N", "R²", "theory, k = 1, 2, 3", "paper, trained GPT-2"]
    return (
        table(head, laws) + "\n" + table(["family", "values", "N by seed", "kappa", "seeds without a bracket"], points)
    )


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
