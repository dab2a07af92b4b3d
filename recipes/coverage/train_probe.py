"""Train one probe model: one data set, one size, one seed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import Dataset, Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainingArguments

from ...data.cache import write_atomic
from ...data.compositional.generate import Rows, generate
from ...data.compositional.sequences import Target, to_sequences
from ...eval.coverage.scaling import shared_contexts
from ..run.run_folder import MetricsFile
from ..run.trainer_base import TrainerBase
from ..run.training import run_training, trainer_options
from .losses import PerpendicularGradients, answer_loss
from .measure import Examination, by_mechanism, examine
from .model import new_model, new_tokenizer
from .overview import task_of
from .states import analyse

if TYPE_CHECKING:
    from transformers import TrainerState

    from ..config.coverage import CoverageRecipe, Stop
    from ..config.loader import LoadedRecipe

RESULT = "result.json"


def train_probe(loaded: LoadedRecipe[CoverageRecipe], resume: bool = False) -> Path:
    """Train the model of a recipe with one size; its run folder gets the model and `result.json`."""
    return run_training(loaded, resume, build_trainer)


def build_trainer(loaded: LoadedRecipe[CoverageRecipe]) -> ProbeTrainer:
    """Data, model and trainer of a recipe with one size."""
    recipe, started = loaded.recipe, time.process_time()
    data, target = generate(task_of(recipe, recipe.data.rows[0])), recipe.data.target
    dataset = TensorRows(data.train, data.task.values, target)
    torch.set_flush_denormal(True)  # moments of weights that decay to 0 become denormals, slow on CPUs
    model = new_model(recipe.architecture, data.task.values, target, dataset.tokens.shape[1], recipe.seed)
    folder = Path(recipe.output_dir)
    callbacks: list[TrainerCallback] = [MetricsFile(folder), EarlyStop(recipe.stop)]
    if recipe.gradient == "perpendicular":
        callbacks.append(PerpendicularGradients())
    arguments = trainer_options(
        recipe,
        bf16=False,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        eval_strategy="steps",
        eval_steps=recipe.evaluate_every,
    )
    trainer = ProbeTrainer(
        examination=examine(data, target),
        model=model,
        args=TrainingArguments(**arguments),
        train_dataset=dataset,
        eval_dataset=dataset,  # the Trainer asks for one; `evaluate` reads the examination
        processing_class=new_tokenizer(data.task.values, target),
        data_collator=lambda batch: batch,
        compute_loss_func=answer_loss(recipe.loss),
        callbacks=callbacks,
    )
    trainer.add_callback(ResultFile(folder / RESULT, trainer, started))
    return trainer


class TensorRows(Dataset):
    """All sequences of a data set as two tensors; a batch is one lookup."""

    def __init__(self, rows: Rows, values: int, target: Target) -> None:
        sequences = to_sequences(rows, values, target)
        self.tokens, self.labels = torch.from_numpy(sequences.tokens), torch.from_numpy(sequences.labels)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.tokens[index], "labels": self.labels[index]}

    def __getitems__(self, indices: list[int]) -> dict[str, torch.Tensor]:
        chosen = torch.tensor(indices)
        return {"input_ids": self.tokens[chosen], "labels": self.labels[chosen]}


class Shuffles(Sampler[int]):
    """Every row once in random order, repeatedly, up to a given number of draws.

    One long epoch: all batches are full, and the Trainer does not set up hundreds of short epochs.
    """

    def __init__(self, rows: int, draws: int, seed: int) -> None:
        self.rows, self.draws, self.seed = rows, draws, seed

    def __len__(self) -> int:
        return self.draws

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed)
        left = self.draws
        while left > 0:
            order = torch.randperm(self.rows, generator=generator)[:left].tolist()
            left -= len(order)
            yield from order


class ProbeTrainer(TrainerBase, Trainer):
    """A Trainer whose evaluation is accuracy by type and k-cutoff; `options` are those of the Trainer."""

    control: TrainerControl

    def __init__(self, examination: Examination, **options: Any) -> None:
        self.examination = examination
        super().__init__(**options)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        rows = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return Shuffles(len(self.train_dataset), self.args.max_steps * rows, self.args.seed)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Log accuracies and let callbacks decide whether to stop."""
        metrics = self.examination.accuracies(self.examination.right(self.model))
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class EarlyStop(TrainerCallback):
    """Ends training once validation accuracy is high several times in a row.

    Validation rows are neither training nor test rows. The reference stops on its test rows, so its results are
    selected on them.
    """

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Read the last evaluations from the log, which checkpoints also hold."""
        logged = [line["accuracy/validation"] for line in state.log_history if "accuracy/validation" in line]
        last = logged[-self.stop.evaluations :]
        if len(last) == self.stop.evaluations and min(last) >= self.stop.accuracy:
            control.should_training_stop = True


class ResultFile(TrainerCallback):
    """Writes `result.json` at the end of training, before the model is saved: a folder with a model has a result.

    `started` is the CPU time of the process, in seconds, when it began with this model.
    """

    def __init__(self, file: Path, trainer: ProbeTrainer, started: float) -> None:
        self.file, self.trainer, self.started = file, trainer, started

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Evaluate the final model."""
        result = report(self.trainer) | {"cpu_seconds": round(time.process_time() - self.started, 1)}
        write_atomic(self.file, json.dumps(_without_nan(result)))


def report(trainer: ProbeTrainer) -> dict[str, Any]:
    """Plain data: the data set, what the final model gets right, and the analysis of its states."""
    examination, data = trainer.examination, trainer.examination.data
    right, hops = examination.right(trainer.model), data.task.program.hops
    contexts = shared_contexts(data.train.inputs, data.train.results[:, 0], hops[0]) if len(hops) > 1 else None
    return {
        "data": data.metadata(),
        "target": examination.target,
        "shared_contexts": contexts,
        "steps": trainer.state.global_step,
        "stopped": trainer.state.global_step < trainer.args.max_steps,
        "right": {name: [int(found.sum()), len(found)] for name, found in right.items()},
        "by_cutoff": {str(k): counts for k, counts in examination.by_cutoff(right).items()},
        "by_mechanism": by_mechanism(examination, right),
        "marginal_baseline": examination.marginal_baseline(),
        "states": analyse(trainer.model, examination),
    }


def _without_nan(value: Any) -> Any:
    """The same data with None for NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
