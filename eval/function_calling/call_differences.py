"""Two models on the same function-calling rows: what changed, by scenario, with exact tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..measure.statistics import Interval, paired_shares
from .call_rates import Report
from .cases import Case


@dataclass(frozen=True)
class Change:
    """One model against another on the rows that both answered; right is strictly right.

    Attributes:
        only_base: Rows that only the base gets right.
        only_other: Rows that only the other model gets right.
        rows: Rows in both reports.
        difference: Share of the other minus share of the base, Newcombe's interval, McNemar's exact p-value.
    """

    only_base: int
    only_other: int
    rows: int
    difference: Interval


def compare_reports(base: Report, other: Report) -> Change | None:
    """Compare two models; rows are matched by id. None without a row in common."""
    return _change([(a.right, b.right) for a, b in _pairs(base, other)])


def compare_scenarios(base: Report, other: Report) -> dict[str, Change]:
    """Compare two models scenario by scenario, over those with a row in common."""
    pairs = _pairs(base, other)
    changes = {
        scenario: _change([(a.right, b.right) for a, b in pairs if a.scenario == scenario])
        for scenario in base.scenarios
    }
    return {scenario: change for scenario, change in changes.items() if change is not None}


def compare_with_baseline(report: Report, baseline: str) -> Change | None:
    """Compare a model with one of its trivial baselines, which is the base."""
    return _change([(c.trivial[baseline], c.right) for c in report.cases if baseline in c.trivial])


def _pairs(base: Report, other: Report) -> list[tuple[Case, Case]]:
    theirs = {c.id: c for c in other.cases}
    return [(c, theirs[c.id]) for c in base.cases if c.id in theirs]


def _change(pairs: Sequence[tuple[bool, bool]]) -> Change | None:
    if not pairs:
        return None
    base, other = zip(*pairs, strict=True)
    lost = sum(a and not b for a, b in pairs)
    won = sum(b and not a for a, b in pairs)
    return Change(lost, won, len(pairs), paired_shares(base, other))
