"""What the Hugging Face Hub reads of a model's results: entries of `.eval_results/*.yaml`, and `model-index`.

Neither format has a field for uncertainty, so every value stands with its n and interval in `notes` or in the metric's
name. Values are percentages. Source: the Hub's documentation, `docs/hub/eval-results.md`, marked as work in progress.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...data.version import __version__
from ..measure.metrics import Metric
from ..measure.records import Record
from .record_tables import label
from .tables import Grid

_ON_LEADERBOARDS = ("pass@1", "greedy")
"""One answer a problem, which is what a leaderboard compares; Pass@k with more tries stands in the card alone."""


class HubError(ValueError):
    """A benchmark that cannot be understood."""


@dataclass(frozen=True)
class Benchmark:
    """The dataset on the Hub whose leaderboard a suite belongs to.

    Attributes:
        dataset: Its id, such as "org/name".
        task: One of the ids in the dataset's `eval.yaml`.
        revision: Commit of the dataset.
    """

    dataset: str
    task: str
    revision: str | None = None


def parse_benchmark(text: str) -> tuple[str, Benchmark]:
    """Return a suite and its benchmark from "SUITE=ORG/NAME:TASK" or "SUITE=ORG/NAME:TASK@REVISION".

    Raises:
        HubError: It is written otherwise.
    """
    found = re.fullmatch(r"([^=]+)=([\w.-]+/[\w.-]+):([\w.-]+)(?:@([0-9a-f]{7,40}))?", text)
    if found is None:
        raise HubError(f"dataset · found {text!r} · write SUITE=ORG/NAME:TASK, and @REVISION behind it if you like")
    suite, dataset, task, revision = found.groups()
    return suite, Benchmark(dataset, task, revision)


def notes(record: Record, metric: Metric) -> str:
    """Say in one line how a value came about, with its interval and n."""
    settings, interval = record.settings, metric.interval
    greedy = metric.name == "greedy"
    drawn = (
        "greedy" if greedy else f"{settings.sampling.n} samples each at temperature {settings.sampling.temperature:g}"
    )
    return (
        f"{label(metric.name)}, %: {100 * interval.level:g} % interval {100 * interval.low:.2f} to "
        f"{100 * interval.high:.2f}, n = {metric.problems} problems, {drawn}, at most {settings.sampling.max_tokens} "
        f"tokens, {settings.engine} {settings.engine_version}, quince {__version__}, settings {settings.hash}"
    )


def eval_results(record: Record, benchmark: Benchmark) -> dict[str, list[dict[str, Any]]]:
    """Return the content of a record's files below `.eval_results/`, one for each way of answering, by file name."""
    dataset = {"id": benchmark.dataset, "task_id": benchmark.task}
    if benchmark.revision:
        dataset["revision"] = benchmark.revision
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", record.settings.suite)
    files = {}
    for name in _ON_LEADERBOARDS:
        metric = record.metrics.get(name)
        if metric is not None:
            entry = {
                "dataset": dataset,
                "value": _percent(metric),
                "date": record.created,
                "notes": notes(record, metric),
            }
            files[f"{stem}{'_greedy' if name == 'greedy' else ''}.yaml"] = [entry]
    return files


def model_index(name: str, records: Sequence[Record], benchmarks: dict[str, Benchmark]) -> list[dict[str, Any]]:
    """Return the `model-index` of a model card; data that is not on the Hub is named by its kind."""
    return [{"name": name, "results": [_result(record, benchmarks.get(record.settings.suite)) for record in records]}]


def evaluation_grid(records: Sequence[Record]) -> Grid:
    """Return the same values as a table for people."""
    rows = [
        (
            record.settings.suite,
            label(metric.name),
            f"{_percent(metric):.1f}",
            f"{100 * metric.interval.low:.1f} – {100 * metric.interval.high:.1f}",
            str(metric.problems),
            "1" if metric.name == "greedy" else str(record.settings.sampling.n),
        )
        for record in records
        for metric in _shown(record)
    ]
    header = ("Suite", "Metric", "%", "95 % interval", "Problems", "Samples each")
    return Grid("Evaluation", header, tuple(rows), "Intervals are over problems. Made from the records of quince eval.")


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
