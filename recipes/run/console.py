"""What a command owes the terminal: quiet libraries, messages in place of tracebacks, exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..config import load_recipe
from ..config.dpo import DpoRecipe
from ..config.language.errors import RecipeError, is_rank_zero
from ..config.loader import LAUNCH
from ..config.pretrain import PretrainRecipe
from ..config.rlvr import RlvrRecipe
from ..config.sft import SftRecipe
from ..config.trainer_arguments import trainer_value
from .launching import first_to_say, rank_prefix

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
        if first_to_say(str(error)):
            print(f"{rank_prefix()}{error}", file=sys.stderr, flush=True)
        sys.exit(2)


def load_for_launch(name: str, overrides: Sequence[str]) -> LoadedRecipe[Any]:
    """Load a recipe with as many processes as this launch has, so that its checks are about the real number.

    Raises:
        RecipeError: The recipe names another number of processes, or its numbers do not fit this one.
    """
    world = int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else None
    loaded = load_recipe(name, overrides, world)
    recipe = loaded.recipe
    if world is None or not isinstance(recipe, RlvrRecipe | SftRecipe | DpoRecipe | PretrainRecipe):
        return loaded
    trainer, kind, written = recipe.trainer, recipe.kind, recipe.launch.processes
    rows = trainer_value(trainer, "per_device_train_batch_size", kind)
    rows *= trainer_value(trainer, "gradient_accumulation_steps", kind)
    if loaded.origins["launch.processes"] == LAUNCH and world > 1 and is_rank_zero():
        print(f"{loaded.name}: {world} processes · a step has {rows * world} rows instead of {rows}")
    if written == world:
        return loaded
    scaled = {"gradient_accumulation_steps", *trainer} & {"gradient_accumulation_steps", "steps_per_generation"}
    steps = {field: trainer_value(trainer, field, kind) * written / world for field in sorted(scaled)}
    same = " ".join(f"trainer.{field}={count:.0f}" for field, count in steps.items())
    keep = f" {same} (the same batch)" if all(count.is_integer() for count in steps.values()) else ""
    raise RecipeError(
        f"launch.processes · {written} in the recipe, {world} in this launch · a step would have {rows * world} rows "
        f"instead of {rows * written} · start {written} processes, or add launch.processes={world}{keep}"
    )


def train_module(run: Callable[[LoadedRecipe[Any], bool], object]) -> None:
    """`python -m` on the module of a family: RECIPE KEY=VALUE ... [--resume], also under `accelerate launch`."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
    if not arguments:
        sys.exit("usage: RECIPE [KEY=VALUE]... [--resume]")
    guarded(lambda: run(load_for_launch(arguments[0], arguments[1:]), "--resume" in sys.argv))


def _is_for_the_user(error: Exception) -> bool:
    """Errors of the file system, and the error classes of this package, which name a way out."""
    return isinstance(error, OSError) or type(error).__module__.startswith("quince.")
