"""What the tiny models learned of function calling, from the records of their evaluations.

    python scripts/bench/function_calls/trained.py runs/fc

One folder a model with the records of `quince eval function_calling_tiny`, and one of the same name with `_old` for the
skills that the base (`base_old`) had before. Checkpoints, `NAME_step_N`, are on the curve only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import product, zip_longest
from pathlib import Path
from typing import Any

import yaml
from quince.eval.function_calling.call_analysis import figures
from quince.eval.function_calling.call_rates import Report, below_baselines
from quince.eval.function_calling.call_tables import Entry, overview_grids, suite_grids
from quince.eval.function_calling.cases import Case
from quince.eval.measure.statistics import proportion
from quince.eval.show.tables import Grid, markdown
from quince.scripts.bench.charts import GREY, canvas
from quince.scripts.bench.pages import Page, Results, bench, stamp_of, table, write

SUITES = ("test", "names", "paraphrases", "values", "tools", "language", "more_tools")
CONTROLS = ("tiny_bg_known_names",)  # Trained on other rows, so not on the curve
PARALLEL = ("parallel_same", "parallel_different")


Line = dict[str, Any]  # a figure of the summary: percent with its 95 % interval, and what was aimed at


def single(language: str = "") -> Callable[[Case], bool]:
    return lambda case: case.scenario == "single" and language in ("", case.language)


RIGHT: Callable[[Case], bool] = lambda case: case.right  # noqa: E731
Measure = tuple[str, Callable[[Case], bool], Callable[[Case], bool], str]
MEASURES: dict[str, Measure] = {
    "decisions where no call is right": ("test", lambda c: c.wanted != "call", lambda c: c.found == c.wanted, "95"),
    "single calls, English": ("test", single("en"), RIGHT, "90"),
    "single calls, Bulgarian": ("test", single("bg"), RIGHT, "90"),
    "parallel calls": ("test", lambda c: c.scenario in PARALLEL, RIGHT, "70"),
    "single calls, all names unseen": ("names", single(), RIGHT, "60"),
    "single calls, unseen paraphrases": ("paraphrases", single(), RIGHT, "50"),
    "single calls, unseen values": ("values", single(), RIGHT, "-"),
}


def report(records: Path, out: Path, models: Sequence[str] = ()) -> Results:
    """The figures of all models, or of some in this order; writes the page of details as well."""
    found = sorted(path for path in records.iterdir() if (path / "test" / "analysis.json").is_file())
    folders = [records / name for name in models] or [path for path in found if not re.search(r"_step_\d+$", path.name)]
    if not folders or not set(folders) <= set(found):
        raise SystemExit(f"{records}: records of function calls are there of {[path.name for path in found]}")
    reports = {folder: {name: read_report(folder / name) for name in SUITES} for folder in found}
    lines = {folder: summary(folder.name, own) for folder, own in reports.items()}
    stamps = [stamp_of(folder / "test") for folder in folders]
    suites = {name: [Entry(f.name, reports[f][name], i) for i, f in enumerate(folders)] for name in SUITES}
    write(DETAILS, details(suites, out / "function_calling") | {"stamps": stamps, "seeds": [0]}, out)
    tokens = {folder: trained_tokens(model_of(folder)) for folder in found if folder.name not in CONTROLS}
    below: dict[str, list[str]] = {folder.name: [] for folder in folders}
    for folder, at in product(folders, ("test", "names")):
        below[folder.name] += [f"{at}: {scenario}" for scenario in below_baselines(reports[folder][at])]
    found = {"stamps": stamps, "summary": [line for folder in folders for line in lines[folder]]}
    curve = [[count, lines[folder]] for folder, count in sorted(tokens.items(), key=lambda i: i[1]) if count]
    return found | {"old_skills": old_skills(records), "below_trivial_baselines": below, "curve": curve}


def read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def read_report(folder: Path) -> Report:
    return Report(tuple(Case.from_dict(case) for case in read(folder / "analysis.json")["data"]))


def model_of(folder: Path) -> Path:
    return Path(read(folder / "test" / "record.json")["model_info"]["id"])


def summary(model: str, reports: dict[str, Report]) -> list[Line]:
    lines = []
    for what, (suite, chosen, ok, aim) in MEASURES.items():
        cases = [case for case in reports[suite].cases if chosen(case)]
        count = sum(map(ok, cases))
        interval = proportion(count, len(cases))
        ends = {"percent": interval.estimate, "low": interval.low, "high": interval.high}
        figures = {name: round(100 * value, 1) for name, value in ends.items()}
        lines.append({"model": model, "what": what, "right": count, "rows": len(cases), **figures, "aim": aim})
    return lines


def old_skills(records: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(records.glob("*_old/*/record.json")):
        results = read(file)["evaluation_results"]
        score = next(r["score_details"] for r in results if r["metric_config"]["metric_name"] == "pass@1")
        bounds = score["uncertainty"]["confidence_interval"]
        figures = (score["score"], bounds["lower"], bounds["upper"])
        found.setdefault(file.parts[-3].removesuffix("_old"), {})[file.parts[-2]] = [round(100 * v, 1) for v in figures]
    return found


def trained_tokens(model: Path) -> int:
    """Tokens of SFT behind a model, those of the models it started from included; 0 without any or after other runs."""
    run = model.parent
    if not (run / "data.json").is_file():
        return 0
    recipe = yaml.safe_load((run / "recipe.resolved.yaml").read_text(encoding="utf-8"))
    own = json.loads((run / "data.json").read_text(encoding="utf-8"))["tokens"]
    if model.name.startswith("checkpoint-"):
        step = int(model.name.rpartition("-")[2])
        logged = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        own = next(int(line["num_tokens"]) for line in logged if line["step"] == step)
    return own + trained_tokens(Path(recipe["model"]["id"]))


def details(suites: dict[str, list[Entry]], folder: Path) -> Results:
    found = {name: [figures(name, own, folder), list(map(asdict, suite_grids(own)))] for name, own in suites.items()}
    return {"overview": list(map(asdict, overview_grids(suites))), "suites": found}


def render_details(found: Results) -> str:
    grids: Callable[[list[dict[str, Any]]], list[str]] = lambda some: [markdown(Grid(**grid)) for grid in some]  # noqa: E731
    parts = [DETAILS_HEAD, *grids(found["overview"])]
    for name, (links, tables) in found["suites"].items():
        parts += [f"## {name}", links, *grids(tables)]
    return "\n\n".join(parts)


def render(found: Results) -> str:
    below, old, aims = found["below_trivial_baselines"], found["old_skills"], {}
    cells: dict[str, list[str]] = {}
    for line in found["summary"]:
        cells.setdefault(line["what"], []).append(_cell(line["percent"], line["low"], line["high"]))
        aims[line["what"]] = line["aim"]
    reached = [line for line in found["summary"] if line["aim"] != "-" and line["percent"] >= float(line["aim"])]
    best = max(below, key=lambda model: sum(line["model"] == model for line in reached))
    names = [line["what"] for line in reached if line["model"] == best]
    known = [model for model in ("base", *below) if model in old]
    suites = dict.fromkeys(suite for own in old.values() for suite in own)
    skills = [[suite, *(_cell(*old[m][suite]) if suite in old[m] else "" for m in known)] for suite in suites]
    curve = [[what, *(lines[i]["percent"] for _, lines in found["curve"]), aims[what]] for i, what in enumerate(aims)]
    tokens = ["million tokens", *(f"{count / 1e6:.1f}" for count, _ in found["curve"]), ""]
    under = "\n".join(
        f"- `{model}` is below a trivial baseline in {', '.join(at) or 'none'}" for model, at in below.items()
    )
    return f"""`{best}` reaches the most of the {len(MEASURES) - 1} aims: {len(names)} ({"; ".join(names)}).
An answer to a held-out row counts when all of it is right: format, decision, every call and argument, language.

{table(["right, %", *(f"`{m}`" for m in below), "aim"], [[what, *own, aims[what]] for what, own in cells.items()])}
{table(["old skill, Pass@1, %", *(f"`{model}`" for model in known)], skills)}
{under}

The same against tokens of SFT, checkpoints included:

{table(["figure, %", *(lines[0]["model"] for _, lines in found["curve"]), "aim"], [tokens, *curve])}
![Right answers against tokens of SFT](function_calling/curve.png)

Intervals are Wilson's 95 % (old skills: bootstrap over problems). By scenario:
[details](function_calling/function_calls.md)."""


def _cell(percent: float, low: float, high: float) -> str:
    return f"{percent:.0f} ({low:.0f}–{high:.0f})"


def draw(found: Results, out: Path) -> None:
    size = {"figsize": (13, 6), "sharex": True, "sharey": True, "layout": "constrained"}
    with canvas(out / "function_calling" / "curve.png", 2, 4, **size) as (figure, panels):
        for index, (panel, what) in enumerate(zip_longest(panels, MEASURES)):
            if what is None:
                panel.set_visible(False)
                continue
            lines = [own[index] for _, own in found["curve"]]
            values = [line["percent"] for line in lines]
            ends = [[abs(line["percent"] - line[end]) for line in lines] for end in ("low", "high")]
            panel.errorbar([n / 1e6 for n, _ in found["curve"]], values, ends, marker="o", color="#0072b2", capsize=3)
            if lines[0]["aim"] != "-":
                panel.axhline(float(lines[0]["aim"]), color=GREY, linestyle="--", linewidth=1)
            panel.set_title(what, fontsize=10)
            panel.set_ylim(0, 102)
        figure.supxlabel("million tokens of SFT")
        figure.supylabel("right, %")


PAGE = Page("function_calling", "Function calling on the tiny model", render, seeds=[0], draw=draw)
DETAILS = Page("function_calling/function_calls", "Function calling, tiny models", render_details, seeds=[0])
DETAILS_HEAD = """These tables split the answers of the tiny models by scenario, decision, language and class of
argument. The summary and what to make of it are in [function calling](../function_calling.md).

One greedy answer a row. Shares are in percent with Wilson's 95 % interval; differences are paired, with Newcombe's
interval and McNemar's exact p. The trivial baselines say nothing, call the first tool, follow shared words, or draw at
random."""

if __name__ == "__main__":
    bench(PAGE, report)
