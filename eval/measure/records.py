"""Records: the folders of evaluations, with `record.json` in the format of Every Eval Ever 0.3.0 and `samples.jsonl`.

The format (arXiv 2606.14516) has a closed top level and wants strings for additional details, so our settings are one
JSON string under `eval_library.additional_details`. `record_labels` and `suite_labels` name records that are shown
together, so that different settings never share a name.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

from ...data.cache import write_atomic
from ...data.version import __version__
from .evaluate import Evaluation
from .metrics import KL_METRICS, Metric
from .problems import SAMPLES_FILE, Problem, RecordError, Unjudged, read_samples
from .settings import Settings, sha256_of
from .statistics import Interval

RECORD_FILE = "record.json"
SCHEMA_VERSION = "0.3.0"
_LOWER_IS_BETTER = frozenset({"tokens", "truncated", *KL_METRICS})


@dataclass(frozen=True)
class Record:
    """A record on disk; seconds are wall time by phase, `created` is ISO 8601, metrics are by name.

    `unjudged` counts samples that could not be judged; None in a record of an older version.
    """

    folder: Path
    settings: Settings
    ks: tuple[int, ...]
    metrics: dict[str, Metric]
    seconds: dict[str, float]
    created: str
    unjudged: Unjudged | None = None

    def problems(self) -> list[Problem]:
        """Read the samples."""
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


def find_record(folder: Path, settings: Settings) -> Record | None:
    """Return the record of a folder if it has settings with the same hash."""
    try:
        record = read_record(folder)
    except RecordError:
        return None
    return record if record.settings.hash == settings.hash else None


def list_records(root: Path) -> list[Path]:
    """Return the record folders at or below a folder, in order of their names."""
    return sorted(path.parent for path in Path(root).rglob(RECORD_FILE))


def find_records(roots: Iterable[Path]) -> list[Path]:
    """Return the record folders at or below several folders, each once.

    Raises:
        RecordError: There is none at or below one of them.
    """
    found: dict[Path, Path] = {}
    for root in roots:
        below = list_records(root)
        if not below:
            raise RecordError(f"{root} · there is no record here or below · run `quince eval` first")
        found.update((folder.resolve(), folder) for folder in below)
    return list(found.values())


def record_labels(records: Iterable[Record]) -> dict[str, str]:
    """Label every record, by its folder: its model's name, and the settings that tell it from others of that name.

    Records of one evaluation share a label even where its suites are sampled differently. Records of different
    evaluations share one only if all their settings are equal and no suite occurs twice.
    """
    records = list(records)
    labels: dict[str, str] = {}
    suites = suite_labels(records)
    for name, group in _grouped(records, lambda r: r.settings.model_name).items():
        parts = _differences(group, _evaluation, _answering)
        twice = Counter((parts[str(r.folder)], suites[str(r.folder)]) for r in group)
        if max(twice.values()) > 1:
            parts = _differences(group, _evaluation, lambda r: _answering(r) | {"in": _evaluation(r)})
        labels |= {folder: f"{name} ({part})" if part else name for folder, part in parts.items()}
    return labels


def suite_labels(records: Iterable[Record]) -> dict[str, str]:
    """Label every record's suite, by its folder; suites of one name differ in their labels if rows or rewards do."""
    labels: dict[str, str] = {}
    for name, group in _grouped(records, lambda r: r.settings.suite).items():
        parts = _differences(group, lambda r: str(r.folder), _asked)
        labels |= {folder: f"{name} ({part})" if part else name for folder, part in parts.items()}
    return labels


def differing(records: Iterable[Record]) -> list[str]:
    """Return the settings other than the model's that affect completions and differ between records."""
    found = [_answering(record) for record in records]
    own = ("revision", "weights")
    return [name for name in found[0] if name not in own and len({one[name] for one in found}) > 1] if found else []


def _model_info(settings: Settings) -> dict[str, Any]:
    return {
        "name": settings.model_name,
        "id": settings.model,
        "inference_engine": {"name": settings.engine, "version": settings.engine_version},
        "additional_details": {
            "deployment_type": "self_deployed",
            "model_availability": "open_weights",
            "dtype": settings.dtype,
            "revision": settings.revision or "",
            "fingerprint": settings.model_fingerprint or "",
        },
    }


def _result(identity: str, metric: Metric, settings: Settings) -> dict[str, Any]:
    name, _, k = metric.name.partition("@")
    sampling, kl = settings.sampling, settings.kl if metric.name in KL_METRICS else None
    parameters: dict[str, Any] = {"k": int(k), "n": sampling.n} if k else {}
    if metric.name == "greedy":
        sampling = replace(sampling, n=1, temperature=0.0, top_p=1.0)
    elif kl is not None:
        sampling, parameters = replace(sampling, n=kl.samples, temperature=1.0, top_p=1.0), {"reference": kl.model}
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
            "metric_parameters": parameters,
            "lower_is_better": name in _LOWER_IS_BETTER or (name.startswith("outcome/") and name != "outcome/correct"),
            "score_type": "continuous",
            # An estimate of a small divergence may fall below 0.
            "min_score": "-Infinity" if metric.unit == "reward" or name in KL_METRICS else 0.0,
            "max_score": 1.0 if metric.unit == "proportion" else "Infinity",
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


def _grouped(records: Iterable[Record], key: Callable[[Record], str]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[key(record)].append(record)
    return groups


def _differences(
    records: Sequence[Record], key: Callable[[Record], str], settings: Callable[[Record], dict[str, Hashable]]
) -> dict[str, str]:
    """By folder, the settings in which the record's group, by `key`, differs from other groups; empty if in none."""
    found = {group: [settings(r) for r in own] for group, own in _grouped(records, key).items()}
    texts = {
        group: {name: "/".join(sorted({str(one[name]) for one in own})) for name in own[0]}
        for group, own in found.items()
    }
    differing = [name for name in next(iter(texts.values())) if len({own[name] for own in texts.values()}) > 1]
    return {str(r.folder): ", ".join(f"{name} {texts[key(r)][name]}" for name in differing) for r in records}


def _evaluation(record: Record) -> str:
    """The folder of the evaluation that a record belongs to; `quince eval` writes a folder per suite into it."""
    return str(record.folder.parent if record.folder.name == record.settings.suite else record.folder)


def _answering(record: Record) -> dict[str, Hashable]:
    """Everything that affects the completions."""
    own = record.settings
    return {
        "revision": own.revision,
        "weights": (own.model_fingerprint or own.model)[:8],
        "dtype": own.dtype,
        "engine": f"{own.engine} {own.engine_version}",
        "template": own.template_sha256[:6],
        "prompts cut to": own.longest,
        **{name.replace("_", " "): value for name, value in asdict(own.sampling).items()},
    }


def _asked(record: Record) -> dict[str, Hashable]:
    """The rows and how they are judged."""
    return {"rows": record.settings.rows_sha256[:6], "reward": sha256_of(record.settings.reward)[:6]}
