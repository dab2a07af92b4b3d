"""What a command owes the terminal: quiet libraries, messages in place of tracebacks, exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..config import load_recipe
from ..config.language.errors import is_rank_zero

if TYPE_CHECKING:
    from ..config.loader import LoadedRecipe

ENVIRONMENT = {
    # What libraries would report to their makers is switched off.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    # Idle OpenMP threads sleep: spinning ones make a busy laptop ten times slower.
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""Read by libraries when they are imported; what the user set stays."""


def guarded(command: Callable[[], object]) -> None:
    """Run a command; what a user can put right is a message and exit code 2, not a traceback."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        command()
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, RuntimeError, OSError) as error:
        if not _is_for_the_user(error):
            raise
        if is_rank_zero():
            print(error, file=sys.stderr)
        sys.exit(2)


def train_module(run: Callable[[LoadedRecipe[Any], bool], object]) -> None:
    """`python -m` on the module of a family: RECIPE KEY=VALUE ... [--resume], also under `accelerate launch`."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
    if not arguments:
        sys.exit("usage: RECIPE [KEY=VALUE]... [--resume]")
    guarded(lambda: run(load_recipe(arguments[0], arguments[1:]), "--resume" in sys.argv))


def _is_for_the_user(error: Exception) -> bool:
    """Errors of the file system, and the error classes of this package, which name a way out."""
    return isinstance(error, OSError) or type(error).__module__.startswith("quince.")
