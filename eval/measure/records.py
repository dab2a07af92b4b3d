"""One evaluation as a folder: `record.json` in the format of Every Eval Ever 0.3.0, and `samples.jsonl`.

The format (arXiv 2606.14516) has a closed top level and wants strings for additional details, so our settings
are one JSON string under `eval_library.additional_details`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

from ...data.cache import write_atomic
from ...data.version import __version__
from ..engines.base import Sampling
from .evaluate import Evaluation
from .metrics import KL_METRICS, Metric, Unit
from .problems import SAMPLES_FILE, Problem, RecordError, Unjudged, read_samples
from .settings import Settings
from .statistics import Interval

RECORD_FILE = "record.json"
SCHEMA_VERSION = "0.3.0"
_UPPER: dict[Unit, float | str] = {"proportion": 1.0}
_LOWER_IS_BETTER = frozenset({"tokens", "truncated", *KL_METRICS})


@dataclass(frozen=True)
class Record:
    """A record as it lies on disk.

    Attributes:
        folder: Where it lies.
        settings: What it was made with.
        ks: Of Pass@k.
        metrics: With intervals.
        seconds: Wall time by phase.
        created: When, ISO 8601.
        unjudged: Answers without a verdict; None in a record of an older version.
    """

    folder: Path
    settings: Settings
    ks: tuple[int, ...]
    metrics: dict[str, Metric]
    seconds: dict[str, float]
    created: str
    unjudged: Unjudged | None = None

    def problems(self) -> list[Problem]:
        """Read the answers."""
        return read_samples(self.folder / SAMPLES_FILE, self.settings.hash)


def write_record(folder: Path, evaluation: Evaluation, settings: Settings) -> Path:
    """Write `record.json` beside the finished `samples.jsonl` and return its path."""
    now = datetime.now(UTC)
    identity = f"{settings.suite}/{settings.model_name}/{settings.hash}"
    details = {
        "settings": json.dumps(asdict(settings), ensure_ascii=False),
        "settings_hash": settings.hash,
        "ks": json.dumps(evaluation.ks),
        "unjudged": json.dumps(asdict(evaluation.unjudged), ensure_ascii=False),
        "seconds": json.dumps({k: round(v, 3) for k, v in evaluation.seconds.items()}),
    }
    record = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{identity}/{now.timestamp():.0f}",
        "evaluation_timestamp": now.isoformat(timespec="seconds"),
        "retrieved_timestamp": f"{now.timestamp():.3f}",
        "source_metadata": {
            "source_name": "quince eval",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
        },
        "model_info": _model_info(settings),
        "eval_library": {"name": "quince", "version": __version__, "additional_details": details},
        "evaluation_results": [_result(identity, metric, settings) for metric in evaluation.metrics().values()],
    }
    return write_atomic(folder / RECORD_FILE, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_record(folder: Path) -> Record:
    """Read a record folder, or the path of its `record.json`.

    Raises:
        RecordError: There is no record, or it is not one of ours.
    """
    path = Path(folder) if Path(folder).name == RECORD_FILE else Path(folder) / RECORD_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(f"{path} · there is no record · run `quince eval` first, or give its folder") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path} · not JSON ({error}) · evaluate again") from error
    try:
        details = data["eval_library"]["additional_details"]
        metrics = [_metric(result) for result in data["evaluation_results"]]
        return Record(
            folder=path.parent,
            settings=Settings.from_dict(json.loads(details["settings"])),
            ks=tuple(json.loads(details["ks"])),
            metrics={metric.name: metric for metric in metrics},
            seconds=json.loads(details["seconds"]),
            created=data["evaluation_timestamp"],
            unjudged=_unjudged(details.get("unjudged")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"{path} · written by something else than this version of quince ({error!r}) · evaluate again"
        ) from error


def list_records(root: Path) -> list[Path]:
    """Return the record folders at or below a folder, in order of their names."""
    return sorted(path.parent for path in Path(root).rglob(RECORD_FILE))


def find_records(roots: Iterable[Path]) -> list[Path]:
    """Return the record folders at or below several folders, each once.

    Raises:
        RecordError: One of them holds none.
    """
    found: dict[Path, Path] = {}
    for root in roots:
        below = list_records(root)
        if not below:
            raise RecordError(f"{root} · there is no record here or below · run `quince eval` first")
        found.update((folder.resolve(), folder) for folder in below)
    return list(found.values())


def _model_info(settings: Settings) -> dict[str, Any]:
    details = {
        "deployment_type": "self_deployed",
        "model_availability": "open_weights",
        "dtype": settings.dtype,
        "revision": settings.revision or "",
        "fingerprint": settings.model_fingerprint or "",
    }
    engine = {"name": settings.engine, "version": settings.engine_version}
    return {
        "name": settings.model_name,
        "id": settings.model,
        "inference_engine": engine,
        "additional_details": details,
    }


def _result(identity: str, metric: Metric, settings: Settings) -> dict[str, Any]:
    name, _, k = metric.name.partition("@")
    sampling = _drawn(metric, settings)
    return {
        "evaluation_result_id": f"{identity}/{metric.name}",
        "evaluation_name": settings.suite,
        "source_data": {
            "dataset_name": settings.suite,
            "source_type": "other",
            "additional_details": {"sources": json.dumps(settings.data), "rows_sha256": settings.rows_sha256},
        },
        "metric_config": {
            "metric_id": "pass_at_k" if k else metric.name,
            "metric_name": metric.name,
            "metric_unit": metric.unit,
            "metric_parameters": _parameters(metric, settings),
            "lower_is_better": name in _LOWER_IS_BETTER or (name.startswith("outcome/") and name != "outcome/correct"),
            "score_type": "continuous",
            # An estimate of a small divergence may fall below 0.
            "min_score": "-Infinity" if metric.unit == "reward" or name in KL_METRICS else 0.0,
            "max_score": _UPPER.get(metric.unit, "Infinity"),
        },
        "score_details": _score(metric),
        "generation_config": {
            "generation_args": {
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "max_tokens": sampling.max_tokens,
            },
            "additional_details": {
                "n": str(sampling.n),
                "seed": str(sampling.seed),
                "template_sha256": settings.template_sha256,
            },
        },
    }


def _parameters(metric: Metric, settings: Settings) -> dict[str, Any]:
    if metric.name in KL_METRICS and settings.kl is not None:
        return {"reference": settings.kl.model}
    _, _, k = metric.name.partition("@")
    return {"k": int(k), "n": settings.sampling.n} if k else {}


def _drawn(metric: Metric, settings: Settings) -> Sampling:
    """Return how the answers of a metric were drawn."""
    if metric.name == "greedy":
        return replace(settings.sampling, n=1, temperature=0.0, top_p=1.0)
    if metric.name in KL_METRICS and settings.kl is not None:
        return replace(settings.sampling, n=settings.kl.samples, temperature=1.0, top_p=1.0)
    return settings.sampling


def _score(metric: Metric) -> dict[str, Any]:
    interval = metric.interval
    uncertainty: dict[str, Any] = {"num_samples": metric.problems}
    details = {"no_interval": interval.refused} if interval.refused else {}
    if metric.clusters is not None:
        details["clusters"] = str(metric.clusters)
    if not interval.refused:
        uncertainty["confidence_interval"] = {
            "lower": interval.low,
            "upper": interval.high,
            "confidence_level": interval.level,
            "method": f"analytic, over {metric.over}",
        }
    return {"score": interval.estimate, "details": details, "uncertainty": uncertainty}


def _unjudged(text: str | None) -> Unjudged | None:
    if text is None:
        return None
    data = json.loads(text)
    return Unjudged(**data | {"pass_at": {int(k): value for k, value in data["pass_at"].items()}})


def _metric(result: Mapping[str, Any]) -> Metric:
    score, config = result["score_details"], result["metric_config"]
    uncertainty, details = score["uncertainty"], score.get("details", {})
    bounds = uncertainty.get("confidence_interval", {"lower": -inf, "upper": inf, "confidence_level": 0.95})
    ends = bounds["lower"], bounds["upper"], bounds["confidence_level"]
    interval = Interval(score["score"], *ends, refused=details.get("no_interval", ""))
    groups = int(details["clusters"]) if "clusters" in details else None
    return Metric(config["metric_name"], config["metric_unit"], interval, uncertainty["num_samples"], groups)
