"""Methods compared at equal in-domain Pass@1, on the line through the strengths of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from diversity_claims import Claim, Part, Verdict, points
from diversity_statistics import SUITES, Array, Setting, interpolate, interval, resample, sweep
from quince.eval.measure.statistics import Interval

MATCH = 0.02
PLACES = ("highest", "middle")


@dataclass(frozen=True)
class Comparison:
    """A DPH sweep minus a control sweep in Pass@16, where both have the same in-domain Pass@1.

    Attributes:
        control: Method that is compared.
        dph: DPH method, or "mean of DPH".
        place: "highest" Pass@1 that both sweeps reach, or the "middle" of the range that both cover.
        level: That Pass@1.
        gaps: DPH minus control, per suite.
    """

    control: str
    dph: str
    place: str
    level: float
    gaps: dict[str, Interval]


def controls_and_dph(settings: Sequence[Setting]) -> tuple[list[str], list[str]]:
    """Methods with at least two strengths: the controls, and those of the DPH family."""
    names = [name for name in dict.fromkeys(s.method for s in settings) if len(sweep(settings, name)) > 1]
    return [n for n in names if n.startswith(("replay", "reverse KL"))], [n for n in names if n.startswith("DPH-")]


def compare(settings: Sequence[Setting], control: str, family: Sequence[str], place: str) -> list[Comparison]:
    """The control beside each DPH sweep that shares a range of Pass@1 with it, and beside their mean."""
    sweeps = [sweep(settings, name) for name in (control, *family)]
    together = resample([setting for own in sweeps for setting in own])
    if together is None:
        return []
    pass1 = [np.stack([together.means(s, "in_domain", "pass@1") for s in own]) for own in sweeps]
    pass16 = {t: [np.stack([together.means(s, t, "pass@16") for s in own]) for own in sweeps] for t in SUITES}
    drawn: dict[str, tuple[float, dict[str, Array]]] = {}
    for i, name in enumerate(family, start=1):
        top, bottom = np.minimum(pass1[0].max(0), pass1[i].max(0)), np.maximum(pass1[0].min(0), pass1[i].min(0))
        if top[0] < bottom[0]:
            continue
        # The level is drawn with the data: where two sweeps meet is itself an estimate.
        level = top if place == "highest" else (top + bottom) / 2
        lines = {t: [interpolate(pass1[j], pass16[t][j], level) for j in (i, 0)] for t in SUITES}
        drawn[name] = (float(level[0]), {t: own - other for t, (own, other) in lines.items()})
    if drawn:
        pooled = {t: np.mean([gaps[t] for _, gaps in drawn.values()], axis=0) for t in SUITES}
        drawn["mean of DPH"] = (float(np.mean([level for level, _ in drawn.values()])), pooled)
    return [Comparison(control, name, place, at, _intervals(gaps)) for name, (at, gaps) in drawn.items()]


def _intervals(gaps: dict[str, Array]) -> dict[str, Interval]:
    return {suite: found for suite, values in gaps.items() if (found := interval(values))}


def comparisons(settings: Sequence[Setting]) -> list[Comparison]:
    """All controls beside all DPH sweeps."""
    controls, family = controls_and_dph(settings)
    return [c for control in controls for place in PLACES for c in compare(settings, control, family, place)]


def matches(gap: Interval) -> Verdict:
    """Whether a control is as good as DPH: not behind beyond doubt, and not possibly behind by more than the margin."""
    if gap.low > 0:
        return "does not hold"
    return "holds" if gap.high < MATCH else "not shown"


def match_of_controls(found: Sequence[Comparison]) -> Claim:
    """Claim 4: replay-SFT or true reverse KL does as well as DPH at equal Pass@1."""
    statement = (
        "Replay-SFT or true reverse KL matches DPH in Pass@16 at equal in-domain Pass@1 "
        f"(within {100 * MATCH:.0f} points)"
    )
    parts = [
        _part(comparison, suite)
        for comparison in found
        if comparison.dph == "mean of DPH" and comparison.place == "highest"
        for suite in SUITES
    ]
    missing = Part("both", "not shown", "No control and DPH sweep with the same seeds share a range of Pass@1.")
    return Claim(statement, parts or [missing])


def _part(comparison: Comparison, suite: str) -> Part:
    gap = comparison.gaps[suite]
    verdict = matches(gap)
    said = {
        "does not hold": f"{comparison.control} is behind DPH",
        "holds": f"{comparison.control} {'is ahead of' if gap.high < 0 else 'matches'} DPH",
        "not shown": "the interval leaves both open",
    }[verdict]
    level = f"{100 * comparison.level:.1f} %"
    sentence = f"At Pass@1 = {level}, the mean of DPH minus {comparison.control} is {points(gap)}: {said}."
    return Part(f"{comparison.control}, {SUITES[suite]}", verdict, sentence, {"difference": gap})
