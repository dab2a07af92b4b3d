"""Checkpoints that are whole or not there: written aside, then renamed; the newest whole one is the one to resume.

The Trainer writes straight into `checkpoint-N` and takes the highest number as the latest, so that a kill while
saving leaves a folder it would load, in the worst case with a fresh optimizer and no word about it.
"""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .disk import DiskFullError, checkpoint_bytes, free_bytes, is_full

if TYPE_CHECKING:
    from transformers import Trainer

    _Base = Trainer
else:
    _Base = object

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


class CheckpointError(RuntimeError):
    """No checkpoint can be resumed, or the one asked for lacks a part."""


class AtomicCheckpoints(_Base):
    """Mixin for a `Trainer`: `checkpoint-N` appears by one rename, after all its files are written."""

    _staging = False
    _published = -1  # step of the last checkpoint
    _stopped_early = False

    def _get_output_dir(self, trial: Any) -> str:
        folder = super()._get_output_dir(trial)
        return str(Path(folder) / STAGING) if self._staging else folder

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self._published == self.state.global_step:
            return
        folder = Path(super()._get_output_dir(trial))
        name = f"checkpoint-{self.state.global_step}"
        if self.is_world_process_zero():
            shutil.rmtree(folder / STAGING, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self._staging = True
        try:
            super()._save_checkpoint(model, trial)
            self.save_extra_state(folder / STAGING / name)
        except Exception as error:
            shutil.rmtree(folder / STAGING, ignore_errors=True)
            if is_full(error, folder, needed := checkpoint_bytes(self)):
                raise DiskFullError(full_message(folder, name, needed)) from error
            raise
        finally:
            self._staging = False
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            publish(folder, name, self.args.save_total_limit)
        self.accelerator.wait_for_everyone()
        self._published = self.state.global_step

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        import torch

        if self.args.device.type == "cpu":
            # Among several CPU processes Accelerate names the device "cpu:0", which torch.load cannot map to.
            vars(self.args)["_setup_devices"] = torch.device("cpu")
        super()._load_optimizer_and_scheduler(checkpoint)

    def _load_callback_state(self) -> None:
        super()._load_callback_state()
        self._stopped_early = self.control.should_training_stop and self.state.global_step < self.state.max_steps

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # Resumed from its last checkpoint, a run that was done would do one step more.
        if self._stopped_early or self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
        else:
            super()._run_epoch(*args, **kwargs)

    def save_extra_state(self, folder: Path) -> None:
        """Add what a subclass needs to resume exactly; called on every process."""


def full_message(folder: Path, name: str, needed: int) -> str:
    """What does not fit, and what is still there."""
    kept = sorted_checkpoints(folder)
    rest = f"{kept[-1].name} is intact · free some and go on with --resume" if kept else "free some and start again"
    return f"{folder} · no room for {name} · it needs {needed:,} bytes · {free_bytes(folder):,} are free · {rest}"


def publish(folder: Path, name: str, limit: int | None) -> None:
    """Rename a written checkpoint into place and delete the oldest beyond `limit`."""
    target = folder / name
    shutil.rmtree(target, ignore_errors=True)
    (folder / STAGING / name).rename(target)
    shutil.rmtree(folder / STAGING, ignore_errors=True)
    if limit:
        for old in sorted_checkpoints(folder)[:-limit]:
            shutil.rmtree(old, ignore_errors=True)


def sorted_checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders by step, oldest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")))


def missing_parts(checkpoint: Path) -> list[str]:
    """Name what a checkpoint lacks to continue exactly; empty if it is whole."""
    missing = [name for name in REQUIRED if not (checkpoint / name).is_file()]
    for part, patterns in PARTS.items():
        if not any(file for pattern in patterns for file in checkpoint.glob(pattern)):
            missing.append(part)
    files = [file for file in sorted(checkpoint.iterdir()) if file.is_file()]
    return missing + [f"{file.name} (cut short)" for file in files if not readable(file)]


def readable(file: Path) -> bool:
    """True unless a safetensors file, a PyTorch archive or a JSON file ends before what its beginning promises."""
    from safetensors import SafetensorError, safe_open

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
    checkpoints = sorted_checkpoints(folder)
    if not checkpoints:
        return
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
