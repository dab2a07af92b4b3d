"""A run that is told to end: a whole checkpoint first, then an exit code of its own."""

from __future__ import annotations

import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import TrainerCallback

if TYPE_CHECKING:
    from types import FrameType

    from transformers import TrainerControl, TrainerState, TrainingArguments

EXIT_CODES = {signal.SIGTERM: 75, signal.SIGINT: 130}
"""75 is EX_TEMPFAIL of sysexits.h, "try again": a checkpoint is there, the same command with --resume goes on."""


class Stopped(SystemExit):
    """Training ended because a signal asked for it, and can be resumed."""


class StopsOnSignal(TrainerCallback):
    """Ends training after the micro-batch at hand when any process has received SIGTERM or SIGINT.

    In the middle of an optimizer step the checkpoint is that of the step before: the micro-batches done are dropped,
    and random states and counts are put back to where the step began, so that a resumed run does it again alike. An
    evaluation that is due at that very step comes before the checkpoint, as it would without a signal.
    """

    def __init__(self) -> None:
        self.received = 0  # the signal this process has got
        self.agreed = 0  # the signal that all processes act upon
        self._put_back: Callable[[], None] = lambda: None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals for the time of a block; a second Ctrl-C ends the process at once."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread gets signals
            return
        before = {number: signal.signal(number, self._receive) for number in EXIT_CODES}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == self.received == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Remember where the step began."""
        if args.gradient_accumulation_steps > 1:
            self._put_back = remember(state)

    def on_substep_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Leave the step undone."""
        if self._agree(args):
            self._put_back()
            control.should_training_stop = True

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Save only: a step that is half done is not for the log, and the run is not at its end."""
        if self.agreed:
            control.should_save = True
            control.should_log = control.should_evaluate = control.should_training_stop = False

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Save at the end of the step."""
        if self._agree(args):
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Leave once the checkpoint is there.

        Raises:
            Stopped: With the exit code.
        """
        if self.agreed:
            name = signal.Signals(self.agreed).name
            if state.is_world_process_zero:
                where = f"{args.output_dir}/checkpoint-{state.global_step}"
                print(f"{name} · stopped · {where} is whole · the same command with --resume goes on", file=sys.stderr)
            raise Stopped(EXIT_CODES[signal.Signals(self.agreed)])

    def _agree(self, args: TrainingArguments) -> int:
        self.agreed = self.received
        if args.world_size > 1:
            highest = torch.tensor(self.received, device=args.device)
            torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX)
            self.agreed = int(highest)
        return self.agreed


def remember(state: TrainerState) -> Callable[[], None]:
    """What puts random states and the count of tokens back to what they are now."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    tokens = state.num_input_tokens_seen

    def put_back() -> None:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if devices:
            torch.cuda.set_rng_state_all(devices)
        state.num_input_tokens_seen = tokens

    return put_back
