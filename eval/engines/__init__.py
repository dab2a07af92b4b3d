"""Engines: models that sample completions and score given ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base import Completion, EngineError, Sampling

if TYPE_CHECKING:
    from .base import Engine

__all__ = ["ENGINES", "Completion", "EngineError", "Sampling", "load_engine"]

ENGINES = {"transformers": ".transformers:TransformersEngine", "vllm": ".vllm:VllmEngine"}


def load_engine(kind: str, model_path: str | Path, **options: Any) -> Engine:
    """Load a model folder or hub id into an engine, a key of `ENGINES`; options are those of its `load`.

    Raises:
        EngineError: The kind is unknown, or its package is not installed.
    """
    from importlib import import_module

    if kind not in ENGINES:
        raise EngineError(f"engine.kind: there is no engine {kind!r}; choose one of {', '.join(ENGINES)}")
    module, _, name = ENGINES[kind].partition(":")
    try:
        engine = getattr(import_module(module, __package__), name)
        return engine.load(model_path, **options)
    except ModuleNotFoundError as error:
        raise EngineError(
            f"engine.kind: {kind!r} needs the package {error.name!r}, which is not installed; "
            f"install quince[{'vllm' if kind == 'vllm' else 'train'}]"
        ) from error
