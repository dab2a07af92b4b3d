"""Room for checkpoints: asked for before training, and named when it runs out."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from transformers import Trainer

MARGIN = 1.2
"""Room asked for beyond the estimate: random states, rollouts, tokenizer."""


class DiskFullError(RuntimeError):
    """A checkpoint does not fit, or would not."""


def checkpoint_bytes(trainer: Trainer) -> int:
    """Estimate of one checkpoint: the weights that are saved, and two moments of those that are trained, as Adam has.

    Of an adapter only its own weights are saved.
    """
    weights = list(trainer.model.parameters())
    trained = [weight for weight in weights if weight.requires_grad]
    saved = trained if hasattr(trainer.model, "peft_config") else weights
    return _bytes(saved) + 2 * _bytes(trained)


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


def _bytes(weights: Iterable[nn.Parameter]) -> int:
    # DeepSpeed leaves an empty tensor in place of a weight that lies on another process.
    return sum(getattr(weight, "ds_numel", weight.numel()) * weight.element_size() for weight in weights)
