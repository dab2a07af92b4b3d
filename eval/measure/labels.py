"""Names under which records stand beside each other: what was made with different settings never shares one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict

from .records import Record
from .settings import sha256_of


def record_labels(records: Iterable[Record]) -> dict[str, str]:
    """Name every record, by its folder, after its model, and by what differs where one name has different settings.

    Suites of one evaluation may be sampled differently, as its recipe says, and stand under one name. Records of other
    evaluations do so only if all their settings are equal and none is of the same suite.
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
    """Name every record's suite, by its folder; suites of one name with other rows or judges are named apart."""
    labels: dict[str, str] = {}
    for name, group in _grouped(records, lambda r: r.settings.suite).items():
        parts = _differences(group, lambda r: str(r.folder), _asked)
        labels |= {folder: f"{name} ({part})" if part else name for folder, part in parts.items()}
    return labels


def differing(records: Iterable[Record]) -> list[str]:
    """Return the names of the settings that decide answers and differ between records, but for those of the model."""
    found = [_answering(record) for record in records]
    own = ("revision", "weights")
    return [name for name in found[0] if name not in own and len({one[name] for one in found}) > 1] if found else []


def _grouped(records: Iterable[Record], key: Callable[[Record], str]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[key(record)].append(record)
    return groups


def _differences(
    records: Sequence[Record], key: Callable[[Record], str], settings: Callable[[Record], dict[str, Hashable]]
) -> dict[str, str]:
    """Say by folder which settings of its group, by `key`, some other group does not have; empty where none."""
    found = {group: [settings(r) for r in own] for group, own in _grouped(records, key).items()}
    texts = {
        group: {name: "/".join(sorted({str(one[name]) for one in own})) for name in own[0]}
        for group, own in found.items()
    }
    differing = [name for name in next(iter(texts.values())) if len({own[name] for own in texts.values()}) > 1]
    return {str(r.folder): ", ".join(f"{name} {texts[key(r)][name]}" for name in differing) for r in records}


def _evaluation(record: Record) -> str:
    """The folder of the evaluation that a record belongs to: `quince eval` names the folders in it after the suites."""
    return str(record.folder.parent if record.folder.name == record.settings.suite else record.folder)


def _answering(record: Record) -> dict[str, Hashable]:
    """Everything that decides the answers."""
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
    """What was asked and how it is judged."""
    return {"rows": record.settings.rows_sha256[:6], "reward": sha256_of(record.settings.reward)[:6]}
