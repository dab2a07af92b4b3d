"""A few rollouts of every logged step, for people to read: `samples.jsonl` in the run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from ..run.run_folder import keep_lines

if TYPE_CHECKING:
    from .trainer import RlvrTrainer

PER_STEP = 4


class SamplesFile(TrainerCallback):
    """Appends prompt, completion, rewards and advantage of the first rollouts of each logged step."""

    def __init__(self, folder: Path, trainer: RlvrTrainer) -> None:
        self.path, self.trainer = folder / "samples.jsonl", trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the lines up to the step that training starts from."""
        if state.is_world_process_zero:
            keep_lines(self.path, state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Append what TRL keeps of the last generation batch."""
        logs = self.trainer._logs
        if not state.is_world_process_zero or not logs["prompt"] or "eval_runtime" in kwargs.get("logs", ()):
            return
        with self.path.open("a", encoding="utf-8") as stream:
            for index in range(min(PER_STEP, len(logs["prompt"]))):
                record = {
                    "step": state.global_step,
                    "prompt": logs["prompt"][index],
                    "completion": logs["completion"][index],
                    "rewards": {name: values[index] for name, values in logs["rewards"].items()},
                    "advantage": logs["advantages"][index],
                }
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")
