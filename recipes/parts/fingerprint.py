"""Short hashes that say whether two models hold the same weights, and two tokenizers the same tokens."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ...data.cache import cache_dir, write_atomic
from .models import model_path

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..config.model import Model

_SETTLED_S = 2.0
"""A file younger than this is hashed again next time: another write could still carry the same time."""
_AT_ONCE = 1 << 22


def model_fingerprint(model: PreTrainedModel) -> str:
    """Hash a model's parameter names, shapes and every value of its tensors.

    Adapters are left out: a fresh one does not change the policy.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if "lora_" in name:
            continue
        name = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
        digest.update(f"{name}{tuple(tensor.shape)}{_checksum(tensor)}".encode())
    return digest.hexdigest()[:16]


def _checksum(tensor: Tensor) -> int:
    """A sum over a tensor's bits, weighted by place, modulo 2^64: exact in any order and on any device."""
    import torch

    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    # Odd factors: whatever one value changes by, its term changes.
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
    """Say which weights a section names: by the contents of a folder, or by the commit of a model on the Hub.

    Without a connection the commit is that of the copy on this machine; None if there is none.
    """
    path = Path(model_path(model.id))
    if path.is_dir():
        return files_fingerprint(path)
    from transformers.utils.hub import cached_file, extract_commit_hash

    quiet = {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors")}
    for name in ("config.json", "adapter_config.json"):
        file = cached_file(model.id, name, revision=model.revision, **quiet)
        if file is not None:
            return extract_commit_hash(file, None)
    return None


def files_fingerprint(folder: Path) -> str:
    """Hash names and contents of a local model's files, and of the model that an adapter in it names.

    Each file is read once and remembered by path, size, time and inode. Cards are left out: results that are written
    into one are still those of the same model.
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
    """SHA-256 of a file, from the cache if it has not been touched since."""
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
