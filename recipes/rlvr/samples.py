"""A few rollouts of every logged step, for people to read (`samples.jsonl`), and whether any of them is judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from ..run.run_folder import keep_lines

if TYPE_CHECKING:
    from .trainer import RlvrTrainer

PER_STEP = 4
PATIENCE = 3  # logs without any judgement before a run is given up


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
                record = {"step": state.global_step} | {name: logs[name][index] for name in ("prompt", "completion")}
                record["rewards"] = {name: values[index] for name, values in logs["rewards"].items()}
                record["advantage"] = logs["advantages"][index]
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")


class UnjudgedError(RuntimeError):
    """A training in which no completion could be judged."""


class RequireJudged(TrainerCallback):
    """Ends a run in which nothing is judged: it would train on nothing and end as if all were well."""

    def __init__(self, trainer: RlvrTrainer) -> None:
        self.trainer, self.logs, self.judged = trainer, 0, False

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Look at the share of completions without a reward."""
        if not self.judged and "reward/unjudged" in (logs or {}):
            self.logs, self.judged = self.logs + 1, logs["reward/unjudged"] < 1
            if self.logs >= PATIENCE:
                self._require(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look also where a run is shorter than that."""
        if self.logs:
            self._require(state.global_step)

    def _require(self, step: int) -> None:
        if self.judged:
            return
        # What the rewards say of an empty answer to the first row.
        row = self.trainer.train_dataset[0]
        rewards = [judge.reward for judge in self.trainer.judges]
        said = [f"{r.name}: {r.judge_batch([''], [row])[0].detail}" for r in rewards if hasattr(r, "judge_batch")]
        raise UnjudgedError(
            f"rewards · no completion could be judged in {step} steps · of row {row['id']}, {'; '.join(said)} · "
            "repair the reward or the rows"
        )
