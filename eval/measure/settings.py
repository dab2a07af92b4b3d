"""The settings of an evaluation; only samples of equal hashes may be put together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..engines.base import Sampling


@dataclass(frozen=True)
class KlSettings:
    """How divergences from a reference are measured: for at most `prompts` problems, `samples` a direction."""

    model: str
    revision: str | None
    model_fingerprint: str | None
    dtype: str
    prompts: int
    samples: int

    @property
    def model_name(self) -> str:
        """Short name of the reference."""
        return model_name(self.model)


@dataclass(frozen=True)
class Settings:
    """Everything that affects the samples of an evaluation, and where they were made.

    Attributes:
        model_fingerprint: Of the weights, so that a retrained folder is another model.
        rows_sha256: Of the rows themselves.
        template_sha256: Of the tokenizer's chat template.
        kl: Of the divergences from a reference, which have samples of their own; not hashed.
        made_on: Versions, hardware and commit; not hashed.
        longest: Tokens that prompts were cut to on their left; None if none was.
    """

    suite: str
    model: str
    revision: str | None
    model_fingerprint: str | None
    dtype: str
    engine: str
    engine_version: str
    sampling: Sampling
    reward: dict[str, Any]
    data: list[dict[str, Any]]
    rows_sha256: str
    template_sha256: str
    kl: KlSettings | None = None
    made_on: dict[str, Any] = field(default_factory=dict)
    longest: int | None = None

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits; equal for settings that give the same samples."""
        beside = ("kl", "made_on") if self.longest else ("kl", "made_on", "longest")
        return sha256_of({k: v for k, v in asdict(self).items() if k not in beside})[:16]

    @property
    def model_name(self) -> str:
        """Short name of the model."""
        return model_name(self.model)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Settings:
        """Return the settings that `dataclasses.asdict` described."""
        sampling = data["sampling"] | {"stop_token_ids": tuple(data["sampling"]["stop_token_ids"])}
        kl = data.get("kl")
        return cls(**{**data, "sampling": Sampling(**sampling), "kl": KlSettings(**kl) if kl else None})


def model_name(model: str) -> str:
    """Return a short name: `grpo` for `runs/grpo/model`."""
    parts = [part for part in model.replace("\\", "/").split("/") if part]
    while len(parts) > 1 and (parts[-1] == "model" or parts[-1].startswith("checkpoint-")):
        if parts[-1].startswith("checkpoint-"):
            return f"{parts[-2]}@{parts[-1].removeprefix('checkpoint-')}"
        parts.pop()
    return parts[-1] if model.startswith(("/", ".", "~", "runs/")) or len(parts) != 2 else model


def sha256_of(value: Any) -> str:
    """Return the SHA-256 of plain data, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def rows_sha256(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the SHA-256 of rows without the paths of databases, since a moved cache holds the same problems."""
    return sha256_of([{k: v for k, v in row.items() if k != "database"} for row in rows])
