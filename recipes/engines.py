"""Engines for the `model:` and `engine:` sections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..eval.engines import load_engine
from .models import best_device, load_policy, model_path

if TYPE_CHECKING:
    from ..eval.engines.base import Engine
    from .config.model import Model


def build_engine(model: Model, engine: Any, tokenizer: Any) -> Engine:
    """An engine for the policy a recipe names.

    With transformers the weights are loaded exactly as training loads them, so that both agree bit for bit.
    """
    options = engine.model_dump(exclude={"kind"})
    if engine.kind == "transformers":
        from ..eval.engines.transformers import TransformersEngine

        return TransformersEngine(load_policy(model).to(best_device()), tokenizer, **options)
    return load_engine(engine.kind, model_path(model.id), revision=model.revision, dtype=model.dtype, **options)
