"""Policies and tokenizers from the `model:` section; the only place that reads weights for training."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.chat.renderer import read_template
from .model_files import check_files, readable

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..config.model import Model

TINY = "tiny"
"""The name of the model that ships with the package."""


def model_path(identifier: str) -> str:
    """Resolve `tiny` to the shipped folder; other names and folders pass."""
    return str(files("quince.data") / "tiny") if identifier == TINY else identifier


def same_weights(a: Model, b: Model) -> bool:
    """Whether two sections load the same weights from the same place in the same way."""
    return _weights(a) == _weights(b)


def _weights(model: Model) -> Model:
    path = Path(model_path(model.id))
    place = str(path.resolve()) if path.is_dir() else model.id
    return model.model_copy(update={"id": place, "chat_template": None})


def load_tokenizer(model: Model) -> PreTrainedTokenizerBase:
    """Load the tokenizer, with the recipe's chat template if it names one; pads on the left for generation.

    Raises:
        RecipeError: Its files cannot be loaded without running code of theirs.
    """
    from transformers import AutoTokenizer

    with readable(model):
        tokenizer = AutoTokenizer.from_pretrained(
            model_path(model.id), revision=model.revision, padding_side="left", trust_remote_code=False
        )
    if model.chat_template is not None:
        tokenizer.chat_template = read_template(model.chat_template)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_policy(model: Model) -> PreTrainedModel:
    """Load the weights in the recipe's precision, 4-bit for `qlora`; adapters are added by the trainer.

    Raises:
        RecipeError: Its files cannot be loaded without running code of theirs.
    """
    return _load(model, **({"quantization_config": four_bit()} if model.adapter.kind == "qlora" else {}))


def _load(model: Model, **options: Any) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM

    if model.attn_implementation is not None:
        options["attn_implementation"] = model.attn_implementation
    path = model_path(model.id)
    check_files(model, path)
    options |= {"dtype": model.dtype, "trust_remote_code": False, "use_safetensors": True}
    with readable(model):
        return AutoModelForCausalLM.from_pretrained(path, revision=model.revision, **options)


def merge_adapter(model: Model, folder: Path) -> None:
    """Put the whole model in place of the adapter that was saved in a folder.

    The updates of `qlora` too are added to the weights as they were published, not to their 4-bit copy, which could
    not hold them; the result differs from the model in training by the rounding of that copy. Works in main memory.
    """
    from peft import PeftModel

    PeftModel.from_pretrained(_load(model), str(folder)).merge_and_unload().save_pretrained(folder)
    for file in folder.glob("adapter_*"):
        file.unlink()


def best_device() -> str:
    """The accelerator if there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def four_bit() -> Any:
    """NF4 with double quantization, as in the QLoRA paper (https://huggingface.co/papers/2305.14314)."""
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def adapter_config(model: Model) -> PeftConfig | None:
    """The PEFT configuration of the recipe's adapter, or None when all weights are trained."""
    if model.adapter.kind == "none":
        return None
    from peft import LoraConfig

    adapter = model.adapter
    return LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=adapter.target_modules,
        task_type="CAUSAL_LM",
    )
