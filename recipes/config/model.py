"""The sections `model:`, `engine:`, `optimizer:` and `launch:`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from ...data.chat.renderer import shipped_templates, template_file
from ...data.options import Positive, PositiveFloat
from .language.errors import Conflict
from .language.library import accelerate_config
from .language.section import Section


class NoAdapter(Section):
    """Train all weights."""

    kind: Literal["none"] = "none"


class LoraAdapter(Section):
    """Train low-rank updates of the linear layers (hf.co/papers/2106.09685)."""

    kind: Literal["lora", "qlora"]
    """`qlora` holds the other weights in 4 bits (hf.co/papers/2305.14314)."""
    rank: Positive = 32
    alpha: PositiveFloat = 64.0
    """The update is scaled by alpha / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Above 0 the policy's log-probs at step 0 differ from the stored ones."""
    target_modules: str | list[str] = "all-linear"
    merge: bool = False
    """Save the whole model with the updates added to its weights, ready to serve; false saves the updates alone."""


Adapter = Annotated[NoAdapter | LoraAdapter, Field(discriminator="kind")]


class Model(Section):
    """A causal language model and its tokenizer."""

    id: str
    """`tiny` (the model shipped with Quince), a local folder, or a name on the Hugging Face Hub."""
    revision: str | None = None
    """Commit, branch or tag on the Hub; pin it for a result that others can repeat."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto` takes the precision the checkpoint was saved in."""
    attn_implementation: Literal["eager", "sdpa", "flash_attention_2", "flash_attention_3"] | None = None
    """Null lets transformers choose."""
    adapter: Adapter = NoAdapter()
    chat_template: str | None = None
    """Replaces the tokenizer's chat template: a Jinja file, or the name of a shipped one (`hermes_signatures`)."""

    def conflicts(self, field: str = "model") -> Iterator[Conflict]:
        """A chat template that is not there."""
        if self.chat_template is not None and template_file(self.chat_template) is None:
            allowed = f"a Jinja file, or one of {', '.join(shipped_templates())}"
            yield Conflict((f"{field}.chat_template",), f"no such file {self.chat_template!r}", allowed)


class Launch(Section):
    """How many processes train together; one GPU each, or CPU processes over gloo."""

    processes: Positive = 1
    accelerate_config: str | None = None
    """A file for `accelerate launch --config_file`: a path, or a name in the library's `_accelerate`."""

    def conflicts(self) -> Iterator[Conflict]:
        """A configuration that is not there."""
        config = self.accelerate_config
        if config is not None and accelerate_config(config) is None:
            yield Conflict(("launch.accelerate_config",), f"no such file {config!r}", "a path, or a shipped name")

    def optimizer_conflicts(self, optimizer: Optimizer) -> Iterator[Conflict]:
        """An optimizer of whole matrices with weights in shards."""
        if optimizer.kind == "muon" and self.accelerate_config in ("fsdp2", "zero2", "zero3"):
            found = f"`muon`, which takes whole matrices, with shards by `{self.accelerate_config}`"
            yield Conflict(("optimizer.kind", "launch.accelerate_config"), found, "optimizer: {kind: adamw}, or ddp")


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


class AdamW(Section):
    """The optimizer that `trainer.optim` names, AdamW unless it is set."""

    kind: Literal["adamw"] = "adamw"


class Muon(Section):
    """Muon for the layers' weight matrices, AdamW for the rest; fewer steps for small models."""

    kind: Literal["muon"]
    learning_rate: PositiveFloat = 0.02
    """Of the matrices that Muon trains; AdamW's is `trainer.learning_rate`."""


Optimizer = Annotated[AdamW | Muon, Field(discriminator="kind")]
