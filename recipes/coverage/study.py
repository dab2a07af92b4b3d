"""One probe model for each size of the training set, each in its own process, and a comparison of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from ...data.cache import write_atomic
from ...eval.measure.statistics import proportion
from ..config.language.reading import CoreDumper

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..config.coverage import CoverageRecipe
    from ..config.loader import LoadedRecipe

COLOURS = ("#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00", "#cc79a7", "#6b3fa0")
"""Okabe and Ito's colours, which the common kinds of colour blindness can tell apart."""
INK, GREY, PALE = "#222222", "#6f6f6f", "#e4e4e4"
SMALLEST_BIN = 10
"""Fewest rows of a k-cutoff that is drawn."""

RESULT, FIGURE = "result.json", "accuracy.png"

Result = Mapping[str, Any]


def draw(results: Sequence[Result], out: Path) -> None:
    """Draw a study from the contents of its `result.json` files, several of one size as seeds, into a PNG file."""
    import matplotlib.pyplot as plt

    text = {"font.size": 11, "text.color": INK, "axes.labelcolor": INK, "xtick.color": GREY, "ytick.color": GREY}
    with plt.rc_context({**text, "axes.edgecolor": "#b0b0b0"}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), sharey=True)
        _by_cutoff(left, results)
        _by_kappa(right, results)
        left.set_ylabel("accuracy")
        figure.tight_layout(w_pad=3)
        figure.savefig(out, dpi=150, metadata={"Software": None})
        plt.close(figure)


def _dress(axes: Axes, title: str, label: str) -> None:
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    axes.set_xlabel(label)
    axes.set_ylim(-0.02, 1.02)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=PALE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def _by_cutoff(axes: Axes, results: Sequence[Result]) -> None:
    """Accuracy on held-out compositions of known primitives, with 95 % intervals over the rows of all seeds."""
    _dress(axes, "Compositions of known primitives", "k-cutoff: evidence that covers the composition")
    for number, (rows, seeds) in enumerate(_by_size(results).items()):
        counts: dict[int, np.ndarray] = {}
        for result in seeds:
            for k, pair in result["by_cutoff"].items():
                counts[int(k)] = counts.get(int(k), np.zeros(2, dtype=int)) + pair
        bins = {k: proportion(*map(int, pair)) for k, pair in sorted(counts.items()) if pair[1] >= SMALLEST_BIN}
        shares = np.array([[share.estimate, share.low, share.high] for share in bins.values()]).reshape(-1, 3).T
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(list(bins), shares[0], color=colour, marker="o", markersize=4, linewidth=1.8, label=f"N = {rows:,}")
        axes.fill_between(list(bins), shares[1], shares[2], color=colour, alpha=0.15, linewidth=0)
    axes.legend(frameon=False, loc="best")


def _by_kappa(axes: Axes, results: Sequence[Result]) -> None:
    """Mean accuracy of each type over seeds, with a small mark for each seed."""
    title = "By shared contexts of equivalent fragments"
    _dress(axes, title, "kappa: mean contexts that two equivalent fragments share")
    if any(result["shared_contexts"] is None for result in results):
        return
    types = list(dict.fromkeys(name for result in results for name in result["right"] if name.startswith("type_")))
    places = [np.mean([seed["shared_contexts"] for seed in seeds]) for seeds in _by_size(results).values()]
    for number, name in enumerate(types):
        means, colour = [], COLOURS[number % len(COLOURS)]
        for seeds in _by_size(results).values():
            own = [seed for seed in seeds if name in seed["right"]]
            across, up = [seed["shared_contexts"] for seed in own], [np.divide(*seed["right"][name]) for seed in own]
            axes.scatter(across, up, color=colour, s=14, alpha=0.5, linewidth=0)
            means.append(np.mean(up))
        axes.plot(places, means, color=colour, marker="s", markersize=5, linewidth=1.8, label=name.replace("_", " "))
    axes.legend(frameon=False, loc="best")


def _by_size(results: Sequence[Result]) -> dict[int, list[Result]]:
    sizes: dict[int, list[Result]] = {}
    for result in sorted(results, key=lambda result: result["data"]["task"]["rows"]):
        sizes.setdefault(result["data"]["task"]["rows"], []).append(result)
    return sizes


class SizeError(RuntimeError):
    """The training of one size ended with an error."""


def train_sizes(loaded: LoadedRecipe[CoverageRecipe], resume: bool = False) -> Path:
    """Train every size, `processes` at a time.

    Returns:
        The run folder: `rows_<N>/` for each size, `result.json`, and `accuracy.png` where matplotlib is installed.

    Raises:
        SizeError: A process failed; the others were waited for.
    """
    recipe = loaded.recipe
    folder = Path(recipe.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "recipe.resolved.yaml", loaded.to_yaml())
    with ThreadPoolExecutor(recipe.processes) as pool:
        codes = list(pool.map(lambda rows: _train_one(recipe, rows, resume), recipe.data.rows))
    failed = [rows for rows, code in zip(recipe.data.rows, codes, strict=True) if code]
    if failed:
        raise SizeError(f"{folder} · rows {failed} did not finish · mend it and run the same command again")
    results = [json.loads((_folder(recipe, rows) / RESULT).read_text(encoding="utf-8")) for rows in recipe.data.rows]
    write_atomic(folder / RESULT, json.dumps(results))
    print(table(results))
    if find_spec("matplotlib"):
        draw(results, folder / FIGURE)
    return folder


def table(results: list[dict[str, Any]]) -> str:
    """Accuracy by type for each size, as aligned text."""
    groups = list(dict.fromkeys(name for result in results for name in result["right"]))
    lines = [["rows", "kappa", *groups, "steps"]]
    for result in results:
        contexts = result["shared_contexts"]
        cells = [f"{good / rows:.3f}" for good, rows in (result["right"].get(name, (0, 1)) for name in groups)]
        kappa = "-" if contexts is None else f"{contexts:.1f}"
        lines.append([str(result["data"]["task"]["rows"]), kappa, *cells, str(result["steps"])])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines)


def _folder(recipe: CoverageRecipe, rows: int) -> Path:
    return Path(recipe.output_dir) / f"rows_{rows}"


def _train_one(recipe: CoverageRecipe, rows: int, resume: bool) -> int:
    """Write the recipe of one size and run it as a command on one thread; returns its exit code."""
    from ..run.checkpoints import sorted_checkpoints

    folder = _folder(recipe, rows)
    one = recipe.model_dump(mode="json")
    one["data"]["rows"] = [rows]
    one["output_dir"] = str(folder)
    one["trainer"] |= {"disable_tqdm": True}  # several bars would write over each other
    file = folder.with_suffix(".yaml")
    write_atomic(file, yaml.dump(one, Dumper=CoreDumper, sort_keys=False, allow_unicode=True, width=10_000))
    command = [sys.executable, "-m", "quince.recipes.cli", "train", str(file)]
    if resume and sorted_checkpoints(folder):
        command.append("--resume")
    print(f"rows {rows}: quince train {file}", flush=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, check=False).returncode
