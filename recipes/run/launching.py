"""Training with several processes: the same command again, under `accelerate launch`."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ..config.language.library import accelerate_config

if TYPE_CHECKING:
    from argparse import Namespace
    from types import FrameType

    from ..config.loaded import LoadedRecipe, Training
    from ..config.model import Launch

_MESSAGES = "QUINCE_MESSAGES"
"""Environment variable: the folder in which the processes of a launch on one machine note what they have said."""

# Without a file: torchrun on this machine; where there is no GPU, gloo between CPU processes.
_PLAIN = ["--multi_gpu", "--num_machines", "1", "--dynamo_backend", "no", "--mixed_precision", "no"]


def launch_command(launch: Launch, arguments: Sequence[str]) -> list[str]:
    """The command that starts all processes with what follows `quince train`; empty if this process trains itself."""
    if launch.processes == 1 or "LOCAL_RANK" in os.environ:
        return []
    command = ["accelerate", "launch", "--num_processes", str(launch.processes)]
    config = launch.accelerate_config and accelerate_config(launch.accelerate_config)
    command += ["--config_file", str(config)] if config else _PLAIN
    return [*command, "-m", "quince.recipes.cli", "train", *arguments]


def rank_prefix() -> str:
    """`[rank 1 of 8] ` where several processes train together."""
    world = os.environ.get("WORLD_SIZE", "1")
    return f"[rank {os.environ.get('RANK', '0')} of {world}] " if world != "1" else ""


def first_to_say(message: str) -> bool:
    """Whether no other process of this launch has printed a message; always true without our launcher."""
    folder = os.environ.get(_MESSAGES)
    if not folder:
        return True
    try:
        (Path(folder) / hashlib.sha256(message.encode()).hexdigest()).touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        pass  # better twice than not at all
    return True


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

    Accelerate alone ends with code 1, and gives them 30 seconds to save before it kills them.
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
    with tempfile.TemporaryDirectory(prefix="quince-") as messages:
        os.environ[_MESSAGES] = messages
        try:
            launch(arguments)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            code = failure.exitcode if failure.exitcode >= 0 else 128 - failure.exitcode  # as a shell gives it
            if code not in EXIT_CODES.values():
                killed = f" ({signal.Signals(-failure.exitcode).name})" if failure.exitcode < 0 else ""
                print(f"the process of rank {rank} failed first · exit code {code}{killed}", file=sys.stderr)
            sys.exit(code)


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
