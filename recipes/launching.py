"""Training with several processes: the same command again, under `accelerate launch`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from .config.library import accelerate_config

if TYPE_CHECKING:
    from types import FrameType

    from .config import LoadedRecipe
    from .config.model import Launch


# Without a file: torchrun on this machine; where there is no GPU, gloo between CPU processes.
_PLAIN = ["--multi_gpu", "--num_machines", "1", "--dynamo_backend", "no", "--mixed_precision", "no"]


def launch_command(launch: Launch, arguments: Sequence[str]) -> list[str]:
    """The command that starts all processes; empty if this process should train itself.

    Args:
        launch: The recipe's `launch:` section.
        arguments: What follows `quince train`.
    """
    if launch.processes == 1 or "LOCAL_RANK" in os.environ:
        return []
    command = ["accelerate", "launch", "--num_processes", str(launch.processes)]
    config = launch.accelerate_config and accelerate_config(launch.accelerate_config)
    command += ["--config_file", str(config)] if config else _PLAIN
    return [*command, "-m", "quince.recipes.cli", "train", *arguments]


def run_launched(loaded: LoadedRecipe, command: Sequence[str], arguments: Sequence[str]) -> NoReturn:
    """Make the split in one process if it is missing, then become the launcher."""
    if getattr(loaded.recipe, "split", None) is not None:
        overrides = [argument for argument in arguments if argument != "--resume"]
        # A process of its own, so that the sampling engine's memory is free again for training.
        done = subprocess.run([sys.executable, "-m", "quince.recipes.cli", "split", *overrides], check=False)
        if done.returncode:
            sys.exit(done.returncode)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", __name__, *command[2:]])


def main() -> None:
    """`accelerate launch`, with signals left to the processes it starts, whose exit code becomes its own.

    By itself it ends with code 1, and gives them 30 seconds to save before it kills them.
    """
    from accelerate.commands.launch import main as launch
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from .stopping import EXIT_CODES

    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = "SIGHUP"
    for number in EXIT_CODES:
        signal.signal(number, pass_on)
    try:
        launch()
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        if failure.exitcode in EXIT_CODES.values():
            sys.exit(failure.exitcode)
        raise


def pass_on(number: int, frame: FrameType | None) -> None:
    """Hand a signal to the processes that train, which are in sessions of their own."""
    import psutil

    for child in psutil.Process().children():
        child.send_signal(number)


if __name__ == "__main__":
    main()
