"""The figure of the diversity bench: what each method gains in-domain against what it keeps everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from diversity_statistics import SUITES, Setting, difference, find, sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Okabe and Ito's colours, which stay apart under the common kinds of colour blindness; shapes differ as well.
STYLES = {
    "base": ("#000000", "o"),
    "GRPO": ("#000000", "X"),
    "GRPO on D_exp": ("#8c8c8c", "X"),
    "DAPO-style": ("#8c8c8c", "P"),
    "replay-SFT": ("#e69f00", "s"),
    "reverse KL (k2)": ("#d55e00", "D"),
    "DPH-F": ("#0072b2", "o"),
    "DPH-JS": ("#009e73", "^"),
    "DPH-alpha": ("#56b4e9", "v"),
    "replay-SFT, wide store": ("#8a5f00", "s"),
    "DPH-F, wide store": ("#6b3fa0", "p"),
    "DPH-JS, wide store": ("#cc79a7", "*"),
}
OTHER = ("#6b5b95", "p")
INK, GREY, PALE = "#222222", "#6f6f6f", "#e4e4e4"
KS = (1, 4, 16, 64)


def draw(settings: Sequence[Setting], highlights: dict[str, Sequence[Setting]], out: Path) -> None:
    """Draw frontiers (upper row) and Pass@k curves (lower row), a column a suite.

    Args:
        settings: All of them.
        highlights: Per suite, the settings whose Pass@k is drawn beside base and GRPO.
        out: The PNG file.
    """
    import matplotlib.pyplot as plt

    text = {"font.size": 11, "text.color": INK, "axes.labelcolor": INK, "xtick.color": GREY, "ytick.color": GREY}
    with plt.rc_context({**text, "axes.edgecolor": "#b0b0b0", "xtick.labelsize": 10, "ytick.labelsize": 10}):
        figure, rows = plt.subplots(2, 3, figsize=(14, 10.2), height_ratios=(1.5, 1))
        for (suite, title), frontier, curves in zip(SUITES.items(), rows[0], rows[1], strict=True):
            _frontier(frontier, settings, suite)
            frontier.set_title(title[0].upper() + title[1:], loc="left", fontsize=13, fontweight="bold", pad=10)
            _curves(curves, settings, highlights[suite], suite)
        rows[0][0].set_ylabel("Pass@16, %")
        rows[1][0].set_ylabel("Pass@k, %")
        keys = _keys(settings)
        figure.legend(handles=keys, loc="upper left", bbox_to_anchor=(0.052, 0.925), ncols=-(-len(keys) // 2), **_PLAIN)
        figure.suptitle("What training gains in-domain, and what it keeps", x=0.057, y=0.985, ha="left", fontsize=17)
        figure.text(0.057, 0.938, _caption(settings), color=GREY, fontsize=10.5)
        figure.subplots_adjust(left=0.057, right=0.985, top=0.835, bottom=0.06, hspace=0.27, wspace=0.16)
        figure.savefig(out, dpi=150, metadata={"Software": None})
        plt.close(figure)


_PLAIN = {"frameon": False, "handletextpad": 0.5, "columnspacing": 1.6, "fontsize": 11, "borderaxespad": 0}


def _caption(settings: Sequence[Setting]) -> str:
    seeds = sorted({len(setting.seeds) for setting in settings})
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return (
        f"Means over {count} seed{'s' if seeds != [1] else ''}. Bars: 95 % intervals of the change against the base. "
        "Lines join the strengths of a method, from weak (small mark) to strong (large mark)."
    )


def _keys(settings: Sequence[Setting]) -> list[Line2D]:
    """Marks for the legend, all of one size; base and GRPO are named in the panels."""
    from matplotlib.lines import Line2D

    methods = [method for method in dict.fromkeys(s.method for s in settings) if method not in ("base", "GRPO")]
    styles = {method: STYLES.get(method, OTHER) for method in methods}
    lines = {method: "-" if len(sweep(settings, method)) > 1 else "" for method in methods}
    return [
        Line2D([], [], color=color, marker=marker, markersize=8, linewidth=1.8, linestyle=lines[method], label=method)
        for method, (color, marker) in styles.items()
    ]


def _dress(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=PALE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def _frontier(axes: Axes, settings: Sequence[Setting], suite: str) -> None:
    from matplotlib.ticker import MaxNLocator

    _dress(axes)
    axes.set_xlabel("in-domain Pass@1, %")
    base = find(settings, "base")
    for method in dict.fromkeys(setting.method for setting in settings):
        own = sweep(settings, method) or [s for s in settings if s.method == method]
        color, marker = STYLES.get(method, OTHER)
        marks = np.array([_point(axes, setting, base, suite, color) for setting in own])
        named = method in ("base", "GRPO")
        sizes = 110 if named else 60 if len(own) == 1 else np.linspace(28, 100, len(own))
        axes.plot(*marks.T, color=color, linewidth=1.8, zorder=3)
        axes.scatter(*marks.T, s=sizes, color=color, marker=marker, edgecolor="white", linewidth=0.8, zorder=4 + named)
        if named:
            _name(axes, method, marks[0])
        if method == "base":
            axes.axhline(marks[0][1], color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.margins(x=0.07, y=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=(1, 2, 5, 10)))
    axes.yaxis.set_major_locator(MaxNLocator(7, integer=True, steps=(1, 2, 5, 10)))


def _name(axes: Axes, method: str, place: np.ndarray) -> None:
    """Write a name beside its mark, on the side where nothing else is."""
    side, shift = ("left", (9, 8)) if method == "base" else ("right", (-9, -14))
    axes.annotate(method, place, xytext=shift, textcoords="offset points", ha=side, fontweight="bold", zorder=6)


def _point(axes: Axes, setting: Setting, base: Setting | None, suite: str, color: str) -> tuple[float, float]:
    """Draw how surely a setting differs from the base; returns its place in per cent."""
    x, y = ((place, metric) for place, metric in (("in_domain", "pass@1"), (suite, "pass@16")))
    centre = tuple(100 * float(np.nanmean(setting.values[place][metric])) for place, metric in (x, y))
    changes = [difference(setting, base, *x), difference(setting, base, *y)]
    spread = [[[100 * (c.estimate - c.low)], [100 * (c.high - c.estimate)]] if c else None for c in changes]
    axes.errorbar(*centre, xerr=spread[0], yerr=spread[1], color=color, alpha=0.3, linewidth=1.0, zorder=2)
    return centre[0], centre[1]


def _curves(axes: Axes, settings: Sequence[Setting], highlights: Sequence[Setting], suite: str) -> None:
    """Pass@k of base, GRPO and the highlighted settings, named at their right ends."""
    _dress(axes)
    axes.set_xscale("log", base=2)
    axes.set_xticks(KS, [str(k) for k in KS])
    axes.minorticks_off()
    axes.set_xlabel("k, samples a problem")
    ends = {}
    for setting in [*(s for s in settings if s.method in ("base", "GRPO")), *highlights]:
        color, marker = STYLES.get(setting.method, OTHER)
        heights = [100 * float(np.nanmean(setting.values[suite][f"pass@{k}"])) for k in KS]
        style = (0, (4, 3)) if setting.method == "base" else "-"
        axes.plot(KS, heights, color=color, linewidth=1.8, linestyle=style, marker=marker, markersize=5, zorder=3)
        ends[setting.label] = (heights[-1], color)
    low, high = axes.get_ylim()
    height = np.inf
    for label, (end, color) in sorted(ends.items(), key=lambda item: -item[1][0]):
        height = min(end, height - 0.085 * (high - low))
        axes.annotate(label, (KS[-1], height), xytext=(9, 0), textcoords="offset points", va="center", color=color)
    axes.set_xlim(0.85, KS[-1] * 30)  # room for the names
    axes.set_ylim(low, min(high, 102))
