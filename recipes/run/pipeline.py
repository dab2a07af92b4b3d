"""Run a `pipeline` recipe: each stage is the command that a person would have typed, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ...data.cache import write_atomic
from ..config.language.reading import CoreDumper

if TYPE_CHECKING:
    from ..config.loaded import LoadedRecipe
    from ..config.pipeline import PipelineRecipe, Stage


class StageError(RuntimeError):
    """A stage ended with an error; the stages after it were not started."""


def run(loaded: LoadedRecipe[PipelineRecipe], resume: bool = False) -> Path:
    """Run the stages in order; a stage that is finished is passed, so the same command goes on after a stop.

    `resume` continues the stage that was interrupted from its newest whole checkpoint.

    Raises:
        StageError: A stage failed.
    """
    folder = Path(loaded.recipe.output_dir)
    for number, (name, stage) in enumerate(loaded.recipe.stages.items(), start=1):
        file = folder / f"{name}.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        data = stage.model_dump(mode="json")
        write_atomic(file, yaml.dump(data, Dumper=CoreDumper, sort_keys=False, allow_unicode=True, width=10_000))
        command = ["eval" if stage.kind in ("eval", "compression_eval") else "train", str(file)]
        if resume and _has_checkpoint(stage):
            command.append("--resume")
        print(f"[{number}/{len(loaded.recipe.stages)}] {name}: quince {' '.join(command)}", flush=True)
        done = subprocess.run([sys.executable, "-m", "quince.recipes.cli", *command], check=False)
        if done.returncode:
            raise StageError(f"stage {name} · exit code {done.returncode} · repair it and run the same command again")
    return folder


def _has_checkpoint(stage: Stage) -> bool:
    from .checkpoints import CheckpointError, newest_whole_checkpoint

    try:
        newest_whole_checkpoint(Path(stage.output_dir))
    except CheckpointError:
        return False
    return not (Path(stage.output_dir) / "model").exists()
