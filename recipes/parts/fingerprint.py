"""Short hashes that say whether two model folders hold the same weights, and two tokenizers the same tokens."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def model_fingerprint(model: PreTrainedModel) -> str:
    """Hash a model's parameter names, shapes and 64 evenly spaced values of each tensor.

    Reads a few thousand numbers, so it takes milliseconds for any size; the check that u = 1 at the first step
    catches what the sampled values might miss. Adapters are left out: a fresh one does not change the policy.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if "lora_" in name:
            continue
        name = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
        flat = tensor.detach().reshape(-1)
        sample = flat[:: max(1, flat.numel() // 64)][:64].float().cpu().numpy()
        digest.update(f"{name}{tuple(tensor.shape)}".encode() + sample.tobytes())
    return digest.hexdigest()[:16]


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash a tokenizer's vocabulary and chat template."""
    vocabulary = json.dumps(sorted(tokenizer.get_vocab().items()), ensure_ascii=False)
    return hashlib.sha256((vocabulary + str(tokenizer.chat_template)).encode()).hexdigest()[:16]


def files_fingerprint(folder: Path) -> str:
    """Hash names, sizes and both ends of a local model's files; for naming caches before the model is loaded.

    Cards are left out: results that are written into one are still those of the same model.
    """
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*")):
        if file.is_file() and file.suffix != ".md":
            digest.update(f"{file.name}:{file.stat().st_size}".encode())
            with file.open("rb") as stream:
                digest.update(stream.read(1 << 16))
                stream.seek(max(0, file.stat().st_size - (1 << 16)))
                digest.update(stream.read())
    return digest.hexdigest()[:16]
