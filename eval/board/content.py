"""A suite as the board shows it: models, ranks and charts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...rewards.base import OUTCOMES
from ..measure.analyses import Analysed, find_analysis, read_analysis
from ..measure.compare import Comparison, compare, ranks
from ..measure.metrics import KL_METRICS, Metric, per_problem
from ..measure.problems import Problem, Unjudged
from ..measure.records import Record, differing, record_labels, suite_labels
from ..measure.settings import KlSettings
from ..show.figures import Line, Point, line_chart, scatter

COLOURS = 8


@dataclass(frozen=True)
class Entry:
    """One model on one suite."""

    label: str
    colour: int
    record: Record
    problems: list[Problem]
    comparison: Comparison | None

    @cached_property
    def columns(self) -> dict[str, dict[str, float]]:
        """Defined values by metric and problem."""
        columns = per_problem(self.problems, self.record.ks)
        return {
            name: {p.id: v for p, v in zip(self.problems, column, strict=True) if not np.isnan(v)}
            for name, column in columns.items()
        }

    def metric(self, name: str) -> Metric | None:
        """Return a metric of the record."""
        return self.record.metrics.get(name)

    @cached_property
    def analysed(self) -> Analysed | None:
        """The analysis of this model, if there is one."""
        data = read_analysis(self.record.folder, self.record.settings)
        return None if data is None else Analysed(self.label, self.colour, data)

    @property
    def curve(self) -> str | None:
        """Chart of Pass@k of this model; None for fewer than two k."""
        return pass_curves([self], self.record.ks, f"Pass@k of {self.label}")

    @property
    def analysis(self) -> str | None:
        """HTML of the analysis of this model."""
        return analysis_section(self.record.settings.suite, [self])

    @property
    def outcomes(self) -> list[tuple[str, float]]:
        """Share of samples by outcome, without zeros."""
        shares = [(name, self.record.metrics[f"outcome/{name}"].interval.estimate) for name in OUTCOMES]
        return [(name, share) for name, share in shares if share > 0]

    @property
    def not_judged(self) -> float:
        """Share of samples that are not judged."""
        return self.unjudged.samples / self.unjudged.drawn

    @cached_property
    def unjudged(self) -> Unjudged:
        """The samples that are not judged."""
        return self.record.unjudged or Unjudged.of(self.problems, self.record.ks)


@dataclass(frozen=True)
class Suite:
    """One suite with its models; the first one is the base."""

    name: str
    entries: list[Entry]

    @property
    def base(self) -> Entry:
        """The model that the others are compared with."""
        return self.entries[0]

    @property
    def ks(self) -> list[int]:
        """The k that every model has."""
        return sorted(set.intersection(*(set(e.record.ks) for e in self.entries)))

    @property
    def wide_k(self) -> int:
        """The k for kept and newly solved: 16, as in most papers, else the nearest k below, else the smallest."""
        return max((k for k in self.ks if k <= 16), default=self.ks[0])

    @property
    def columns(self) -> list[str]:
        """The metrics of the table, with at most four k."""
        shown = sorted({self.ks[0], self.ks[len(self.ks) // 3], self.wide_k, self.ks[-1]})
        several = ["distinct_correct", "idiom_entropy"] if self.sampled else []
        wanted = ["greedy", *(f"pass@{k}" for k in shown), *several, *KL_METRICS]
        return [name for name in wanted if any(e.metric(name) for e in self.entries)]

    @property
    def sampled(self) -> bool:
        """Whether any model has more than one sample per problem."""
        return any(e.record.settings.sampling.n > 1 for e in self.entries)

    @cached_property
    def ranks(self) -> dict[str, dict[str, int]]:
        """Rank of every model by metric, over the problems that all have; {} for a single model."""
        if len(self.entries) == 1:
            return {}
        clusters = {p.id: p.cluster for p in self.base.problems}
        return {
            name: ranks({e.label: e.columns[name] for e in self.entries if name in e.columns}, clusters)
            for name in self.columns
        }

    @property
    def rows(self) -> list[Entry]:
        """The base, then the others by rank, models without a rank last."""
        first, last = self.ranks.get(f"pass@{self.ks[0]}", {}), len(self.entries)
        return [self.base, *sorted(self.entries[1:], key=lambda e: (first.get(e.label, last), e.label))]

    @property
    def shared(self) -> int:
        """Number of problems that every model has."""
        return len(set.intersection(*({p.id for p in e.problems} for e in self.entries)))

    @property
    def remarks(self) -> list[str]:
        """What limits the comparison."""
        remarks = []
        if names := differing([e.record for e in self.entries]):
            remarks.append(f"The models were evaluated with different settings: {', '.join(names)}.")
        if any(self.shared < len(e.problems) for e in self.entries):
            remarks.append(f"Only {self.shared} problems were answered by every model; ranks are over those.")
        if len({kl.model for kl in self._kl}) > 1:
            remarks.append("The divergences are from different references.")
        return remarks

    @property
    def detectable(self) -> float | None:
        """Smallest true difference in Pass@k, for the first k, found with 80 % power for every model."""
        name = f"pass@{self.ks[0]}"
        found = [e.comparison.detectable.get(name) for e in self.entries if e.comparison]
        return max((least for least in found if least is not None), default=None)

    @property
    def reference(self) -> str | None:
        """Name of the reference of the divergences."""
        return self._kl[0].model_name if self._kl else None

    @property
    def _kl(self) -> list[KlSettings]:
        return [e.record.settings.kl for e in self.entries if e.record.settings.kl]

    @property
    def some_not_judged(self) -> bool:
        """Whether any model has samples that are not judged."""
        return any(e.not_judged > 1e-9 for e in self.entries)

    @property
    def curves(self) -> str | None:
        """Chart of Pass@k of every model; None for fewer than two k."""
        return pass_curves(self.entries, self.ks, f"Pass@k on {self.name}")

    @property
    def analysis(self) -> str | None:
        """Escaped HTML of the analysis, if there is one."""
        return analysis_section(self.name, self.entries)

    @property
    def kept(self) -> str | None:
        """Chart of kept against newly solved; None without a comparison."""
        k = self.wide_k
        points = []
        for e in self.entries[1:]:
            change = e.comparison.kept.get(k) if e.comparison else None
            if change and change.keep and change.explore:
                points.append(Point(e.label, e.colour, change.explore, change.keep))
        if not points:
            return None
        return scatter(points, f"Kept and newly solved on {self.name}", "newly solved, %", "kept, %")

    @property
    def frontier(self) -> str | None:
        """Chart of Pass@1 against Pass@k; None if they are the same or no model has both."""
        k = self.wide_k
        if min(self.ks) == k:
            return None
        first = f"pass@{min(self.ks)}"
        points = [
            Point(e.label, e.colour, e.record.metrics[first].interval, e.record.metrics[f"pass@{k}"].interval)
            for e in self.entries
            if _has(e, k)
        ]
        if not points:
            return None
        guide = points[0] if points[0].name == self.base.label else None
        return scatter(points, f"Frontier on {self.name}", f"Pass@{min(self.ks)}, %", f"Pass@{k}, %", guide)


def analysis_section(suite: str, entries: Sequence[Entry]) -> str | None:
    """Escaped HTML of the analysis of some models, if there is one."""
    analysed = [found for e in entries if (found := e.analysed) is not None]
    analysis = find_analysis(entries[0].record.settings)
    return analysis.section(suite, analysed) if analysis is not None and analysed else None


def suites(records: Sequence[Record], base: str | None) -> list[Suite]:
    """Group records by suite; the base comes first, then the others by name.

    The base has the label `base`; by default "base" or "tiny" if there is one, else the first record.
    """
    groups: dict[str, list[Record]] = defaultdict(list)
    names, labels = suite_labels(records), record_labels(records)
    for record in records:
        groups[names[str(record.folder)]].append(record)
    colours = {label: i % COLOURS for i, label in enumerate(_in_order(list(labels.values()), base))}
    return [_suite(name, group, base, labels, colours) for name, group in groups.items()]


def _suite(
    name: str, records: list[Record], base: str | None, labels: dict[str, str], colours: dict[str, int]
) -> Suite:
    by_label = {labels[str(r.folder)]: r for r in records}
    entries: list[Entry] = []
    for label in _in_order(list(by_label), base):
        record, first = by_label[label], entries[0] if entries else None
        problems = record.problems()
        shared = sorted(set(record.ks) & set(first.record.ks)) if first else []
        comparison = compare(first.problems, problems, shared) if first else None
        entries.append(Entry(label, colours[label], record, problems, comparison))
    return Suite(name, entries)


def _in_order(labels: list[str], base: str | None) -> list[str]:
    distinct = list(dict.fromkeys(labels))
    wanted = [base] if base else ["base", "tiny"]
    first = next((x for name in wanted for x in distinct if x == name or x.startswith(f"{name} (")), distinct[0])
    return [first, *sorted(label for label in distinct if label != first)]


def _has(entry: Entry, k: int) -> bool:
    return f"pass@{k}" in entry.record.metrics


def pass_curves(entries: Sequence[Entry], ks: Sequence[int], title: str) -> str | None:
    """Chart of Pass@k over k; None for fewer than two k, or without judged samples."""
    lines = [
        Line(e.label, e.colour, [(k, e.record.metrics[f"pass@{k}"].interval) for k in ks if _has(e, k)])
        for e in entries
    ]
    shown = [line for line in lines if line.points]
    return line_chart(shown, title, "k", "Pass@k, %") if shown and len(ks) > 1 else None
