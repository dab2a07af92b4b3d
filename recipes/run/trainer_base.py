"""What every trainer of this package has beside what its library gives it.

Whole checkpoints: the Trainer writes straight into `checkpoint-N` and takes the highest number as the latest, so that a
kill while saving leaves a folder it would load. Finite numbers: the Trainer logs a NaN loss as 0, runs on and saves
what is left of the weights. And the seconds of a step in the log.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from .checkpoints import STAGING, DiskFullError, checkpoint_bytes, full_message, is_full, publish

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


if TYPE_CHECKING:
    from transformers import Trainer as _Base
else:
    _Base = object


class NotFiniteError(RuntimeError):
    """A loss, a gradient or a weight is infinite or no number."""


class TrainerBase(_Base):
    """Mixin for a `Trainer`.

    A checkpoint appears by one rename, after all its files are written. All processes stop together at the first loss,
    gradient or weight that is not finite. Mean seconds of an optimizer step are logged by phase: a checkpoint and an
    evaluation come after the log of their step and count in the next, and waiting for other processes counts in the
    phase that waits.
    """

    phases: tuple[str, ...] = ("data", "forward_backward", "update")
    within_step = "forward_backward"
    """The phase of a micro-batch outside the phases of its own."""
    _saved = -1  # step of the last checkpoint
    _bad_loss: Tensor | bool = False  # of the step so far

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.clock = Clock(self.phases, torch.cuda.synchronize if torch.cuda.is_available() else lambda: None)
        super().__init__(*args, **kwargs)
        self.add_callback(TimesUpdates(self.clock))
        if self.args.device.type == "cpu":
            # Among several CPU processes Accelerate names the device "cpu:0", which torch.load cannot map to.
            self.args.__dict__["_setup_devices"] = torch.device("cpu")

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Read the micro-batches of a step."""
        with self.clock.phase("data"):
            return super().get_batch_samples(*args, **kwargs)

    def _prepare_inputs(self, inputs: Any) -> Any:
        with self.clock.phase("data"):
            return super()._prepare_inputs(inputs)

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """Forward and backward pass of a micro-batch; its loss is looked at with the gradient, once a step."""
        with self.clock.phase(self.within_step):
            loss = super().training_step(*args, **kwargs)
        self._bad_loss = self._bad_loss | ~torch.isfinite(loss)
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """The gradient's norm, asked for before every step of the optimizer."""
        norm = super()._get_grad_norm(model, grad_norm)
        # In float16 the gradient scaler passes over steps that overflow, and lowers its scale.
        looked_at = norm is not None and self.accelerator.scaler is None
        bad_gradient = looked_at and not torch.isfinite(torch.as_tensor(float(norm)))
        self._require_none(self.state.global_step + 1, loss=self._bad_loss, gradient=bad_gradient)
        self._bad_loss = False
        return norm

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Measure on held-out rows."""
        with self.clock.phase("evaluate"):
            return super().evaluate(*args, **kwargs)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log, with the seconds if these are the numbers of training steps."""
        super().log(logs | self.clock.read() if "loss" in logs else logs, *args, **kwargs)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # Resumed from its last checkpoint, a run that was done would do one step more.
        flags = self.state.stateful_callbacks.get("TrainerControl", {}).get("args", {})
        stopped = self.args.restore_callback_states_from_checkpoint and flags.get("should_training_stop")
        if stopped or self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
        else:
            with self.clock.phase(OTHER):  # so that what follows the last phase of an epoch counts as well
                super()._run_epoch(*args, **kwargs)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self._saved == self.state.global_step:
            return
        with self.clock.phase("save"):
            self.require_finite_weights()
            folder, name = Path(self.args.output_dir), f"checkpoint-{self.state.global_step}"
            self._once(lambda: shutil.rmtree(folder / STAGING, ignore_errors=True))
            try:
                self.args.output_dir = str(folder / STAGING)
                super()._save_checkpoint(model, trial)
                self.save_extra_state(folder / STAGING / name)
            except Exception as error:
                shutil.rmtree(folder / STAGING, ignore_errors=True)
                if is_full(error, folder, needed := checkpoint_bytes(self)):
                    raise DiskFullError(full_message(folder, name, needed)) from error
                raise
            finally:
                self.args.output_dir = str(folder)
            self.accelerator.wait_for_everyone()
            if self.state.best_global_step == self.state.global_step:
                self.state.best_model_checkpoint = str(folder / name)  # not where it was written
                self._once(lambda: self.state.save_to_json(str(folder / STAGING / name / "trainer_state.json")))
            best = self.state.best_model_checkpoint
            self._once(lambda: publish(folder, name, self.args.save_total_limit, best))
            self._saved = self.state.global_step

    def save_extra_state(self, folder: Path) -> None:
        """Add what a subclass needs to resume exactly; called on every process."""

    def require_finite_weights(self) -> None:
        """Stop rather than save weights that are not finite: a finite step can still overflow them.

        Raises:
            NotFiniteError: On every process, if one holds such weights.
        """
        parts = (getattr(weight, "to_local", lambda same=weight: same)() for weight in self.model.parameters())
        bad = not all(bool(part.detach().isfinite().all()) for part in parts)
        self._require_none(self.state.global_step, weights=bad)

    def _require_none(self, step: int, **bad: Tensor | bool) -> None:
        """Raise if something is bad on any process."""
        flags = torch.tensor([bool(flag) for flag in bad.values()], dtype=torch.float32, device=self.accelerator.device)
        found = [name for name, count in zip(bad, self.accelerator.reduce(flags).tolist(), strict=True) if count]
        if found:
            verb = "are" if found == ["weights"] else "is"
            raise NotFiniteError(
                f"{self.args.output_dir} · step {step} · {' and '.join(found)} {verb} not finite"
                " · nothing of it was saved · lower trainer.learning_rate or trainer.max_grad_norm and start again,"
                " or look at the rows of this step and go on with --resume"
            )

    def _once(self, action: Any) -> None:
        """Have the main process do something, and the others wait for it."""
        if self.is_world_process_zero():
            action()
        self.accelerator.wait_for_everyone()
