"""Measuring while training: the library's evaluation on held-out rows, and the best model so far in a folder."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from ...data.cache import write_atomic
from ..config.trainer_arguments import trainer_value
from .training import save_whole

if TYPE_CHECKING:
    from transformers import Trainer, TrainerState

    from ..config.dpo import DpoRecipe
    from ..config.rlvr import RlvrRecipe
    from ..config.sft import SftRecipe

BEST_FOLDER = "best"
RECORD = "best.json"


def evaluation_options(recipe: RlvrRecipe | SftRecipe | DpoRecipe) -> dict[str, Any]:
    """Arguments of the trainer's configuration for the recipe's `held_out:` section, in batches as in training."""
    if recipe.held_out is None:
        return {}
    batch = trainer_value(recipe.trainer, "per_device_train_batch_size", recipe.kind)
    options = {"eval_strategy": "steps", "eval_steps": recipe.held_out.every}
    if recipe.kind == "rlvr":
        options["num_generations_eval"] = samples = recipe.held_out.samples
        batch = max(1, batch // samples) * samples  # whole groups
    return {**options, "per_device_eval_batch_size": batch}


class KeepsBest(TrainerCallback):
    """Saves the model whenever a figure of the held-out rows is the best so far, strictly.

    Args:
        trainer: Whose model is saved.
        folder: The run folder; gets `best`, a whole model, and `best.json` with its step and figures.
        figure: Name in the metrics of an evaluation, with its prefix `eval_`.
        higher: Whether a higher one is better.
    """

    def __init__(self, trainer: Trainer, folder: Path, figure: str, higher: bool) -> None:
        self.trainer, self.folder, self.figure, self.sign = trainer, folder, figure, 1 if higher else -1
        self.best: float | None = None

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Know the best model of the steps before a resumed one; forget that of another run or of a later step."""
        file = self.folder / RECORD
        record = json.loads(file.read_text(encoding="utf-8")) if state.global_step and file.is_file() else None
        self.best = record[self.figure] if record and record["step"] <= state.global_step else None

    def on_evaluate(self, args: Any, state: TrainerState, control: Any, metrics: Mapping[str, float], **_: Any) -> None:
        """Save the model if it is better."""
        figures = {**state.log_history[-1], **metrics}  # TRL adds its own only to what it logs
        value = figures.get(self.figure)
        if value is None or not self.sign * value > (-math.inf if self.best is None else self.sign * self.best):
            return  # a comparison with NaN is false
        self.best = value
        staged, target = self.folder / f"{BEST_FOLDER}.partial", self.folder / BEST_FOLDER
        save_whole(self.trainer, staged, state.is_world_process_zero)
        if state.is_world_process_zero:
            shutil.rmtree(target, ignore_errors=True)
            staged.rename(target)
            write_atomic(self.folder / RECORD, json.dumps({**figures, "step": state.global_step}, indent=1))
        self.trainer.accelerator.wait_for_everyone()
