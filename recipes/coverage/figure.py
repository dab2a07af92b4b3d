"""The picture of a study: accuracy by k-cutoff for each size, and by kappa beside the types that stay flat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...eval.measure.statistics import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00", "#cc79a7", "#6b3fa0")
"""Okabe and Ito's colours, which stay apart under the common kinds of colour blindness."""
INK, GREY, PALE = "#222222", "#6f6f6f", "#e4e4e4"
SMALLEST_BIN = 10
"""Rows a k-cutoff needs to be drawn."""

Result = Mapping[str, Any]


def draw(results: Sequence[Result], out: Path) -> None:
    """Draw a study; several results of one size are seeds of it.

    Args:
        results: Contents of `result.json` of the sizes.
        out: The PNG file.
    """
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
    """Accuracy on held-out compositions of known primitives, with Wilson intervals over the rows of all seeds."""
    _dress(axes, "Compositions of known primitives", "k-cutoff: evidence that covers the composition")
    for number, (rows, seeds) in enumerate(_by_size(results).items()):
        counts: dict[int, np.ndarray] = {}
        for result in seeds:
            for k, pair in result["by_cutoff"].items():
                counts[int(k)] = counts.get(int(k), np.zeros(2, dtype=int)) + pair
        bins = {
            k: wilson(int(good), int(total)) for k, (good, total) in sorted(counts.items()) if total >= SMALLEST_BIN
        }
        shares = np.array([[share.estimate, share.low, share.high] for share in bins.values()]).reshape(-1, 3).T
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(list(bins), shares[0], color=colour, marker="o", markersize=4, linewidth=1.8, label=f"N = {rows:,}")
        axes.fill_between(list(bins), shares[1], shares[2], color=colour, alpha=0.15, linewidth=0)
    axes.legend(frameon=False, loc="best")


def _by_kappa(axes: Axes, results: Sequence[Result]) -> None:
    """Mean accuracy of each type over seeds, every seed a small mark."""
    _dress(
        axes, "By shared contexts of equivalent fragments", "kappa: mean contexts that two equivalent fragments share"
    )
    if any(result["shared_contexts"] is None for result in results):
        return
    types = list(dict.fromkeys(name for result in results for name in result["right"] if name.startswith("type_")))
    places = [np.mean([seed["shared_contexts"] for seed in seeds]) for seeds in _by_size(results).values()]
    for number, name in enumerate(types):
        means = []
        colour = COLOURS[number % len(COLOURS)]
        for seeds in _by_size(results).values():
            points = [
                (seed["shared_contexts"], np.divide(*seed["right"][name])) for seed in seeds if name in seed["right"]
            ]
            across, up = zip(*points, strict=True)
            axes.scatter(across, up, color=colour, s=14, alpha=0.5, linewidth=0)
            means.append(np.mean([share for _, share in points]))
        axes.plot(places, means, color=colour, marker="s", markersize=5, linewidth=1.8, label=name.replace("_", " "))
    axes.legend(frameon=False, loc="best")


def _by_size(results: Sequence[Result]) -> dict[int, list[Result]]:
    sizes: dict[int, list[Result]] = {}
    for result in sorted(results, key=lambda result: result["data"]["task"]["rows"]):
        sizes.setdefault(result["data"]["task"]["rows"], []).append(result)
    return sizes
