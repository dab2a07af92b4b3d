"""Results in the formats of the Hugging Face Hub: entries of `.eval_results/*.yaml`, and `model-index`.

Neither format has a field for uncertainty, so n and interval are in `notes` or in the metric's name. Values are
percentages. Source: the Hub's documentation, `docs/hub/eval-results.md`, marked as work in progress.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...data.version import __version__
from ..measure.metrics import Metric
from ..measure.problems import Unjudged
from ..measure.records import Record
from .tables import Grid, label

_ON_LEADERBOARDS = ("pass@1", "greedy")
"""Leaderboards compare one completion per problem; Pass@k for larger k is shown in the card only."""
MOST_UNJUDGED = 0.01
"""Share of unjudged samples above which nothing is published: they are not in the denominator, which could raise it."""


class HubError(ValueError):
    """A benchmark that cannot be parsed, or results that may not be published."""


@dataclass(frozen=True)
class Benchmark:
    """The dataset on the Hub whose leaderboard a suite belongs to; `task` is one of the ids in its `eval.yaml`."""

    dataset: str
    task: str
    revision: str | None = None


def parse_benchmark(text: str) -> tuple[str, Benchmark]:
    """Return a suite and its benchmark from "SUITE=ORG/NAME:TASK" or "SUITE=ORG/NAME:TASK@REVISION".

    Raises:
        HubError: It has another form.
    """
    found = re.fullmatch(r"([^=]+)=([\w.-]+/[\w.-]+):([\w.-]+)(?:@([0-9a-f]{7,40}))?", text)
    if found is None:
        raise HubError(f"dataset · found {text!r} · write SUITE=ORG/NAME:TASK, and @REVISION behind it if you like")
    suite, dataset, task, revision = found.groups()
    return suite, Benchmark(dataset, task, revision)


def notes(record: Record, metric: Metric) -> str:
    """Return one line on how a value was measured, with its interval and n."""
    settings, interval = record.settings, metric.interval
    drawn = f"{settings.sampling.n} samples each at temperature {settings.sampling.temperature:g}"
    drawn = "greedy" if metric.name == "greedy" else drawn
    ends = f"{100 * interval.level:g} % interval {100 * interval.low:.2f} to {100 * interval.high:.2f}"
    share, least = unjudged(record, metric)
    judged = f", {100 * share:.2f} % of answers not judged, {100 * least:.2f} with those as wrong" if share else ""
    return (
        f"{label(metric.name)}, %: {interval.refused or ends}, n = {metric.problems} problems, {drawn}{judged}, "
        f"at most {settings.sampling.max_tokens} tokens, {settings.engine} {settings.engine_version}, "
        f"quince {__version__}, settings {settings.hash}"
    )


def unjudged(record: Record, metric: Metric) -> tuple[float, float]:
    """Return the share of a metric's samples that are not judged, and its value if all of those were wrong.

    Raises:
        HubError: The share is above `MOST_UNJUDGED`.
    """
    if metric.name == "greedy":
        whole = record.metrics["outcome/correct"].problems
        share, least = 1 - metric.problems / whole, metric.interval.estimate * metric.problems / whole
    else:
        counts = record.unjudged or Unjudged.of(record.problems(), record.ks)
        share = counts.samples / counts.drawn
        least = counts.pass_at.get(int(metric.name.removeprefix("pass@")), 0.0)
    if share > MOST_UNJUDGED:
        raise HubError(
            f"{record.folder} · {100 * share:.1f} % of the answers behind {label(metric.name)} are not judged, which "
            f"could raise it from {100 * least:.1f} to {_percent(metric):.1f} % · at most {100 * MOST_UNJUDGED:g} % "
            "are published · mend the judge and evaluate again"
        )
    return share, least


def eval_results(record: Record, benchmark: Benchmark) -> dict[str, list[dict[str, Any]]]:
    """Return the content of a record's files below `.eval_results/`, by file name: Pass@1 and greedy.

    Raises:
        HubError: Too many samples are not judged.
    """
    dataset = {"id": benchmark.dataset, "task_id": benchmark.task}
    if benchmark.revision:
        dataset["revision"] = benchmark.revision
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", record.settings.suite)
    files = {}
    for name in _ON_LEADERBOARDS:
        metric = record.metrics.get(name)
        if metric is not None:
            entry = {"dataset": dataset, "value": _percent(metric), "date": record.created}
            entry["notes"] = notes(record, metric)
            files[f"{stem}{'_greedy' if name == 'greedy' else ''}.yaml"] = [entry]
    return files


def model_index(name: str, records: Sequence[Record], benchmarks: dict[str, Benchmark]) -> list[dict[str, Any]]:
    """Return the `model-index` of a model card; data without a benchmark is named by the kind of its source.

    Raises:
        HubError: Too many samples of a record are not judged.
    """
    return [{"name": name, "results": [_result(record, benchmarks.get(record.settings.suite)) for record in records]}]


def evaluation_grid(records: Sequence[Record]) -> Grid:
    """Return the same values as a table."""
    rows = []
    for record in records:
        for metric in _shown(record):
            interval, (share, least) = metric.interval, unjudged(record, metric)
            ends = f"{100 * interval.low:.1f} – {100 * interval.high:.1f}"
            drawn = "1" if metric.name == "greedy" else str(record.settings.sampling.n)
            names = record.settings.suite, label(metric.name), f"{_percent(metric):.1f}", interval.refused or ends
            judged = f"{100 * share:.2f} ({100 * least:.1f})" if share else "0"
            rows.append((*names, str(metric.problems), drawn, judged))
    header = ("Suite", "Metric", "%", "95 % interval", "Problems", "Samples each", "Not judged, %")
    note = "Intervals are over problems. In brackets: the value with answers that are not judged as wrong. "
    return Grid("Evaluation", header, tuple(rows), f"{note}Made from the records of quince eval.")


def _result(record: Record, benchmark: Benchmark | None) -> dict[str, Any]:
    settings = record.settings
    source = settings.data[0] if settings.data else {}
    dataset = {"type": benchmark.dataset if benchmark else source.get("kind", "custom"), "name": settings.suite}
    if source.get("split"):
        dataset["split"] = source["split"]
    if benchmark and benchmark.revision:
        dataset["revision"] = benchmark.revision
    return {
        "task": {"type": "text-generation"},
        "dataset": dataset,
        "metrics": [{"type": m.name, "value": _percent(m), "name": notes(record, m)} for m in _shown(record)],
    }


def _shown(record: Record) -> list[Metric]:
    return [m for m in record.metrics.values() if m.name == "greedy" or m.name.startswith("pass@")]


def _percent(metric: Metric) -> float:
    return round(100 * metric.interval.estimate, 2)
