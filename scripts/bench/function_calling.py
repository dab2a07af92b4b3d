"""What the tiny models learned of function calling, from the records of their evaluations.

    quince train function_calling/tiny_bg
    quince eval function_calling_tiny model.id=runs/function_calling/tiny_bg/model output_dir=runs/fc/tiny_bg
    quince eval tiny model.id=runs/function_calling/tiny_bg/model output_dir=runs/fc/tiny_bg_old kl=null
    python scripts/bench/function_calling.py runs/fc

In the folder there is one folder a model with the records of function calls, and one of the same name with `_old` for
the skills that the base had before; `base_old` is the base. Writes `docs/results/function_calling/`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from quince.eval.function_calling.call_analysis import write_entries
from quince.eval.function_calling.call_rates import Report, below_baselines
from quince.eval.function_calling.call_tables import Entry
from quince.eval.function_calling.cases import Case
from quince.eval.measure.statistics import wilson

TARGET = Path(__file__).parents[2] / "docs" / "results" / "function_calling"
SUITES = ("test", "names", "paraphrases", "values", "tools", "language", "more_tools")
PARALLEL = ("parallel_same", "parallel_different")


@dataclass(frozen=True)
class Line:
    """One figure of the summary, in percent with its 95 % interval, and what was aimed at."""

    model: str
    what: str
    right: int
    rows: int
    percent: float
    low: float
    high: float
    aim: str


def right(case: Case) -> bool:
    """Whether all of an answer is right."""
    return case.right


def single(language: str = "") -> Callable[[Case], bool]:
    """Cases of one call to a tool that is not hard to tell from others."""
    return lambda case: case.scenario == "single" and language in ("", case.language)


Measure = tuple[str, Callable[[Case], bool], Callable[[Case], bool], str]
MEASURES: dict[str, Measure] = {
    "decisions where no call is right": ("test", lambda c: c.wanted != "call", lambda c: c.found == c.wanted, "95"),
    "single calls, English": ("test", single("en"), right, "90"),
    "single calls, Bulgarian": ("test", single("bg"), right, "90"),
    "parallel calls": ("test", lambda c: c.scenario in PARALLEL, right, "70"),
    "single calls, all names unseen": ("names", single(), right, "60"),
    "single calls, unseen paraphrases": ("paraphrases", single(), right, "50"),
    "single calls, unseen values": ("values", single(), right, "-"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the records, print the summary and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path)
    parser.add_argument("--models", nargs="*", help="names of folders, in the order of the tables; default: all")
    parser.add_argument("--out", type=Path, default=TARGET)
    given = parser.parse_args(arguments)
    found = sorted(path for path in given.records.iterdir() if (path / "test" / "analysis.json").is_file())
    folders = [given.records / name for name in given.models] if given.models else found
    if not folders or not set(folders) <= set(found):
        parser.error(f"{given.records}: records of function calls are there of {[path.name for path in found]}")
    reports = {folder.name: {name: read_report(folder / name) for name in SUITES} for folder in folders}
    lines = [line for model, own in reports.items() for line in summary(model, own)]
    old = old_skills(given.records)
    given.out.mkdir(parents=True, exist_ok=True)
    suites = {name: [Entry(m, own[name], i) for i, (m, own) in enumerate(reports.items())] for name in SUITES}
    page = write_entries(suites, given.out, "Function calling, tiny models")
    below = {
        model: [f"{name}: {item.scenario}" for name in ("test", "names") for item in below_baselines(own[name])]
        for model, own in reports.items()
    }
    record = {"summary": [asdict(line) for line in lines], "old_skills": old, "below_trivial_baselines": below}
    (given.out / "summary.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(text(lines, old, below))
    print(page)


def read_report(folder: Path) -> Report:
    """The cases of one suite."""
    data = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))["data"]
    return Report(tuple(Case.from_dict(case) for case in data))


def summary(model: str, reports: dict[str, Report]) -> list[Line]:
    """The figures that were aimed at."""
    lines = []
    for what, (suite, chosen, ok, aim) in MEASURES.items():
        cases = [case for case in reports[suite].cases if chosen(case)]
        count = sum(map(ok, cases))
        interval = wilson(count, len(cases))
        percents = (round(100 * value, 1) for value in (interval.estimate, interval.low, interval.high))
        lines.append(Line(model, what, count, len(cases), *percents, aim))
    return lines


def old_skills(records: Path) -> dict[str, dict[str, Any]]:
    """Pass@1 of the skills from before, by model and suite, in percent with its interval."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(records.glob("*_old/*/record.json")):
        results = json.loads(file.read_text(encoding="utf-8"))["evaluation_results"]
        score = next(r["score_details"] for r in results if r["metric_config"]["metric_name"] == "pass@1")
        bounds = score["uncertainty"]["confidence_interval"]
        figures = (score["score"], bounds["lower"], bounds["upper"])
        found.setdefault(file.parts[-3].removesuffix("_old"), {})[file.parts[-2]] = [round(100 * v, 1) for v in figures]
    return found


def text(lines: Sequence[Line], old: dict[str, dict[str, Any]], below: dict[str, list[str]]) -> str:
    """The summary as Markdown tables, models across."""
    models = list(below)
    cells = {(line.what, line.model): cell(line.percent, line.low, line.high) for line in lines}
    aims = {line.what: line.aim for line in lines}
    rows = [*head("right, %", models, "aim")]
    rows += [f"| {what} | " + " | ".join(cells[what, m] for m in models) + f" | {aim} |" for what, aim in aims.items()]
    known = [model for model in ("base", *models) if model in old]
    rows += ["", *head("old skill, Pass@1, %", known)]
    for suite in dict.fromkeys(suite for own in old.values() for suite in own):
        rows.append(f"| {suite} | " + " | ".join(cell(*old[m][suite]) if suite in old[m] else "" for m in known) + " |")
    rows += [
        "",
        *(f"- `{model}` is below a trivial baseline in {', '.join(at) or 'none'}" for model, at in below.items()),
    ]
    return "\n".join(rows)


def head(first: str, models: Sequence[str], *last: str) -> tuple[str, str]:
    """Head of a table with a column a model."""
    columns = (first, *(f"`{model}`" for model in models), *last)
    return "| " + " | ".join(columns) + " |", "|---|" + "---|" * (len(columns) - 1)


def cell(percent: float, low: float, high: float) -> str:
    """A figure with its interval."""
    return f"{percent:.0f} ({low:.0f}–{high:.0f})"


if __name__ == "__main__":
    main()
