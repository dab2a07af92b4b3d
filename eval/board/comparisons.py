"""Two models on the same problems, as the page of a comparison shows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from ...rewards.base import OUTCOMES
from ..measure.compare import Comparison, compare, matched
from ..measure.metrics import Unit, unit_of
from ..measure.problems import Problem
from ..measure.statistics import Interval
from ..show.figures import Line, line_chart
from ..show.tables import shown_metrics
from .content import Entry, Suite

PAIRS_OF_ALL = 8
"""With more models, only comparisons with the base have a page."""
KEPT, FOUND = 3, 5
"""Colours of kept and newly solved."""
_LOWER_IS_BETTER = ("truncated", "outcome/unparseable", "outcome/timeout", "outcome/error", "outcome/skipped")


@dataclass(frozen=True)
class Row:
    """One metric of both models.

    Attributes:
        difference: Second minus first, paired by problem.
        detectable: Smallest true difference found with 80 % power.
    """

    name: str
    unit: Unit
    base: Interval
    other: Interval
    difference: Interval
    detectable: float | None

    @property
    def verdict(self) -> str:
        """Whether the second model is "higher" or "lower", or "tie" if the interval of the difference holds 0."""
        if self.difference.contains(0.0):
            return "tie"
        return "higher" if self.difference.estimate > 0 else "lower"

    @property
    def sign(self) -> str:
        """Class of the style sheet: "up" if the second is better, "down" if worse, else empty."""
        if self.verdict == "tie" or self.name == "tokens":
            return ""
        return "up" if (self.verdict == "higher") != (self.name in _LOWER_IS_BETTER) else "down"


@dataclass(frozen=True)
class Confusion:
    """Shares of problems by outcome of the first model (rows) and of the second (columns)."""

    of: str
    outcomes: tuple[str, ...]
    shares: dict[tuple[str, str], float]
    problems: int


@dataclass(frozen=True)
class Pair:
    """Two models on one suite, which has these two alone; the comparison is of the second against the first."""

    suite: Suite
    comparison: Comparison

    @property
    def base(self) -> Entry:
        """The first model."""
        return self.suite.entries[0]

    @property
    def other(self) -> Entry:
        """The second model."""
        return self.suite.entries[1]

    @cached_property
    def rows(self) -> list[Row]:
        """Every metric that both have and that is shown for one of them."""
        shown = {m.name for e in self.suite.entries for m in shown_metrics(e.record)}
        if not self.suite.sampled:
            shown -= {"distinct_correct", "idiom_entropy"}
        rows = []
        for name, difference in self.comparison.differences.items():
            base, other = self.base.metric(name), self.other.metric(name)
            if name in shown and base and other:
                detectable = self.comparison.detectable.get(name)
                rows.append(Row(name, unit_of(name), base.interval, other.interval, difference, detectable))
        order = list(self.base.record.metrics)
        return sorted(rows, key=lambda row: order.index(row.name))

    def verdicts(self, verdict: str) -> list[Row]:
        """The metrics with this verdict."""
        return [row for row in self.rows if row.verdict == verdict]

    @property
    def first(self) -> Row | None:
        """Pass@k for the smallest k; None where one of them has no judged answer."""
        return next((row for row in self.rows if row.name == f"pass@{self.suite.ks[0]}"), None)

    @property
    def kept(self) -> str | None:
        """Keep and explore over k; None where there is only one k."""
        change = self.comparison.kept
        kept = [(k, share) for k in self.suite.ks if (share := change[k].keep) is not None]
        found = [(k, share) for k in self.suite.ks if (share := change[k].explore) is not None]
        lines = [line for line in (Line("kept", KEPT, kept), Line("newly solved", FOUND, found)) if line.points]
        title = f"Kept and newly solved on {self.suite.name}"
        return line_chart(lines, title, "k", "share of problems, %") if lines and len(self.suite.ks) > 1 else None

    @cached_property
    def confusion(self) -> Confusion:
        """Outcomes of the first against those of the second."""
        return confusion(self.base.problems, self.other.problems)


def pairs(found: Sequence[Suite]) -> dict[tuple[str, str], list[Pair]]:
    """Return every comparison by the two models' labels, with the suites of both."""
    labels = list(dict.fromkeys(entry.label for suite in found for entry in suite.entries))
    made: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for suite in found:
        for base, other in combinations(suite.entries, 2):
            if base is suite.base or len(labels) <= PAIRS_OF_ALL:
                made[base.label, other.label].append(_pair(suite, base, other))
    return {key: made[key] for key in sorted(made, key=lambda key: (labels.index(key[0]), labels.index(key[1])))}


def _pair(suite: Suite, base: Entry, other: Entry) -> Pair:
    two = Suite(suite.name, [base, other])
    comparison = other.comparison if base is suite.base else None
    return Pair(two, comparison or compare(base.problems, other.problems, two.ks))


def confusion(base: Sequence[Problem], other: Sequence[Problem]) -> Confusion:
    """Cross-tabulate outcomes of two models on the same problems.

    Of greedy completions if every problem has them; otherwise of one random sample of each model, which spreads a
    problem over the cells by the product of its shares.
    """
    both = matched(base, other)
    greedy = all(a.greedy and b.greedy for a, b in both)
    shares: dict[tuple[str, str], float] = defaultdict(float)
    for a, b in both:
        for i, p in _shares(a, greedy).items():
            for j, q in _shares(b, greedy).items():
                shares[i, j] += p * q / len(both)
    seen = {outcome for cell in shares for outcome in cell}
    outcomes = tuple(o for o in OUTCOMES if o in seen)
    return Confusion("greedy answers" if greedy else "sampled answers", outcomes, dict(shares), len(both))


def _shares(problem: Problem, greedy: bool) -> dict[str, float]:
    if greedy and problem.greedy:
        return {problem.greedy.outcome: 1.0}
    return {outcome: count / problem.drawn for outcome, count in problem.outcomes.items() if count}
