"""Training with several processes: the same command again, under `accelerate launch`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from ..config.language.library import accelerate_config

if TYPE_CHECKING:
    from argparse import Namespace
    from types import FrameType

    from ..config.loaded import LoadedRecipe, Training
    from ..config.model import Launch


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


def run_launched(loaded: LoadedRecipe[Training], command: Sequence[str], arguments: Sequence[str]) -> NoReturn:
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
    from accelerate.commands.launch import launch_command as launch
    from accelerate.commands.launch import launch_command_parser
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from .stopping import EXIT_CODES

    arguments = launch_command_parser().parse_args()
    if machines(arguments) == 1:
        stay_on_this_machine(arguments)
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = "SIGHUP"
    for number in EXIT_CODES:
        signal.signal(number, pass_on)
    try:
        launch(arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        if failure.exitcode in EXIT_CODES.values():
            sys.exit(failure.exitcode)
        raise


def machines(arguments: Namespace) -> int:
    """How many machines train together, by the command line or its file."""
    from accelerate.commands.config.config_args import default_config_file, load_config_from_file

    if arguments.num_machines is not None:
        return arguments.num_machines
    file = arguments.config_file or (os.path.isfile(default_config_file) and default_config_file)
    return load_config_from_file(file).num_machines if file else 1


def stay_on_this_machine(arguments: Namespace) -> None:
    """Let the processes meet at a free port of the loopback interface; several trainings do not meet each other."""
    from torch.distributed.elastic.rendezvous import rendezvous_handler_registry

    from ..parts import rendezvous

    rendezvous_handler_registry.register(rendezvous.BACKEND, rendezvous.create)
    arguments.rdzv_backend = rendezvous.BACKEND
    arguments.rdzv_endpoint = rendezvous.LOOPBACK
    arguments.main_process_port = 0  # accelerate looks whether the default port is free


def pass_on(number: int, frame: FrameType | None) -> None:
    """Hand a signal to the processes that train, which are in sessions of their own."""
    import psutil

    for child in psutil.Process().children():
        child.send_signal(number)


if __name__ == "__main__":
    main()
