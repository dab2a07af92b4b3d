"""Policies and tokenizers from the `model:` section; the only place that reads weights for training.

Files of a model may ask for an architecture of the installed library, and for nothing that runs. For that
`trust_remote_code=False` alone is no boundary: a configuration can name an attention kernel, which is compiled code, on
the Hub, and has more than once found a way to switch remote code on (CVE-2026-4372, CVE-2026-5241).
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...data.chat.renderer import read_template

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..config.model import Model

TINY = "tiny"  # the name of the model that ships with the package
_IMPLEMENTATIONS = ("attn_implementation", "experts_implementation")
_UNREADABLE = (AttributeError, ImportError, KeyError, RecursionError, RuntimeError, TypeError, ValueError)
_CONFIGURATIONS = ("config.json", "adapter_config.json")


def model_path(identifier: str) -> str:
    """Resolve `tiny` to the shipped folder; other names and folders pass."""
    return str(files("quince.data") / "tiny") if identifier == TINY else identifier


def same_weights(a: Model, b: Model) -> bool:
    """Whether two sections load the same weights from the same place in the same way."""
    paths = [Path(model_path(model.id)) for model in (a, b)]
    places = [str(path.resolve()) if path.is_dir() else model.id for path, model in zip(paths, (a, b), strict=True)]
    return places[0] == places[1] and b.model_copy(update={"id": a.id, "chat_template": a.chat_template}) == a


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
    return _load(model, **({"quantization_config": four_bit()} if str(model.adapter.kind) == "qlora" else {}))


def _load(model: Model, **options: Any) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM

    if model.attn_implementation is not None:
        options["attn_implementation"] = model.attn_implementation
    path = model_path(model.id)
    check_files(model, path)
    options |= {"dtype": model.dtype, "trust_remote_code": False, "use_safetensors": True}
    with readable(model):
        return AutoModelForCausalLM.from_pretrained(path, revision=model.revision, **options)


@contextmanager
def whole_weights(model: PreTrainedModel) -> Iterator[None]:
    """All weights of a policy that was just loaded, for the time of a block that every process enters.

    They are whole on the main process only: with FSDP the others wait for theirs, and hold zeros until training begins.
    ZeRO-3 shards weights while it loads them, so here they are gathered.
    """
    sharded = [weight for weight in model.parameters() if hasattr(weight, "ds_id")]
    if not sharded:
        yield
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters(sharded):
        yield


def merge_adapter(model: Model, folder: Path) -> None:
    """Put the whole model in place of the adapter that was saved in a folder.

    The updates of `qlora` too are added to the weights as they were published, not to their 4-bit copy, which could
    not hold them; the result differs from the model in training by the rounding of that copy. Works in main memory.
    """
    from peft import PeftModel
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()  # this process alone loads the model, whole
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

    options = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16, **options)


def adapter_config(model: Model) -> PeftConfig | None:
    """The PEFT configuration of the recipe's adapter, or None when all weights are trained."""
    if model.adapter.kind == "none":
        return None
    from peft import LoraConfig

    adapter = model.adapter
    options = {"target_modules": adapter.target_modules, "task_type": "CAUSAL_LM"}
    return LoraConfig(r=adapter.rank, lora_alpha=adapter.alpha, lora_dropout=adapter.dropout, **options)


def check_files(model: Model, path: str) -> None:
    """Refuse a configuration that names a kernel on the Hub; of an adapter, the model under it is checked too.

    Raises:
        RecipeError: It does, or it is not JSON.
    """
    from ..config.language.errors import RecipeError  # with pydantic, which `compress_prompt` does without

    with readable(model):
        for config in configurations(path, model.revision):
            for field, value in _leaves(config):
                name = field.strip("_").removesuffix("_internal")
                if name in _IMPLEMENTATIONS and "/" in str(value):
                    raise RecipeError(
                        f"model.id · {model.id} · its config.json wants the kernel {value} ({field}) · code comes from "
                        "installed packages only · delete the field, and name one in model.attn_implementation"
                    )


@contextmanager
def readable(model: Model) -> Iterator[None]:
    """Say in one line that the files of a model cannot be loaded, and why."""
    from safetensors import SafetensorError

    from ..config.language.errors import RecipeError

    if problem := _absence(model):
        raise RecipeError(f"model.id · {model.id} · {problem}")
    try:
        yield
    except RecipeError:
        raise
    except (*_UNREADABLE, SafetensorError) as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise
        raise RecipeError(
            f"model.id · {model.id} cannot be loaded · {_first_sentence(error)} · an architecture and a tokenizer "
            "of the installed transformers, in safetensors and JSON; code of a model is never run"
        ) from error


def _absence(model: Model) -> str:
    """Why a model cannot be had, found out before a library tries again and again; empty if nothing speaks for it."""
    from huggingface_hub import constants, try_to_load_from_cache

    path = model_path(model.id)
    if os.path.isdir(path):
        return ""
    if path.startswith(("/", ".", "~")) or path.count("/") > 1 or "\\" in path:
        return "no such folder · a folder of a model, or a name on the Hub such as Qwen/Qwen3-0.6B"
    copies = [try_to_load_from_cache(path, name, revision=model.revision) for name in _CONFIGURATIONS]
    problem = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _unreachable(constants.ENDPOINT)
    if problem and any(isinstance(copy, str) for copy in copies):
        constants.HF_HUB_OFFLINE = True  # the copy is taken, without asking for a newer one
        return ""
    return problem and f"not on this machine, and {problem} · connect, or name the folder of a model"


@cache
def _unreachable(endpoint: str) -> str:
    """Why a server cannot be reached; empty if it can, or if a proxy is to be asked."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return ""
    parts = urlsplit(endpoint)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 443), timeout=5).close()
    except OSError as error:
        return f"{parts.hostname} cannot be reached ({error.strerror or error})"
    return ""


def configurations(path: str, revision: str | None) -> Iterator[dict[str, Any]]:
    """The configuration of a model, or of an adapter and then of the model under it; empty where there is none."""
    from transformers.utils import cached_file

    def read(name: str) -> dict[str, Any]:
        file = cached_file(path, name, revision=revision, _raise_exceptions_for_missing_entries=False)
        if file is None:
            return {}
        with open(file, encoding="utf-8") as stream:
            return json.load(stream)

    yield read("config.json")
    if base := read("adapter_config.json").get("base_model_name_or_path"):
        yield from configurations(base, None)


def _leaves(value: Any, field: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with the name of the field that holds it, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            name = field if field.strip("_").removesuffix("_internal") in _IMPLEMENTATIONS else key
            yield from _leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, field)
    else:
        yield field, value


def _first_sentence(error: Exception) -> str:
    text = str(error).split("\n", 1)[0].split(". ", 1)[0].strip(" .")
    return f"{type(error).__name__}: {text}"
