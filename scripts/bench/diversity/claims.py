"""What the diversity bench set out to show, and whether the results show it.

Methods are compared at equal in-domain Pass@1, on the line through the strengths of each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from quince.eval.measure.statistics import Interval
from quince.scripts.bench.diversity import resampling
from quince.scripts.bench.diversity.resampling import SUITES, Array, Resampled, Setting, difference, interval, resample

Verdict = Literal["holds", "does not hold", "not shown"]
GAIN = 0.10
LOSS = 0.05
KEPT_GAIN = 0.70
TOLERATED_LOSS = 0.01
MATCH = 0.02
PLACES = ("highest", "middle")  # Pass@1 at which sweeps are compared, of the range that both cover


@dataclass(frozen=True)
class Part:
    """A claim in one place: its verdict, the sentence that says why, and the setting that it is about."""

    name: str
    verdict: Verdict
    sentence: str
    figures: dict[str, Interval | float | None] = field(default_factory=dict)
    setting: str | None = None


@dataclass(frozen=True)
class Claim:
    """A statement and its parts, one for each place where it is judged."""

    statement: str
    parts: list[Part]

    @property
    def verdict(self) -> str:
        """The verdict of all parts, or each part's where they differ."""
        verdicts = [part.verdict for part in self.parts]
        if len(set(verdicts)) == 1:
            return verdicts[0]
        groups = {v: ", ".join(p.name for p in self.parts if p.verdict == v) for v in dict.fromkeys(verdicts)}
        return "; ".join(f"{verdict} ({names})" for verdict, names in groups.items())


def points(figure: Interval | Sequence[float] | None) -> str:
    if figure is None:
        return "no figure"
    numbers = (figure.estimate, figure.low, figure.high) if isinstance(figure, Interval) else figure
    return "{} points ({} to {})".format(*map(_signed, numbers))


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def judge(figure: Interval | None, at_least: float) -> Verdict:
    """Holds: the estimate is there and the interval excludes 0. Does not: the whole interval falls short."""
    if figure is None:
        return "not shown"
    if figure.estimate >= at_least and figure.low > 0:
        return "holds"
    return "does not hold" if figure.high < at_least else "not shown"


NO_RUNS = "There are no runs of the base and GRPO with the same seed."


def _missing(names: Iterable[str], sentence: str = NO_RUNS) -> list[Part]:
    return [Part(name, "not shown", sentence) for name in names]


def _each_seed(setting: Setting, base: Setting, suite: str, metric: str) -> str:
    seeds = [seed for seed in setting.seeds if seed in base.seeds]
    gaps = np.nanmean(setting.of(suite, metric, seeds), 1) - np.nanmean(base.of(suite, metric, seeds), 1)
    return "; by seed " + ", ".join(map(_signed, gaps))


def _of_grpo(base: Setting | None, grpo: Setting | None, suite: str, k: int, at_least: float) -> Part:
    """Change of Pass@k by GRPO in a suite, judged as a loss where `at_least` is negative."""
    figure = difference(grpo, base, suite, f"pass@{k}") if grpo else None
    if figure is None or grpo is None or base is None:
        return Part(SUITES[suite], "not shown", NO_RUNS)
    drop = Interval(-figure.estimate, -figure.high, -figure.low, figure.level)
    sure = "; the whole interval is above the mark" if 0 < at_least <= figure.low else ""
    sentence = f"Pass@{k} changes by {points(figure)}{_each_seed(grpo, base, suite, f'pass@{k}')}{sure}."
    verdict = judge(figure if at_least > 0 else drop, abs(at_least))
    return Part(SUITES[suite], verdict, sentence, {"difference": figure})


def gain_of_grpo(base: Setting | None, grpo: Setting | None) -> Claim:
    statement = f"GRPO raises in-domain Pass@1 by at least {100 * GAIN:.0f} points over the base"
    return Claim(statement, [_of_grpo(base, grpo, "in_domain", 1, GAIN)])


def loss_of_grpo(base: Setting | None, grpo: Setting | None) -> Claim:
    statement = f"GRPO lowers cross-domain or old-skill Pass@16 by at least {100 * LOSS:.0f} points under the base"
    return Claim(statement, [_of_grpo(base, grpo, suite, 16, -LOSS) for suite in ("cross_domain", "old_skill")])


@dataclass(frozen=True)
class Candidate:
    """A setting as claim 3 sees it: share of GRPO's gain kept, and change of Pass@16 against the base."""

    setting: Setting
    share: Interval
    change: Interval


def best_of_both(settings: Sequence[Setting], base: Setting | None, grpo: Setting | None) -> Claim:
    """Claim 3: some DPH setting keeps the gain and the diversity. Judged per suite, and in all of them at once."""
    statement = (
        f"Some DPH setting keeps at least {KEPT_GAIN:.0%} of GRPO's in-domain Pass@1 gain with Pass@16 no more than "
        f"{100 * TOLERATED_LOSS:.0f} point under the base"
    ).replace("%", " %")
    places = {name: (suite,) for suite, name in SUITES.items()} | {"all three": tuple(SUITES)}
    several = [s for s in settings if "DPH" in s.method]
    together = resample([base, grpo, *several]) if base and grpo and several else None
    gain = difference(grpo, base, "in_domain", "pass@1") if grpo else None
    if together is None or base is None or grpo is None or gain is None:
        return Claim(statement, _missing(places, "There are no runs of base, GRPO and every DPH setting to compare."))
    if gain.low <= 0:
        return Claim(statement, _missing(places, f"GRPO has no clear gain to keep: {points(gain)}."))
    parts = [_kept(name, suites, several, base, grpo, together) for name, suites in places.items()]
    return Claim(statement, parts)


def _kept(
    name: str, suites: tuple[str, ...], several: list[Setting], base: Setting, grpo: Setting, together: Resampled
) -> Part:
    candidates = [_candidate(setting, base, grpo, suites, together) for setting in several]
    best = candidates[choose([c.share.estimate for c in candidates], [c.change.estimate for c in candidates])]
    share, change, picks = held_out(several, base, grpo, suites, together.seeds)
    if min(best.share.estimate, share) >= KEPT_GAIN and min(best.change.estimate, change) >= -TOLERATED_LOSS:
        verdict: Verdict = "holds"
    else:
        open_ = any(c.share.high >= KEPT_GAIN and c.change.high >= -TOLERATED_LOSS for c in candidates)
        verdict = "not shown" if open_ else "does not hold"
    worst = " in the worst of the three" if len(suites) > 1 else ""
    kept = f"{best.share.estimate:.0%} of the gain ({best.share.low:.0%} to {best.share.high:.0%})".replace("%", " %")
    others = "other seeds and other problems" if len(together.seeds) > 1 else "other problems"
    sentence = (
        f"{best.setting.label} keeps {kept}, and Pass@16{worst} changes by {points(best.change)}. Best of "
        f"{len(several)} settings on the data that it is judged by; chosen on {others} than those "
        f"that judge, the choice keeps {100 * share:.0f} % with {_signed(change)} points (most often "
        f"{picks.most_common(1)[0][0]}, {picks.most_common(1)[0][1]} of {picks.total()} times)."
    )
    figures = {"gain_kept": best.share, "change": best.change, "held_out_gain_kept": share, "held_out_change": change}
    return Part(name, verdict, sentence, figures, best.setting.label)


def _candidate(
    setting: Setting, base: Setting, grpo: Setting, suites: tuple[str, ...], together: Resampled
) -> Candidate:
    first, own, gained = (together.means(s, "in_domain", "pass@1") for s in (base, setting, grpo))
    changes = [together.means(setting, s, "pass@16") - together.means(base, s, "pass@16") for s in suites]
    share, change = interval((own - first) / (gained - first)), interval(np.min(changes, axis=0))
    assert share is not None and change is not None  # Pass@k is defined for every problem
    return Candidate(setting, share, change)


def choose(shares: Sequence[float], changes: Sequence[float]) -> int:
    """Which setting to take: the best Pass@16 among those that keep enough gain, else the one that keeps most."""
    enough = [i for i, share in enumerate(shares) if share >= KEPT_GAIN]
    return max(enough, key=lambda i: changes[i]) if enough else int(np.argmax(shares))


def held_out(
    several: Sequence[Setting], base: Setting, grpo: Setting, suites: tuple[str, ...], seeds: tuple[int, ...]
) -> tuple[float, float, Counter[str]]:
    """Gain kept and change of Pass@16 when a setting is chosen and judged on different seeds and problems.

    Every seed with each half of the problems judges once what the other seeds chose on the other half. A single
    seed chooses for itself, on the other half.
    """

    def gaps(setting: Setting, own: Sequence[int], half: int) -> Array:
        pairs = (("in_domain", "pass@1"), *((suite, "pass@16") for suite in suites))
        means = [(setting.of(*p, own) - base.of(*p, own))[:, half::2].mean() for p in pairs]
        return np.array([means[0], min(means[1:])])

    judged, picks = [], Counter[str]()
    for seed, half in ((seed, half) for seed in seeds for half in (0, 1)):
        others = [other for other in seeds if other != seed] or [seed]
        seen = np.array([gaps(setting, others, 1 - half) for setting in several])
        pick = several[choose(list(seen[:, 0] / gaps(grpo, others, 1 - half)[0]), list(seen[:, 1]))]
        picks[pick.label] += 1
        judged.append([*gaps(pick, [seed], half), gaps(grpo, [seed], half)[0]])
    gain, change, of_grpo = np.mean(judged, axis=0)
    return float(gain / of_grpo), float(change), picks


@dataclass(frozen=True)
class Comparison:
    """A DPH sweep minus a control sweep in Pass@16, where both have the same in-domain Pass@1."""

    control: str  # Method that is compared
    dph: str  # DPH method, or "mean of DPH"
    place: str  # "highest" Pass@1 that both sweeps reach, or the "middle" of the range that both cover
    level: float  # That Pass@1
    gaps: dict[str, Interval]  # DPH minus control, per suite


def controls_and_dph(settings: Sequence[Setting]) -> tuple[list[str], list[str]]:
    names = [name for name in dict.fromkeys(s.method for s in settings) if len(resampling.sweep(settings, name)) > 1]
    return [n for n in names if n.startswith(("replay", "reverse KL"))], [n for n in names if n.startswith("DPH-")]


def compare(settings: Sequence[Setting], control: str, family: Sequence[str], place: str) -> list[Comparison]:
    """The control beside each DPH sweep that shares a range of Pass@1 with it, and beside their mean."""
    sweeps = [resampling.sweep(settings, name) for name in (control, *family)]
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
        lines = {t: [resampling.interpolate(pass1[j], pass16[t][j], level) for j in (i, 0)] for t in SUITES}
        drawn[name] = (float(level[0]), {t: own - other for t, (own, other) in lines.items()})
    if drawn:
        pooled = {t: np.mean([gaps[t] for _, gaps in drawn.values()], axis=0) for t in SUITES}
        drawn["mean of DPH"] = (float(np.mean([level for level, _ in drawn.values()])), pooled)
    intervals = {name: {t: i for t, gap in gaps.items() if (i := interval(gap))} for name, (_, gaps) in drawn.items()}
    return [Comparison(control, name, place, at, intervals[name]) for name, (at, _) in drawn.items()]


def comparisons(settings: Sequence[Setting]) -> list[Comparison]:
    controls, family = controls_and_dph(settings)
    return [c for control in controls for place in PLACES for c in compare(settings, control, family, place)]


def matches(gap: Interval) -> Verdict:
    """Whether a control is as good as DPH: not behind beyond doubt, and not possibly behind by more than the margin."""
    return "does not hold" if gap.low > 0 else "holds" if gap.high < MATCH else "not shown"


def match_of_controls(found: Sequence[Comparison]) -> Claim:
    statement = (
        "Replay-SFT or true reverse KL matches DPH in Pass@16 at equal in-domain Pass@1 "
        f"(within {100 * MATCH:.0f} points)"
    )
    means = [one for one in found if (one.dph, one.place) == ("mean of DPH", "highest")]
    parts = [_part(one, suite) for one in means for suite in SUITES]
    missing = Part("both", "not shown", "No control and DPH sweep with the same seeds share a range of Pass@1.")
    return Claim(statement, parts or [missing])


def _part(comparison: Comparison, suite: str) -> Part:
    gap = comparison.gaps[suite]
    verdict, control = matches(gap), comparison.control
    place = "is behind" if verdict == "does not hold" else "is ahead of" if gap.high < 0 else "matches"
    said = "the interval leaves both open" if verdict == "not shown" else f"{control} {place} DPH"
    sentence = f"At Pass@1 = {100 * comparison.level:.1f} %, the mean of DPH minus {control} is {points(gap)}: {said}."
    return Part(f"{control}, {SUITES[suite]}", verdict, sentence, {"difference": gap})
