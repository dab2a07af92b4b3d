"""Rates of one model: by scenario, by decision, by class of argument, by kind of error.

Everything is counted from cases, so that a report can be made again from the folder of a record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from ...data.function_calling.check.row_view import DECISIONS
from ...data.function_calling.plans import MIX
from ...data.function_calling.say.library import POLICIES
from ..measure.statistics import Interval, proportion
from .cases import Case

SCENARIOS = tuple(MIX)
"""In the order of a table; others come after them."""
_ARGUMENT_CLASSES = (*POLICIES, "text")


@dataclass(frozen=True)
class Share:
    """`right` things out of `of`."""

    right: int
    of: int

    @property
    def interval(self) -> Interval | None:
        """With its 95 % interval; None of nothing."""
        return proportion(self.right, self.of) if self.of else None


@dataclass(frozen=True)
class Report:
    """One model on one set of rows: a case for each row, in their order."""

    cases: tuple[Case, ...]

    @property
    def accuracy(self) -> Share:
        """Answers that are right as a whole, strictly: format, decision, calls, arguments, language."""
        return _share(c.right for c in self.cases)

    @property
    def tolerant(self) -> Share:
        """As `accuracy`, but read in any wire format and with repairs."""
        return _share(c.tolerant for c in self.cases)

    @cached_property
    def scenarios(self) -> dict[str, Share]:
        """Accuracy by scenario, in the order of `SCENARIOS`."""
        return self.by(lambda c: c.scenario)

    @property
    def languages(self) -> dict[str, Share]:
        """Accuracy by language of the user."""
        return self.by(lambda c: c.language)

    @property
    def splits(self) -> dict[str, Share]:
        """Accuracy by what is held out."""
        return self.by(lambda c: c.split)

    def by(self, key: Callable[[Case], str], right: Callable[[Case], bool] = lambda c: c.right) -> dict[str, Share]:
        """Shares of right cases by a key."""
        found = _in_order({key(c) for c in self.cases}, SCENARIOS)
        return {value: _share(right(c) for c in self.cases if key(c) == value) for value in found}

    @property
    def decisions(self) -> dict[str, Share]:
        """By scenario, answers with the right decision, whatever else is wrong with them."""
        return self.by(lambda c: c.scenario, lambda c: c.found == c.wanted)

    @cached_property
    def confusion(self) -> Counter[tuple[str, str]]:
        """Cases by `(wanted, found)` decision; found is "none" where an answer shows none."""
        return Counter((c.wanted, c.found) for c in self.cases)

    @property
    def macro_f1(self) -> Interval | None:
        """Mean F1 of the decisions that are wanted at least once, with a bootstrap interval over rows."""
        return _macro_f1(self.confusion)

    @property
    def calls(self) -> Share:
        """Of answers that rightly call: all calls and arguments right."""
        return _share(c.right for c in self.cases if c.wanted == c.found == "call")

    @property
    def asked(self) -> Share:
        """Of answers that rightly ask: asked for a parameter that is missing."""
        return _share(c.asked for c in self.cases if c.asked is not None and c.wanted == c.found)

    @property
    def invented_tools(self) -> Share:
        """Of answers that call: at least one call of a tool that is not listed."""
        return _share(c.invented_tool for c in self.cases if c.calls)

    @property
    def wrong_language(self) -> Share:
        """Of answers whose language can be told: not the user's."""
        return _share(not c.language_right for c in self.cases if c.language_right is not None)

    @property
    def format_problems(self) -> Share:
        """Answers that a server's parser would refuse."""
        return _share(bool(c.problems) for c in self.cases)

    @property
    def arguments(self) -> dict[str, Share]:
        """By class, right arguments of calls of a right tool; which tool is called is not what this measures."""
        total: Counter[str] = Counter()
        right: Counter[str] = Counter()
        for case in self.cases:
            for name, (hit, of) in case.arguments.items():
                right[name] += hit
                total[name] += of
        return {name: Share(right[name], total[name]) for name in _in_order(total, _ARGUMENT_CLASSES)}

    @property
    def errors(self) -> Counter[str]:
        """Labels of what went wrong, the most frequent first."""
        return Counter(dict(Counter(c.error for c in self.cases if c.error).most_common()))

    @cached_property
    def trivial(self) -> dict[str, dict[str, Share]]:
        """By trivial baseline, its accuracy by scenario."""
        names = dict.fromkeys(name for c in self.cases for name in c.trivial)
        return {name: self.by(lambda c: c.scenario, partial(_trivially_right, name)) for name in names}

    @property
    def best_trivial(self) -> dict[str, tuple[str, Share]]:
        """By scenario, the trivial baseline that does best on it, and how well."""
        if not self.trivial:
            return {}
        return {
            scenario: max(((name, of[scenario]) for name, of in self.trivial.items()), key=lambda pair: pair[1].right)
            for scenario in self.scenarios
        }

    @property
    def sampled(self) -> float | None:
        """Mean share of right samples, where samples were drawn beside the greedy answer."""
        drawn = [c.sampled for c in self.cases if c.sampled is not None]
        return float(np.mean(drawn)) if drawn else None


def below_baselines(report: Report) -> list[str]:
    """The scenarios in which a model does worse than a trivial baseline."""
    return [name for name, (_, share) in report.best_trivial.items() if report.scenarios[name].right < share.right]


def f1_scores(confusion: Mapping[tuple[str, str], int]) -> dict[str, float]:
    """F1 by decision, for the decisions that are wanted at least once."""
    wanted, found = Counter[str](), Counter[str]()
    for (gold, given), count in confusion.items():
        wanted[gold] += count
        found[given] += count
    return {
        name: 2 * confusion.get((name, name), 0) / (wanted[name] + found[name]) for name in DECISIONS if wanted[name]
    }


def _macro_f1(confusion: Counter[tuple[str, str]], draws: int = 1_000, seed: int = 0) -> Interval | None:
    """Rows drawn with replacement are multinomial counts of the cells, so that no row need be touched."""
    estimate = f1_scores(confusion)
    if not estimate:
        return None
    cells, counts = list(confusion), np.array(list(confusion.values()))
    total = counts.sum()
    generator = np.random.default_rng(seed)
    means = [
        np.mean(list(f1_scores(dict(zip(cells, drawn.tolist(), strict=True))).values()))
        for drawn in generator.multinomial(total, counts / total, size=draws)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(np.mean(list(estimate.values()))), float(low), float(high), 0.95)


def _trivially_right(name: str, case: Case) -> bool:
    return case.trivial.get(name, False)


def _share(of: Iterable[bool | None]) -> Share:
    values = [bool(value) for value in of]
    return Share(sum(values), len(values))


def _in_order(names: Iterable[str], known: Sequence[str]) -> list[str]:
    place = {name: index for index, name in enumerate(known)}
    return sorted(names, key=lambda name: (place.get(name, len(place)), name))
