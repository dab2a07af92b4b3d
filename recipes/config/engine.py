"""The `engine:` section: what generates and scores."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .language.section import Positive, Section


class TransformersEngine(Section):
    """Generation with transformers in this process."""

    kind: Literal["transformers"]
    batch_tokens: Positive = 65_536
    """Prompt and answer tokens decoded together."""


class VllmEngine(Section):
    """Generation with vLLM in this process; every GPU that `tensor_parallel_size` asks for."""

    kind: Literal["vllm"]
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1)
    max_model_len: Positive | None = None
    tensor_parallel_size: Positive = 1


Engine = Annotated[TransformersEngine | VllmEngine, Field(discriminator="kind")]
