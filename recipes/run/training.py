"""What runs on TRL's trainers share: the run folder around a trainer, from the first check to the saved model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...data.cache import one_writer
from ..config.language.errors import RecipeError, is_rank_zero

if TYPE_CHECKING:
    import torch
    from transformers import Trainer

    from ..config.loaded import LoadedRecipe, Training

T = TypeVar("T", bound="Training")


def run_training(loaded: LoadedRecipe[T], resume: bool, build: Callable[[LoadedRecipe[T]], Trainer]) -> Path:
    """Train and return the run folder; a finished run of the same recipe is left as it is.

    Args:
        loaded: The recipe.
        resume: Continue from the newest whole checkpoint of the run folder.
        build: Makes the trainer, after the run folder is there.

    Raises:
        CheckpointError: `resume` without a whole checkpoint.
        DiskFullError: A checkpoint would not fit.
        FileError: Another process trains into the folder.
        RecipeError: The recipe needs a library that is not installed.
        Stopped: SIGTERM or SIGINT came; a whole checkpoint is there.
    """
    from ..parts.rendezvous import stay_local
    from .progress import quiet_libraries

    check_installed(loaded.recipe)
    stay_local(loaded.recipe)
    quiet_libraries()
    folder = Path(loaded.recipe.output_dir)
    with one_writer(folder) if is_rank_zero() else nullcontext():
        return _run_in(folder, loaded, resume, build)


def _run_in(folder: Path, loaded: LoadedRecipe, resume: bool, build: Callable[[LoadedRecipe], Trainer]) -> Path:
    from .checkpoints import newest_whole_checkpoint, set_aside
    from .report import write_report
    from .run_folder import MODEL_FOLDER, is_finished, open_run_folder

    if is_finished(loaded):
        print(f"{folder} is finished; delete it to train again")
        return folder
    checkpoint = str(newest_whole_checkpoint(folder)) if resume else None
    if not resume and is_rank_zero():
        set_aside(folder)
    open_run_folder(loaded)
    trainer = build(loaded)
    require_gathering(trainer)
    dtype = trainer.model.dtype
    train(trainer, loaded.name, checkpoint)
    save_final(trainer, folder / MODEL_FOLDER, loaded, dtype)
    if is_rank_zero():
        write_report(folder)
    return folder


def train(trainer: Any, title: str, checkpoint: str | None) -> None:
    """Train under a bar, listening to signals; then say in one line where the time went."""
    from .checkpoints import require_space
    from .progress import shown
    from .stopping import StopsOnSignal

    require_space(trainer)
    stops = StopsOnSignal()
    trainer.add_callback(stops)
    with shown(trainer, title), stops.listening():
        trainer.train(resume_from_checkpoint=checkpoint)
    if is_rank_zero():
        print(trainer.clock.summary())


def check_installed(recipe: Any) -> None:
    """Name what is missing before data and weights are read.

    Raises:
        RecipeError: 4-bit weights or an 8-bit optimizer without bitsandbytes, Liger's kernels without its package.
    """
    optimizer = recipe.trainer.get("optim", "")
    wanted = ["model.adapter.kind: qlora"] if adapter_of(recipe, "kind") == "qlora" else []
    wanted += [f"trainer.optim: {optimizer}"] if optimizer.endswith("8bit") or "bnb" in optimizer else []
    if wanted and find_spec("bitsandbytes") is None:
        raise RecipeError(f"{', '.join(wanted)} · bitsandbytes is not installed · pip install 'quince[qlora]'")
    if recipe.trainer.get("use_liger_kernel") and find_spec("liger_kernel") is None:
        raise RecipeError("trainer.use_liger_kernel · liger-kernel is not installed · pip install liger-kernel")


def require_gathering(trainer: Any) -> None:
    """Refuse ZeRO-3 without the option by which its shards become a model.

    Raises:
        RecipeError: The run would end without one.
    """
    plugin = trainer.accelerator.state.deepspeed_plugin if trainer.is_deepspeed_enabled else None
    zero = plugin.deepspeed_config["zero_optimization"] if plugin else {}
    if zero.get("stage") == 3 and not zero.get("stage3_gather_16bit_weights_on_model_save"):
        raise RecipeError(
            "launch.accelerate_config · ZeRO-3 without zero3_save_16bit_model · the run would end without a model"
            " · zero3_save_16bit_model: true, as in the shipped zero3"
        )


def adapter_of(recipe: Any, field: str) -> Any:
    """A field of the recipe's adapter; None where models are made from scratch."""
    return getattr(getattr(getattr(recipe, "model", None), "adapter", None), field, None)


def save_final(trainer: Any, folder: Path, loaded: LoadedRecipe[Training], dtype: torch.dtype) -> None:
    """Save the trained model with its card, aside first, so that a model folder is always whole; on every process.

    FSDP trains all weights in float32; they are saved in the `dtype` in which they were loaded.
    """
    from ..parts.models import merge_adapter
    from .cards import write_card

    trainer.require_finite_weights()
    staged, main = folder.with_name(folder.name + ".partial"), trainer.is_world_process_zero()
    save_whole(trainer, staged, main, dtype if adapter_of(loaded.recipe, "kind") in (None, "none") else None)
    if main:
        if adapter_of(loaded.recipe, "merge"):
            merge_adapter(getattr(loaded.recipe, "model"), staged)  # noqa: B009 - a recipe with an adapter has a model
        write_card(staged, loaded)
        shutil.rmtree(folder, ignore_errors=True)
        staged.rename(folder)


def save_whole(trainer: Any, folder: Path, main: bool, dtype: torch.dtype | None = None) -> None:
    """Save the whole model into an emptied folder; called on every process, with whether it is the main one."""
    if main:
        shutil.rmtree(folder, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    if not getattr(trainer, "is_fsdp_enabled", False):
        trainer.save_model(str(folder))
        if main:
            (folder / "training_args.bin").unlink(missing_ok=True)
        return
    model = trainer.model if dtype is None else trainer.model.to(dtype)
    weights = trainer.accelerator.get_state_dict(model)
    if main:
        for tied in model.all_tied_weights_keys:  # a gathered copy of what is there under another name
            weights.pop(tied, None)
        model.save_pretrained(folder, state_dict=weights)
        trainer.processing_class.save_pretrained(folder)


def trainer_options(recipe: Any, **own: Any) -> dict[str, Any]:
    """Arguments of the trainer's configuration; what a family sets wins over what is shared, the recipe over both."""
    import torch

    return {
        "output_dir": recipe.output_dir,
        "seed": recipe.seed,
        "report_to": "none",
        "logging_nan_inf_filter": False,
        "bf16": torch.cuda.is_available(),
        "use_cpu": not torch.cuda.is_available(),
        **own,
        **recipe.trainer,
    }
