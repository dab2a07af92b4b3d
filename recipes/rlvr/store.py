"""The rehearsal store: correct completions of the initial policy, with the log-probabilities it gave them.

Unpadded token ids and log-probabilities lie end to end in one memory-mapped safetensors file, about 4 bytes a prompt
token and 8 bytes a completion token; `store.json` beside it says what made them. (The paper's code keeps padded int64
records in a pickle: about 65 times the size, https://huggingface.co/papers/2509.07430.)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ...data.cache import write_atomic

FORMAT = "quince-rehearsal-1"


class StoreError(ValueError):
    """A rehearsal store is missing, damaged, or was made by something else than this run starts from."""


@dataclass(frozen=True)
class RehearsalRow:
    """One stored completion."""

    prompt_ids: np.ndarray  # of the rendered prompt, [prompt_tokens]
    completion_ids: np.ndarray  # with the stop token, [completion_tokens]
    log_probs: np.ndarray  # log π_ref of the completion's tokens in nats, [completion_tokens]


@dataclass(frozen=True)
class Origin:
    """What made a store; a run that starts from anything else must not use it."""

    model: str  # name or path of the initial policy
    model_fingerprint: str
    tokenizer_fingerprint: str
    dtype: str  # of the weights that sampled
    sampling: dict[str, Any]  # temperature, top-p, tokens and seed


class RehearsalStore:
    """Read access to a store folder; rows are sliced from the memory-mapped file one by one."""

    def __init__(self, folder: Path) -> None:
        try:
            self.metadata = json.loads((folder / "store.json").read_text(encoding="utf-8"))
            self._file = safe_open(folder / "store.safetensors", framework="numpy")
        except (OSError, ValueError, SafetensorError) as error:
            raise StoreError(f"{folder} · no readable rehearsal store ({error}) · run `quince split` again") from error
        if self.metadata.get("format") != FORMAT:
            found = self.metadata.get("format")
            raise StoreError(f"{folder} · format {found!r} · this version reads {FORMAT!r} · run `quince split` again")
        self.folder = folder
        self.origin = Origin(**self.metadata["origin"])
        self._prompt_ends = self._file.get_tensor("prompt_ends")
        self._completion_ends = self._file.get_tensor("completion_ends")

    def __len__(self) -> int:
        return len(self._completion_ends)

    def __getitem__(self, index: int) -> RehearsalRow:
        prompt = slice(int(self._prompt_ends[index - 1]) if index else 0, int(self._prompt_ends[index]))
        start, end = self.span(index)
        return RehearsalRow(
            self._file.get_slice("prompt_ids")[prompt],
            self._file.get_slice("completion_ids")[start:end],
            self._file.get_slice("log_probs")[start:end],
        )

    def span(self, index: int) -> tuple[int, int]:
        """Where the completion of row `index` lies in the flat arrays, `(start, end)`."""
        return int(self._completion_ends[index - 1]) if index else 0, int(self._completion_ends[index])

    def require(self, origin: Origin) -> None:
        """Refuse to rehearse completions of another model.

        Raises:
            StoreError: naming each field of the origin that differs.
        """
        wanted, found = asdict(origin), asdict(self.origin)
        keys = ("model_fingerprint", "tokenizer_fingerprint", "dtype")
        differing = [f"{key}: {found[key]} (store) ≠ {wanted[key]} (run)" for key in keys if found[key] != wanted[key]]
        if differing:
            raise StoreError(
                f"{self.folder} · made by another initial policy · {'; '.join(differing)} · "
                "run `quince split` on this recipe, or point model.id at the model that made the store"
            )


def write_store(folder: Path, rows: Sequence[RehearsalRow], ids: Sequence[str], origin: Origin) -> None:
    """Write a store and the row id of each completion's prompt; an interrupted write leaves no readable store."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, dtype in (("prompt_ids", np.int32), ("completion_ids", np.int32), ("log_probs", np.float32)):
        arrays = [np.asarray(getattr(row, name), dtype) for row in rows]
        tensors[name] = np.concatenate([np.zeros(0, dtype), *arrays])
        if name != "log_probs":  # they end where the completions do
            tensors[name.replace("ids", "ends")] = np.cumsum([len(array) for array in arrays], dtype=np.int64)
    staged = folder / "store.safetensors.partial"
    save_file(tensors, staged)
    staged.replace(folder / "store.safetensors")
    metadata = {"format": FORMAT, "origin": asdict(origin), "rows": len(rows), "ids": list(ids)}
    write_atomic(folder / "store.json", json.dumps(metadata, indent=1, ensure_ascii=False))


@dataclass(frozen=True)
class RehearsalOrder:
    """The endless sequence of a store's row indices: a fresh seeded permutation each epoch.

    The place in it follows from the number of rows already used, so there is no cursor to save: a resumed run
    continues exactly, and any number of processes reads the same global sequence.
    """

    rows: int
    seed: int

    def take(self, start: int, count: int) -> np.ndarray:
        """Return `count` row indices from position `start` on, `[count]`."""
        epochs = range(start // self.rows, (start + count - 1) // self.rows + 1)
        order = np.concatenate([np.random.default_rng((self.seed, epoch)).permutation(self.rows) for epoch in epochs])
        offset = start - epochs[0] * self.rows
        return order[offset : offset + count]
