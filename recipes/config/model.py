"""The `model:` section: which weights, in which precision, and what is trained of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .language.section import Positive, PositiveFloat, Section


class NoAdapter(Section):
    """Train all weights."""

    kind: Literal["none"] = "none"


class LoraAdapter(Section):
    """Train low-rank updates of the linear layers (hf.co/papers/2106.09685)."""

    kind: Literal["lora"]
    rank: Positive = 32
    alpha: PositiveFloat = 64.0
    """The update is scaled by alpha / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Above 0 the policy's log-probs at step 0 differ from the stored ones."""
    target_modules: str | list[str] = "all-linear"
    merge: bool = False
    """Save the whole model with the updates added to its weights, ready to serve; false saves the updates alone."""


class QloraAdapter(LoraAdapter):
    """LoRA on weights held in 4 bits (hf.co/papers/2305.14314)."""

    kind: Literal["qlora"]  # type: ignore[assignment]


Adapter = Annotated[NoAdapter | LoraAdapter | QloraAdapter, Field(discriminator="kind")]


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


class Launch(Section):
    """How many processes train together; one GPU each, or CPU processes over gloo."""

    processes: Positive = 1
    accelerate_config: str | None = None
    """A file for `accelerate launch --config_file`: a path, or a name in the library's `_accelerate`."""
