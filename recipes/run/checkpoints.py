"""Checkpoints on disk: room for them, the rename that makes one appear, and the newest whole one, to resume from."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from transformers import Trainer

logger = logging.getLogger(__name__)

STAGING = "checkpoints.partial"
EARLIER = "checkpoints.earlier"
REQUIRED = ("trainer_state.json", "scheduler.pt")
PARTS = {
    "optimizer state": ("optimizer*", "global_step*"),
    "random state": ("rng_state*",),
    "weights": ("model*.safetensors", "adapter_model*.safetensors", "pytorch_model*", "global_step*"),
}
"""What a checkpoint holds beside `REQUIRED`, and the names it goes by: of one process, FSDP, or DeepSpeed."""
MARGIN = 1.2  # room asked for beyond the estimate: random states, rollouts, tokenizer


class CheckpointError(RuntimeError):
    """No checkpoint can be resumed, or the one asked for lacks a part."""


class DiskFullError(RuntimeError):
    """A checkpoint does not fit, or would not."""


def checkpoint_bytes(trainer: Trainer) -> int:
    """Estimate of one checkpoint: the weights that are saved, and two moments of those that are trained, as Adam has.

    Of an adapter only its own weights are saved.
    """
    weights = list(trainer.model.parameters())
    trained = [weight for weight in weights if weight.requires_grad]
    saved = trained if hasattr(trainer.model, "peft_config") else weights
    wide = trainer.is_fsdp_enabled and trainer.accelerator.mixed_precision != "no"  # FSDP then trains in float32
    return _bytes(saved, wide) + 2 * _bytes(trained, wide)


def free_bytes(folder: Path) -> int:
    """Bytes free on the file system of a folder."""
    return shutil.disk_usage(folder).free


def require_space(trainer: Trainer) -> None:
    """Refuse to start where the first checkpoint, or the final model, would not fit.

    Raises:
        DiskFullError: With both numbers.
    """
    folder = Path(trainer.args.output_dir)
    needed, free = int(MARGIN * checkpoint_bytes(trainer)), free_bytes(folder)
    if free < needed:
        raise DiskFullError(
            f"{folder} · a checkpoint needs {needed:,} bytes · {free:,} are free"
            " · free some, or choose another output_dir"
        )


def is_full(error: BaseException, folder: Path, needed: int) -> bool:
    """Whether saving failed for want of room; libraries say so in different ways, or only that writing failed."""
    code = getattr(error, "errno", None)
    named = code in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
    return named or free_bytes(folder) < needed


def _bytes(weights: Iterable[nn.Parameter], wide: bool) -> int:
    # DeepSpeed leaves an empty tensor in place of a weight that lies on another process.
    counts = ((getattr(weight, "ds_numel", weight.numel()), weight.element_size()) for weight in weights)
    return sum(count * (4 if wide else size) for count, size in counts)


def full_message(folder: Path, name: str, needed: int) -> str:
    """What does not fit, and what is still there."""
    kept = sorted_checkpoints(folder)
    rest = f"{kept[-1].name} is intact · free some and go on with --resume" if kept else "free some and start again"
    return f"{folder} · no room for {name} · it needs {needed:,} bytes · {free_bytes(folder):,} are free · {rest}"


def publish(folder: Path, name: str, limit: int | None, best: str | None) -> None:
    """Rename a written checkpoint into place and delete the oldest beyond `limit`, but not the best."""
    from transformers.trainer_utils import rotate_checkpoints

    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / STAGING / name).rename(folder / name)
    shutil.rmtree(folder / STAGING, ignore_errors=True)
    rotate_checkpoints(str(folder), limit, best)


def sorted_checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders by step, oldest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")))


def missing_parts(checkpoint: Path) -> list[str]:
    """Name what a checkpoint lacks to continue exactly; empty if it is whole."""
    missing = [name for name in REQUIRED if not (checkpoint / name).is_file()]
    missing += [part for part, names in PARTS.items() if not any(any(checkpoint.glob(name)) for name in names)]
    return missing + [f"{path.name} (cut short)" for path in sorted(checkpoint.iterdir()) if not readable(path)]


def readable(file: Path) -> bool:
    """True unless a safetensors file, a PyTorch archive or a JSON file ends before what its beginning promises.

    The shards of a sharded state, in a folder, lack their index until all are written.
    """
    from safetensors import SafetensorError, safe_open

    if file.is_dir():
        return (file / ".metadata").is_file() or not any(file.glob("*.distcp"))
    if file.suffix in (".pt", ".pth"):
        return zipfile.is_zipfile(file)
    try:
        if file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"))
        elif file.suffix == ".safetensors":
            with safe_open(file, framework="numpy"):
                pass
    except (OSError, ValueError, SafetensorError):
        return False
    return True


def set_aside(folder: Path) -> None:
    """Move the checkpoints of an earlier run out of the way of a new one in the same folder.

    Otherwise the limit on their number would delete the new run's first, and a resume would take up the earlier run.
    """
    if checkpoints := sorted_checkpoints(folder):
        shutil.rmtree(folder / EARLIER, ignore_errors=True)
        (folder / EARLIER).mkdir()
        for checkpoint in checkpoints:
            checkpoint.rename(folder / EARLIER / checkpoint.name)
        logger.warning("%s: starting anew; the earlier run's checkpoints are in %s", folder, EARLIER)


def newest_whole_checkpoint(folder: Path) -> Path:
    """The checkpoint to resume from; damaged ones are named and skipped.

    Raises:
        CheckpointError: there is none.
    """
    for checkpoint in reversed(sorted_checkpoints(folder)):
        missing = missing_parts(checkpoint)
        if not missing:
            return checkpoint
        logger.warning("%s is skipped: it lacks %s", checkpoint, ", ".join(missing))
    raise CheckpointError(f"{folder} · no whole checkpoint to resume from · start without --resume")
