"""The run folder: what was asked for, what it ran on, what happened, and the model at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from ...data.cache import read_log, write_atomic
from ..parts.fingerprint import environment

if TYPE_CHECKING:
    from transformers import TrainerState

    from ..config.loaded import Evaluation, LoadedRecipe, Training

RECIPE_FILE = "recipe.resolved.yaml"
MODEL_FOLDER = "model"


def open_run_folder(loaded: LoadedRecipe[Training | Evaluation]) -> Path:
    """Make the run folder and write the resolved recipe and the environment into it."""
    folder = Path(loaded.recipe.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / RECIPE_FILE, loaded.to_yaml())
    write_atomic(folder / "environment.json", json.dumps(environment(), indent=1))
    return folder


def is_finished(loaded: LoadedRecipe[Training | Evaluation]) -> bool:
    """True if the folder holds the final model of exactly this recipe."""
    model = Path(loaded.recipe.output_dir) / MODEL_FOLDER
    made_by = model / RECIPE_FILE
    if not made_by.is_file() or not any((model / name).is_file() for name in ("config.json", "adapter_config.json")):
        return False
    return made_by.read_text(encoding="utf-8") == loaded.to_yaml()


def keep_lines(file: Path, last_step: int) -> None:
    """Drop the lines of a JSON-lines log beyond the step that training starts from, and a last one that is cut off.

    Raises:
        FileError: Another line is broken.
    """
    lines = read_log(file) if last_step else []
    kept = [json.dumps(line, ensure_ascii=False) for line in lines if line.get("step", 0) <= last_step]
    write_atomic(file, "".join(f"{line}\n" for line in kept))


class MetricsFile(TrainerCallback):
    """Appends every log to `metrics.jsonl`; a resumed run first drops what lies beyond its checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "metrics.jsonl"

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Keep the lines up to the step that training starts from."""
        if state.is_world_process_zero:
            keep_lines(self.path, state.global_step)

    def on_log(
        self, args: Any, state: TrainerState, control: Any, logs: Mapping[str, float] | None = None, **_: Any
    ) -> None:
        """Append one line."""
        if state.is_world_process_zero and logs:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"step": state.global_step, **logs}) + "\n")
