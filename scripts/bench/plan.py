"""What `quince plan` predicts against what PyTorch allocates on fake tensors, and writes to disk.

python scripts/bench/plan.py
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from peft import LoraConfig, get_peft_model
from quince.recipes.config import load_recipe
from quince.recipes.config.shapes import SHAPES, Shape, shape_of
from quince.recipes.plan.memory import MIXED, Head, Pass, Training
from quince.recipes.plan.training_memory import saved_bytes
from quince.scripts.bench.pages import Page, Results, bench, table
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from transformers import AutoConfig, AutoModelForCausalLM
from trl.kernels.chunked_logprob import ChunkedLogProbFunction

ROWS, TOKENS, SCORED, RANK = 2, 1024, 512, 32
MODELS = {
    "Qwen/Qwen3-0.6B": ("qwen3", 28),
    "Qwen/Qwen3-8B": ("qwen3", 8),
    "meta-llama/Llama-3.1-8B": ("llama", 8),
    "google/gemma-2-2b": ("gemma2", 8),
}
"""Architecture, and how many of the layers are there: all of the smallest, the first ones of the others."""
MODES = {
    "all weights, float32 under autocast": (MIXED, False),
    "all weights, bfloat16": ("bfloat16", False),
    "LoRA of rank 32, bfloat16": ("bfloat16", True),
}


Measured = dict[str, Any]  # model, mode, checkpointing, and bytes predicted and measured


class LiveBytes(TorchDispatchMode):
    """Bytes of the storages that operators have made and that are still there, and the most of them."""

    def __init__(self, known: Iterator[torch.Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.sizes = {tensor.untyped_storage()._cdata: 0 for tensor in known}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: Any) -> None:
        if storage._cdata in self.sizes:
            return
        self.sizes[storage._cdata] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._drop, storage._cdata)

    def _drop(self, key: int) -> None:
        self.now -= self.sizes.pop(key, 0)


def build(shape: Shape, kind: str, precision: str, adapter: bool, checkpointing: bool) -> Any:
    sizes = {"hidden_size": shape.hidden, "intermediate_size": shape.intermediate, "vocab_size": shape.vocab}
    heads = {"num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads, "head_dim": shape.head_dim}
    depth = {"num_hidden_layers": shape.layers, "max_position_embeddings": shape.context}
    kinds = {"tie_word_embeddings": shape.tied, "attn_implementation": "sdpa", "use_cache": False}
    config = AutoConfig.for_model(kind, **sizes, **heads, **depth, **kinds)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32 if precision == MIXED else torch.bfloat16)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if adapter:
        with patch.object(torch.nn.Module, "to", lambda module, *_, **__: module):  # fake tensors cannot be moved
            model = get_peft_model(model, LoraConfig(r=RANK, target_modules="all-linear", task_type="CAUSAL_LM"))
    return model.train()


def allocate(model: Any) -> float:
    ids = torch.zeros(ROWS, TOKENS, dtype=torch.long)
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    live = LiveBytes(iter([*model.parameters(), *model.buffers()]))
    with live:
        with torch.autocast("cpu", torch.bfloat16):
            states = inner.model(input_ids=ids, use_cache=False).last_hidden_state
            scored = states[:, -SCORED // ROWS - 1 : -1].reshape(-1, states.shape[-1])
            targets = ids[:, : SCORED // ROWS].reshape(-1)
            options = (1.0, 8192, None, 1.0, ("entropy",))
            log_probs = ChunkedLogProbFunction.apply(scored, inner.lm_head.weight, None, targets, *options)[0]
        log_probs.sum().backward()
    return float(live.peak)


def predict(shape: Shape, precision: str, adapter: bool, checkpointing: bool) -> float:
    bytes_each, passes = 4.0 if precision == MIXED else 2.0, (Pass(shape, ROWS, TOKENS, precision, adapter, RANK),)
    trainable = shape.lora_parameters(RANK) if adapter else shape.parameters
    run = {"head": Head(SCORED), "checkpointing": checkpointing, "accumulates": False}
    step = Training(shape=shape, weight_bytes=bytes_each, trainable=trainable, passes=passes, **run)
    return step.peak - step.static


def memory() -> Iterator[Measured]:
    for name, (kind, layers) in MODELS.items():
        shape = replace(SHAPES[name], layers=layers)
        for mode, (precision, adapter) in MODES.items():
            for checkpointing in (False, True):
                with FakeTensorMode(allow_non_fake_inputs=True):
                    measured = allocate(build(shape, kind, precision, adapter, checkpointing))
                predicted = predict(shape, precision, adapter, checkpointing)
                found = {"model": f"{name}, {layers} layers", "mode": mode, "checkpointing": checkpointing}
                yield found | {"predicted": predicted, "measured": measured}
                print(name, mode, checkpointing, f"{predicted / measured:.3f}", flush=True)


RECIPE = """
kind: sft
model: {id: tiny, dtype: float32}
data: [{kind: strategies, size: 8}]
trainer: {max_length: 128, per_device_train_batch_size: 4, max_steps: 1, save_steps: 1, disable_tqdm: true}
"""
ADAPTER = "model.adapter={kind: lora, rank: 4}"
SAVED = {"all weights": [], "LoRA of rank 4": [ADAPTER], "all weights, bfloat16": ["model.dtype=bfloat16"]}
ONLY_TENSORS = ("*.safetensors", "optimizer.pt")


def disk() -> Iterator[Measured]:
    from quince.recipes.sft.train import run

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "small.yaml"
        file.write_text(RECIPE, encoding="utf-8")
        for mode, overrides in SAVED.items():
            loaded = load_recipe(str(file), [f"output_dir={folder}/{len(mode)}", *overrides])
            run(loaded)
            checkpoint, final = saved_bytes(loaded.recipe.model, shape_of("tiny"), loaded.recipe.launch)
            for what, predicted in (("checkpoint-1", checkpoint), ("model", final)):
                files = [f for pattern in ONLY_TENSORS for f in Path(f"{folder}/{len(mode)}", what).glob(pattern)]
                measured = sum(file.stat().st_size for file in files)
                found = {"model": f"tiny, {what}", "mode": mode, "checkpointing": False}
                yield found | {"predicted": predicted, "measured": measured}


def measure() -> Results:
    saved = list(disk())
    return {"peaks": list(memory()), "disk": saved}


def render(found: Results) -> str:
    peaks, saved = found["peaks"], found["disk"]
    ratios = [one["predicted"] / one["measured"] for one in (*peaks, *saved)]
    within = sum(abs(ratio - 1) <= 0.15 for ratio in ratios)

    def sizes(one: dict[str, Any], unit: float) -> list[str]:
        predicted, measured = one["predicted"], one["measured"]
        return [f"{number:.2f}" for number in (predicted / unit, measured / unit, predicted / measured)]

    modes = [[one["model"], one["mode"], "yes" if one["checkpointing"] else "no", *sizes(one, 1e9)] for one in peaks]
    files = [[one["model"], one["mode"], *sizes(one, 1e6)] for one in saved]
    return f"""`quince plan` is within 15 % of what was allocated in {within} of {len(ratios)} cases (ratios
{min(ratios):.2f} to
{max(ratios):.2f}).
**No GPU was there**: CUDA kernels, gaps of the allocator, NCCL and vLLM are not in these figures.

{table(["model", "trained", "checkpointing", "predicted, GB", "allocated, GB", "ratio"], modes)}
Weights, gradients and moments in checkpoints and final models on disk, one real step of SFT.

{table(["files", "trained", "predicted, MB", "on disk, MB", "ratio"], files)}"""


PAGE = Page("plan", "What `quince plan` predicts", render)

if __name__ == "__main__":
    bench(PAGE, measure)
