"""What the diversity bench set out to show, and whether the results show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from diversity_statistics import SUITES, Array, Resampled, Setting, difference, find, interval, resample
from quince.eval.measure.statistics import Interval

Verdict = Literal["holds", "does not hold", "not shown"]
GAIN = 0.10
LOSS = 0.05
KEPT_GAIN = 0.70
TOLERATED_LOSS = 0.01


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


def points(figure: Interval | None) -> str:
    """A difference of shares in percentage points, with its interval."""
    if figure is None:
        return "no figure"
    estimate, low, high = (f"{100 * v:+.1f}".replace("-", "−") for v in (figure.estimate, figure.low, figure.high))
    return f"{estimate} points ({low} to {high})"


def judge(figure: Interval | None, at_least: float) -> Verdict:
    """Holds: the estimate is there and the interval excludes 0. Does not: the whole interval falls short."""
    if figure is None:
        return "not shown"
    if figure.estimate >= at_least and figure.low > 0:
        return "holds"
    return "does not hold" if figure.high < at_least else "not shown"


def _missing(
    names: Sequence[str], sentence: str = "There are no runs of the base and GRPO with the same seed."
) -> list[Part]:
    return [Part(name, "not shown", sentence) for name in names]


def _each_seed(setting: Setting, base: Setting, suite: str, metric: str) -> str:
    seeds = [seed for seed in setting.seeds if seed in base.seeds]
    gaps = np.nanmean(setting.of(suite, metric, seeds), 1) - np.nanmean(base.of(suite, metric, seeds), 1)
    return "; by seed " + ", ".join(f"{100 * gap:+.1f}" for gap in gaps).replace("-", "−")


def gain_of_grpo(base: Setting | None, grpo: Setting | None) -> Claim:
    """Claim 1: what GRPO gains in-domain."""
    statement = f"GRPO raises in-domain Pass@1 by at least {100 * GAIN:.0f} points over the base"
    figure = difference(grpo, base, "in_domain", "pass@1") if grpo else None
    if figure is None or grpo is None or base is None:
        return Claim(statement, _missing(["in-domain"]))
    sure = "; the whole interval is above the mark" if figure.low >= GAIN else ""
    sentence = f"Pass@1 changes by {points(figure)}{_each_seed(grpo, base, 'in_domain', 'pass@1')}{sure}."
    return Claim(statement, [Part("in-domain", judge(figure, GAIN), sentence, {"difference": figure})])


def loss_of_grpo(base: Setting | None, grpo: Setting | None) -> Claim:
    """Claim 2: what GRPO loses elsewhere."""
    statement = f"GRPO lowers cross-domain or old-skill Pass@16 by at least {100 * LOSS:.0f} points under the base"
    parts = []
    for suite in ("cross_domain", "old_skill"):
        figure = difference(grpo, base, suite, "pass@16") if grpo else None
        if figure is None or grpo is None or base is None:
            parts += _missing([SUITES[suite]])
            continue
        drop = Interval(-figure.estimate, -figure.high, -figure.low, figure.level)
        sentence = f"Pass@16 changes by {points(figure)}{_each_seed(grpo, base, suite, 'pass@16')}."
        parts.append(Part(SUITES[suite], judge(drop, LOSS), sentence, {"difference": figure}))
    return Claim(statement, parts)


@dataclass(frozen=True)
class Candidate:
    """A setting as claim 3 sees it: share of GRPO's gain kept, and change of Pass@16 against the base."""

    setting: Setting
    share: Interval
    change: Interval

    def might_keep(self) -> bool:
        """Whether its intervals allow that it keeps both."""
        return self.share.high >= KEPT_GAIN and self.change.high >= -TOLERATED_LOSS


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
        return Claim(
            statement, _missing(list(places), "There are no runs of base, GRPO and every DPH setting to compare.")
        )
    if gain.low <= 0:
        return Claim(statement, _missing(list(places), f"GRPO has no clear gain to keep: {points(gain)}."))
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
        verdict = "not shown" if any(c.might_keep() for c in candidates) else "does not hold"
    worst = " in the worst of the three" if len(suites) > 1 else ""
    kept = f"{best.share.estimate:.0%} of the gain ({best.share.low:.0%} to {best.share.high:.0%})".replace("%", " %")
    others = "other seeds and other problems" if len(together.seeds) > 1 else "other problems"
    fold = f"{100 * change:+.1f}".replace("-", "−")
    sentence = (
        f"{best.setting.label} keeps {kept}, and Pass@16{worst} changes by {points(best.change)}. Best of "
        f"{len(several)} settings on the data that it is judged by; chosen on {others} than those "
        f"that judge, the choice keeps {100 * share:.0f} % with {fold} points (most often "
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


def base_and_grpo(settings: Sequence[Setting]) -> tuple[Setting | None, Setting | None]:
    """The two settings that all others are compared with."""
    return find(settings, "base"), find(settings, "GRPO")
