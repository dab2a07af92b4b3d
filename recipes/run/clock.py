"""Where the seconds of a training step go, for every trainer: `seconds/<phase>` in the log, and one line at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from transformers import TrainerCallback

OTHER = "other"  # seconds in no phase: callbacks, the log, and what the training loop itself does


class Clock:
    """Seconds by phase. Each belongs to the innermost phase that is open, so that phases add up to the whole.

    Args:
        phases: Those that are shown from the first step on, with 0 until they happen; others appear when they do.
        settle: Called where one phase turns into another; on an accelerator it waits for the work that is queued.
    """

    def __init__(self, phases: tuple[str, ...] = (), settle: Callable[[], None] = lambda: None) -> None:
        self.phases, self.settle = phases, settle
        self.seconds: Counter[str] = Counter()  # since the last reading
        self.total: Counter[str] = Counter()  # before the last reading
        self.steps = self.total_steps = 0
        self._open = [OTHER]
        self._since = time.perf_counter()

    def start(self) -> None:
        """Forget what came before the first step."""
        self.seconds.clear()
        self.steps = 0
        self._since = time.perf_counter()

    def begin(self, phase: str) -> None:
        """Open a phase within the one that is open."""
        self._turn()
        self._open.append(phase)

    def end(self) -> None:
        """Close the innermost phase."""
        self._turn()
        self._open.pop()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Open a phase for the time of a block; also decorates a function."""
        self.begin(name)
        try:
            yield
        finally:
            self.end()

    def read(self) -> dict[str, float]:
        """Mean seconds of a step since the last reading, by phase and together, under their names in the log."""
        self._turn()
        names = dict.fromkeys((*self.phases, *self.seconds, OTHER))
        seconds = {name: self.seconds[name] / max(self.steps, 1) for name in names}
        self.total += self.seconds
        self.total_steps += self.steps
        self.seconds.clear()
        self.steps = 0
        return {f"seconds/{name}": value for name, value in seconds.items()} | {"seconds/step": sum(seconds.values())}

    def summary(self) -> str:
        """One line: steps, their mean seconds, and the share of each phase."""
        total = self.total + self.seconds
        steps, whole = max(self.total_steps + self.steps, 1), max(total.total(), 1e-9)
        shares = [f"{name} {seconds / whole:.0%}" for name, seconds in total.most_common() if seconds >= whole / 200]
        return f"{steps} steps of {whole / steps:.3g} s: {', '.join(shares)}"

    def _turn(self) -> None:
        self.settle()
        now = time.perf_counter()
        self.seconds[self._open[-1]] += now - self._since  # type: ignore[assignment]  # seconds are no counts
        self._since = now


class TimesUpdates(TrainerCallback):
    """Tells a clock of the optimizer's turn and of the end of a step."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Begin at the first step."""
        self.clock.start()

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """The gradient is there."""
        self.clock.begin("update")

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """The weights have moved."""
        self.clock.end()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Count the step."""
        self.clock.steps += 1
