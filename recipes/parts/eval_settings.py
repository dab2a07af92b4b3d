"""The settings of an evaluation, out of its recipe: what decides its answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...eval.measure.settings import Settings, sha256_of
from .fingerprint import files_fingerprint
from .models import model_path

if TYPE_CHECKING:
    from ..config.loaded import Evaluation
    from ..config.model import Model


def make_settings(recipe: Evaluation, tokenizer: Any, made_on: dict[str, Any], **suite: Any) -> Settings:
    """Return the settings of one suite.

    Args:
        recipe: Its model and engine.
        tokenizer: Of the model.
        made_on: Versions and hardware, see `run_folder.environment`.
        **suite: The other fields of `Settings`: name, sampling, judge and rows.
    """
    return Settings(
        model=recipe.model.id,
        revision=recipe.model.revision,
        model_fingerprint=fingerprint(recipe.model),
        dtype=recipe.model.dtype,
        engine=recipe.engine.kind,
        engine_version=engine_version(made_on["packages"], recipe.engine.kind),
        template_sha256=sha256_of(tokenizer.chat_template)[:16],
        made_on=made_on,
        **suite,
    )


def fingerprint(model: Model) -> str | None:
    """The hash of a local model's weights; None of one on the Hub, which its revision tells apart."""
    path = Path(model_path(model.id))
    return files_fingerprint(path) if path.is_dir() else None


def engine_version(packages: dict[str, str], kind: str) -> str:
    """The version of an engine's package."""
    return next((packages[name] for name in (kind, f"{kind}-cpu") if name in packages), "unknown")
