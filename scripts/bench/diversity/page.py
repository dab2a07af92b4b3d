"""The page of the diversity bench and its picture, from the contents of its JSON file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from quince.scripts.bench.charts import GREY, INK, canvas
from quince.scripts.bench.diversity.claims import MATCH, SUITES, points
from quince.scripts.bench.pages import Results, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Figures = dict[str, Any]
KS = (1, 4, 16, 64)
MEANING = {
    "in_domain": "New questions on the databases of training.",
    "cross_domain": "Databases with other quirks, where other ways of writing a query fail.",
    "old_skill": "A skill of the base that no run trains.",
}
METHODS: Figures = yaml.safe_load(Path(__file__).with_name("methods.yaml").read_text(encoding="utf-8"))
STYLES = {name: (one["colour"], one["mark"]) for name, one in METHODS.items()}
OTHER = ("#6b5b95", "p")
SAID = {"holds": f"matches DPH (within {100 * MATCH:.0f} points, or better)", "does not hold": "is behind DPH"}
SAID["not shown"] = "cannot be told from DPH with this data, nor shown to match it"


def render(found: Results) -> str:
    settings, seeds = found["settings"], found["provenance"]["seeds"]
    methods, claims = len({setting["method"] for setting in settings} - {"base"}), found["claims"]
    whole = sum(claim["verdict"] == "holds" for claim in claims)
    warnings = []
    if missing := found["missing_runs"]:
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        warnings.append(f"**Partial:** {len(missing)} planned runs are missing ({', '.join(missing[:8])}{more}).\n")
    if len(seeds) < 5:
        warnings.append(f"**Few seeds:** with {len(seeds)}, intervals say little about the spread between runs.\n")
    counts = ", ".join(f"{size} {SUITES[suite]}" for suite, size in found["problems"].items())
    opening = f"""Of {len(claims)} claims about what {methods} methods gain and what they keep, {whole} hold wherever
they are judged.
{claims[0]["statement"]}: {claims[0]["parts"][0]["sentence"].partition(";")[0].rstrip(".")}.

Every run starts from the shipped tiny model and trains on `sql_idioms` with rewards from execution:
{len(settings)} settings with the base, {len(seeds)} seeds. Each is judged on {found["samples_per_problem"]} samples a
problem at temperature 1 and top-p 1, and once greedily, on the same problems ({counts}).
"""
    picture = "![Frontiers of Pass@16 against in-domain Pass@1, and Pass@k curves](diversity.png)\n"
    parts = [opening, *warnings, picture, "## Claims\n\n" + _claims(claims)]
    parts.append("## At equal Pass@1\n\n" + _equal(found["at_equal_pass1"], claims[-1]))
    for suite, name in SUITES.items():
        parts.append(f"## {name[0].upper()}{name[1:]}\n\n{MEANING[suite]}\n\n{_suite(settings, suite)}")
    runs = []
    for s in settings:
        recipe = f"`{s['recipe']}`" if s["recipe"] else "the tiny model as shipped"
        runs.append([s["setting"], recipe, ", ".join(map(str, s["seeds"])), f"{s['train_cpu_seconds']:.0f}"])
    parts.append("## Runs\n\n" + table(["setting", "recipe", "seeds", "training, CPU s a run"], runs))
    draws = f"{found['bootstrap_draws']:,}"
    parts.append(f"In brackets: 95 % intervals by bootstrap, {draws} draws over problems and over seeds.")
    return "\n".join(parts)


def _claims(claims: Sequence[Figures]) -> str:
    lines = []
    for number, claim in enumerate(claims, start=1):
        lines.append(f"{number}. {claim['statement']}: **{claim['verdict']}**.\n")
        lines += [f"   - {part['name']}: {part['sentence']} *{part['verdict']}*\n" for part in claim["parts"]]
    return "".join(lines)


def _equal(found: Sequence[Figures], claim: Figures) -> str:
    """Comparisons at equal Pass@1, and one sentence a control: where it matches DPH, and where not."""
    if not found:
        return claim["parts"][0]["sentence"] + "\n"
    rows = [
        [c["control"], c["dph"], f"{100 * c['level']:.1f} ({c['place']})", *(_change(c["gaps"][s]) for s in SUITES)]
        for c in found
    ]
    lines, verdicts = [], {part["name"]: part["verdict"] for part in claim["parts"]}
    for control in dict.fromkeys(c["control"] for c in found):
        places = {v: [p for p in SUITES.values() if verdicts.get(f"{control}, {p}") == v] for v in SAID}
        said = "; ".join(f"{SAID[verdict]}: {', '.join(there)}" for verdict, there in places.items() if there)
        lines.append(f"- **{control}** at the highest common Pass@1: {said}.\n")
    return f"""Strengths move every method along a line between the base and GRPO, so methods are compared where their
lines have the
same in-domain Pass@1. Figures are Pass@16 of the DPH method minus that of the control, in points.

{table(["control", "DPH", "in-domain Pass@1", *SUITES.values()], rows)}
{"".join(lines)}"""


def _suite(settings: Sequence[Figures], suite: str) -> str:
    rows = []
    for setting in settings:
        own = setting["suites"][suite]
        cells = [_cell(own[name]["mean"], *form) for name, *form in COLUMNS]
        rows.append([setting["setting"], *cells, _change(own["pass@16"]["minus_base"])])
    head = "setting|Pass@1|@4|Pass@16|@64|greedy|distinct correct|idiom entropy|Pass@16 − base".split("|")
    return table(head, rows)


COLUMNS = [("pass@1", 100, 1, True), ("pass@4", 100, 1, False), ("pass@16", 100, 1, True), ("pass@64", 100, 1, False)]
COLUMNS += [("greedy", 100, 1, True), ("distinct_correct", 1, 2, True), ("idiom_entropy", 1, 2, True)]


def _cell(figure: Sequence[float] | None, scale: float, digits: int, ends: bool) -> str:
    if figure is None:
        return "–"
    value, low, high = (f"{scale * v:.{digits}f}" for v in figure)
    return f"{value} ({low}–{high})" if ends else value


def _change(figure: Sequence[float] | None) -> str:
    text = points(figure).replace(" points", "")
    return "–" if figure is None else text if figure[1] <= 0 <= figure[2] else f"**{text}**"


def draw(found: Results, out: Path) -> None:
    from matplotlib.lines import Line2D

    settings = found["settings"]
    named = {(part["name"], part["setting"]) for claim in found["claims"] for part in claim["parts"]}
    with canvas(out / "diversity.png", 2, 3, figsize=(14, 10.2), height_ratios=(1.5, 1)) as (figure, panels):
        for (suite, title), frontier, curves in zip(SUITES.items(), panels[:3], panels[3:], strict=True):
            _frontier(frontier, settings, suite)
            frontier.set_title(title[0].upper() + title[1:], loc="left", fontsize=13, fontweight="bold", pad=10)
            shown = ("base", "GRPO", *(s["setting"] for s in settings if (title, s["setting"]) in named))
            _curves(curves, [s for s in settings if s["setting"] in shown], suite)
        panels[0].set_ylabel("Pass@16, %")
        panels[3].set_ylabel("Pass@k, %")
        keys = []
        for method, count in Counter(s["method"] for s in settings if s["method"] not in ("base", "GRPO")).items():
            color, marker = STYLES.get(method, OTHER)
            line = "-" if count > 1 else ""
            keys.append(Line2D([], [], color=color, marker=marker, markersize=8, linestyle=line, label=method))
        plain = {"frameon": False, "handletextpad": 0.5, "columnspacing": 1.6, "borderaxespad": 0}
        place = (0.052, 0.925)
        figure.legend(handles=keys, loc="upper left", bbox_to_anchor=place, ncols=-(-len(keys) // 2), **plain)
        figure.suptitle("What training gains in-domain, and what it keeps", x=0.057, y=0.985, ha="left", fontsize=17)
        caption = (
            f"Means over {len(found['provenance']['seeds'])} seeds. Bars: 95 % intervals of the change against the "
            "base. Lines join the strengths of a method, from weak (small mark) to strong (large mark)."
        )
        figure.text(0.057, 0.938, caption, color=GREY, fontsize=10.5)
        figure.subplots_adjust(left=0.057, right=0.985, top=0.835, bottom=0.06, hspace=0.27, wspace=0.16)


def _frontier(axes: Axes, settings: Sequence[Figures], suite: str) -> None:
    axes.set_xlabel("in-domain Pass@1, %")
    for method in dict.fromkeys(setting["method"] for setting in settings):
        own = sorted((s for s in settings if s["method"] == method), key=lambda s: s["weight"] or 0.0)
        color, marker = STYLES.get(method, OTHER)
        marks = np.zeros((len(own), 2))
        for row, setting in enumerate(own):
            bars = []
            for axis, (place, metric) in enumerate((("in_domain", "pass@1"), (suite, "pass@16"))):
                figure = setting["suites"][place][metric]
                marks[row, axis] = 100 * figure["mean"][0]
                change = figure["minus_base"]
                bars.append(change and [[100 * (change[0] - change[1])], [100 * (change[2] - change[0])]])
            axes.errorbar(*marks[row], xerr=bars[0], yerr=bars[1], color=color, alpha=0.3, linewidth=1.0, zorder=2)
        known = method in ("base", "GRPO")
        sizes = 110 if known else 60 if len(own) == 1 else np.linspace(28, 100, len(own))
        axes.plot(*marks.T, color=color, linewidth=1.8, zorder=3)
        axes.scatter(*marks.T, s=sizes, color=color, marker=marker, edgecolor="white", linewidth=0.8, zorder=4 + known)
        if known:  # named beside its mark, on the side where nothing else is
            side, shift = ("left", (9, 8)) if method == "base" else ("right", (-9, -14))
            about = {"textcoords": "offset points", "fontweight": "bold", "zorder": 6}
            axes.annotate(method, marks[0], xytext=shift, ha=side, **about)
        if method == "base":
            axes.axhline(marks[0][1], color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.margins(x=0.07, y=0.08)


def _curves(axes: Axes, settings: Sequence[Figures], suite: str) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(KS, [str(k) for k in KS])
    axes.minorticks_off()
    axes.set_xlabel("k, samples a problem")
    ends = {}
    for setting in settings:
        color, marker = STYLES.get(setting["method"], OTHER)
        heights = [100 * setting["suites"][suite][f"pass@{k}"]["mean"][0] for k in KS]
        style = (0, (4, 3)) if setting["method"] == "base" else "-"
        axes.plot(KS, heights, color=color, linewidth=1.8, linestyle=style, marker=marker, markersize=5, zorder=3)
        ends[setting["setting"]] = (heights[-1], color)
    low, high = axes.get_ylim()
    height = np.inf
    for label, (end, color) in sorted(ends.items(), key=lambda item: -item[1][0]):
        height = min(end, height - 0.085 * (high - low))
        axes.annotate(label, (KS[-1], height), xytext=(9, 0), textcoords="offset points", va="center", color=color)
    axes.set_xlim(0.85, KS[-1] * 30)  # room for the names
    axes.set_ylim(low, min(high, 102))
