"""The readable page of the diversity bench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diversity_claims import Claim, base_and_grpo, points
from diversity_frontiers import MATCH, Comparison
from diversity_statistics import SUITES, Setting, average, difference
from quince.eval.measure.statistics import Interval

MEANING = {
    "in_domain": "New questions on the databases of training.",
    "cross_domain": "Databases with other quirks, where other ways of writing a query fail.",
    "old_skill": "A skill of the base that no run trains.",
}


def page(
    about: dict[str, Any], settings: Sequence[Setting], claims: Sequence[Claim], found: Sequence[Comparison]
) -> str:
    """Return the page as Markdown."""
    lines = ["# What each method gains, and what it keeps", "", *_done(about, settings), ""]
    lines += ["![Frontiers of Pass@16 against in-domain Pass@1, and Pass@k curves](diversity.png)", ""]
    lines += ["## Claims", "", *_claims(claims)]
    lines += ["## At equal Pass@1", "", *_equal(found, claims[-1]), ""]
    for suite, name in SUITES.items():
        lines += [f"## {name[0].upper()}{name[1:]}", "", MEANING[suite], "", *_table(settings, suite), ""]
    lines += ["## Runs", "", *_runs(settings), ""]
    return "\n".join([*lines, "## How to read this", "", *_method(about), ""])


def _done(about: dict[str, Any], settings: Sequence[Setting]) -> list[str]:
    seeds, problems = about["seeds"], about["problems"]
    methods = len({setting.method for setting in settings} - {"base"})
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    counts = ", ".join(f"{size} {SUITES[suite]}" for suite, size in problems.items())
    lines = [
        f"Every run starts from the shipped tiny model and trains on `sql_idioms` with rewards from execution: "
        f"{methods} methods, {len(settings)} settings with the base, "
        f"{len(seeds)} seed{'s' * (len(seeds) > 1)} ({_list(seeds)}). "
        f"Each is judged on {about['samples_per_problem']} samples a problem at temperature 1 and top-p 1, and once "
        f"greedily, on the same problems ({counts}).",
        "",
        f"- Made by `{about['command']}` on {about['date']}",
        f"- {about['hardware']['cpu']}, {about['hardware']['cores']} cores; {versions}",
    ]
    if about["missing_runs"]:
        shown = about["missing_runs"][:8]
        more = f" and {len(about['missing_runs']) - 8} more" if len(about["missing_runs"]) > 8 else ""
        lines.append(f"- **Partial:** {len(about['missing_runs'])} planned runs are missing ({_list(shown)}{more})")
    if len(seeds) < 5:
        lines.append(f"- **Few seeds:** with {len(seeds)}, intervals say little about the spread between runs")
    return lines


def _list(items: Sequence[Any]) -> str:
    return ", ".join(str(item) for item in items)


def _claims(claims: Sequence[Claim]) -> list[str]:
    lines = []
    for number, claim in enumerate(claims, start=1):
        lines += [f"{number}. {claim.statement}: **{claim.verdict}**."]
        lines += [f"   - {part.name}: {part.sentence} *{part.verdict}*" for part in claim.parts]
    return [*lines, ""]


def _equal(found: Sequence[Comparison], claim: Claim) -> list[str]:
    if not found:
        return [claim.parts[0].sentence]
    lines = [
        "Strengths move every method along a line between the base and GRPO, so methods are compared where their lines",
        "have the same in-domain Pass@1. Figures are Pass@16 of the DPH method minus that of the control, in points.",
        "",
        f"| control | DPH | in-domain Pass@1 | {' | '.join(SUITES.values())} |",
        "|---|---|---|" + "---|" * len(SUITES),
    ]
    for c in found:
        place = f"{100 * c.level:.1f} ({c.place})"
        lines.append(f"| {c.control} | {c.dph} | {place} | {' | '.join(_change(c.gaps[s]) for s in SUITES)} |")
    return [*lines, "", *_plainly(claim)]


def _plainly(claim: Claim) -> list[str]:
    """One sentence a control: where it matches DPH, and where not."""
    lines = []
    for control in dict.fromkeys(part.name.split(", ")[0] for part in claim.parts):
        own = {part.name.split(", ")[1]: part.verdict for part in claim.parts if part.name.startswith(control)}
        said = []
        for verdict, words in (
            ("holds", f"matches DPH (within {100 * MATCH:.0f} points, or better)"),
            ("does not hold", "is behind DPH"),
            ("not shown", "cannot be told from DPH with this data, nor shown to match it"),
        ):
            if places := [place for place, found in own.items() if found == verdict]:
                said.append(f"{words}: {', '.join(places)}")
        lines.append(f"- **{control}** at the highest common Pass@1: {'; '.join(said)}.")
    return lines


def _table(settings: Sequence[Setting], suite: str) -> list[str]:
    base, _ = base_and_grpo(settings)
    lines = [
        "| setting | Pass@1 | @4 | Pass@16 | @64 | greedy | distinct correct | idiom entropy | Pass@16 − base |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for setting in settings:
        shares = {name: _cell(average(setting, suite, name), 100, 1) for name in ("pass@1", "pass@16", "greedy")}
        bare = {name: _cell(average(setting, suite, name), 100, 1, False) for name in ("pass@4", "pass@64")}
        kinds = [_cell(average(setting, suite, name), 1, 2) for name in ("distinct_correct", "idiom_entropy")]
        cells = [shares["pass@1"], bare["pass@4"], shares["pass@16"], bare["pass@64"], shares["greedy"], *kinds]
        lines.append(
            f"| {setting.label} | {' | '.join(cells)} | {_change(difference(setting, base, suite, 'pass@16'))} |"
        )
    return lines


def _cell(figure: Interval | None, scale: float, digits: int, ends: bool = True) -> str:
    if figure is None:
        return "–"
    value, low, high = (f"{scale * v:.{digits}f}" for v in (figure.estimate, figure.low, figure.high))
    return f"{value} ({low}–{high})" if ends else value


def _change(figure: Interval | None) -> str:
    """A difference in points, bold where its interval excludes 0."""
    if figure is None:
        return "–"
    text = points(figure).replace(" points", "")
    return text if figure.contains(0.0) else f"**{text}**"


def _runs(settings: Sequence[Setting]) -> list[str]:
    lines = ["| setting | recipe | seeds | training, CPU s a run |", "|---|---|---|---|"]
    for s in settings:
        recipe = f"`{s.recipe}`" if s.recipe else "the tiny model as shipped"
        lines.append(f"| {s.label} | {recipe} | {_list(s.seeds)} | {s.cpu_seconds:.0f} |")
    return lines


def _method(about: dict[str, Any]) -> list[str]:
    return [
        "- Pass@k is the unbiased estimate, in per cent; distinct correct counts different correct solutions among the",
        "  samples of a problem; idiom entropy (nats) is over the correct samples of the problems that have one.",
        "- A number behind a method is the weight of its loss. Seeds of the base differ only in sampling.",
        f"- In brackets: 95 % intervals by bootstrap, {about['bootstrap_draws']:,} draws over problems and over seeds.",
        "  All settings of a comparison see the same draws, so differences are paired. Bold differences exclude 0.",
        "  With five seeds such intervals take the spread between runs about a tenth too small.",
        "- *Holds*: the estimate reaches the mark and the interval excludes 0. *Does not hold*: the whole interval",
        "  falls short. *Not shown*: neither. The best of many settings looks better than it is; so claim 3 holds only",
        "  if a setting chosen on other seeds and other problems reaches the marks as well. In claim 4 a control is",
        "  behind if the whole interval is above 0, and matches if it is otherwise below the margin.",
        "- At equal Pass@1, the line between neighbouring strengths is straight, and the level is drawn with the data.",
    ]
