"""The settings of an evaluation, out of its recipe: what decides its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...eval.measure.settings import Settings, sha256_of
from .fingerprint import weights_fingerprint

if TYPE_CHECKING:
    from ..config.loaded import Evaluation


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
        model_fingerprint=weights_fingerprint(recipe.model),
        dtype=recipe.model.dtype,
        engine=recipe.engine.kind,
        engine_version=engine_version(made_on["packages"], recipe.engine.kind),
        template_sha256=sha256_of(tokenizer.chat_template)[:16],
        made_on=made_on,
        **suite,
    )


def engine_version(packages: dict[str, str], kind: str) -> str:
    """The version of an engine's package."""
    return next((packages[name] for name in (kind, f"{kind}-cpu") if name in packages), "unknown")
