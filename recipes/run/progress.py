"""One progress bar with an ETA and the few numbers one watches, in place of the Trainer's dictionaries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

if TYPE_CHECKING:
    from transformers import Trainer, TrainerState

WATCHED = {"reward": "reward", "loss": "loss", "divergence/rehearsal": "rehearsal", "divergence/rollouts": "divergence"}
"""Logged names and what the bar calls them."""


def quiet_libraries() -> None:
    """Leave out the bars for loading and writing weights."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def new_bar(console: Console, counted: str = "", *more: TextColumn) -> Progress:
    """A bar with the count (of what is `counted`), the time it took and the time left, and `more` columns."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *([TextColumn(counted)] if counted else []),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        *more,
        console=console,
    )


@contextmanager
def shown(trainer: Trainer, title: str) -> Iterator[None]:
    """Our bar in place of the Trainer's own output for the time of a block; with `disable_tqdm` there is none."""
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)
    bar = Bar(title)
    if not trainer.args.disable_tqdm:
        trainer.add_callback(bar)
    try:
        yield
    finally:
        bar.progress.stop()  # however training ended, the terminal gets its cursor back


class Bar(TrainerCallback):
    """The bar, on the main process only."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.progress = new_bar(Console(stderr=True), "", TextColumn("{task.fields[numbers]}"))
        self.task: Any = None

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Start at the step that a resumed run starts from."""
        if state.is_world_process_zero:
            self.progress.start()
            done, steps = state.global_step, state.max_steps
            self.task = self.progress.add_task(self.title, total=steps, completed=done, numbers="")

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Advance."""
        if self.task is not None:
            self.progress.update(self.task, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float], **_: Any) -> None:
        """Show the watched numbers."""
        found = [f"{name} {value:.3f}" for key, name in WATCHED.items() if (value := logs.get(key)) is not None]
        if self.task is not None and found:
            self.progress.update(self.task, numbers="  ".join(found))
