"""Two processes that shard the model (FSDP2) train, save, resume and end with a model that is evaluated, on CPUs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from quince.recipes.config import load_recipe
from quince.recipes.config.language.library import accelerate_config
from quince.recipes.evaluate.evaluation import run as evaluate
from quince.recipes.parts.fingerprint import model_fingerprint
from quince.recipes.rlvr.split import run as make_split
from quince.recipes.run.checkpoints import newest_whole_checkpoint
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

pytestmark = pytest.mark.slow

TRAINS = """
import shutil, sys
from importlib import import_module
from pathlib import Path
import torch
from accelerate.state import DistributedType, PartialState
from quince.recipes.run.console import guarded, load_for_launch

# Accelerate shards on accelerators only; here a CPU passes for one, and everything else is as on a node.
PartialState._prepare_backend = lambda self, *args, **options: ("gloo", DistributedType.MULTI_GPU)
PartialState.set_device = lambda self: setattr(self, "device", torch.device("cpu"))


def train(file, folder):
    loaded = load_for_launch(file, [f"output_dir={folder}", "trainer.use_cpu=false"])
    run = import_module(f"quince.recipes.{loaded.recipe.kind}.train").run
    run(loaded)
    torch.distributed.barrier()
    if torch.distributed.get_rank() == 0:
        (folder / "model").rename(folder / "straight")
        shutil.rmtree(folder / "checkpoint-2")
    torch.distributed.barrier()
    run(loaded, resume=True)


for file in sys.argv[1:]:
    guarded(lambda: train(file, Path(file).with_suffix("")))
"""
TRAINER = """trainer:
  per_device_train_batch_size: 8
  max_steps: 2
  learning_rate: 1e-2
  lr_scheduler_type: constant
  logging_steps: 1
  save_strategy: steps
  save_steps: 1
  gradient_checkpointing: false
  disable_tqdm: true
"""
RLVR = """
kind: rlvr
model: {id: MODEL, dtype: DTYPE, adapter: ADAPTER}
data: [{kind: strategies, size: 4}]
rewards: [{kind: format, pattern: '(?s)[^e]*'}]
split: {train_on: all, rollouts: 4, threshold: 2}
rehearsal: {batch_size: 8}
divergence: {kind: jensen_shannon, weight: 0.5}
"""
SFT = """
kind: sft
model: {id: MODEL, dtype: DTYPE, adapter: ADAPTER}
data: [{kind: strategies, size: 40}]
"""
DPO = """
kind: dpo
model: {id: MODEL, dtype: DTYPE, adapter: ADAPTER}
data: [{kind: jsonl, path: PAIRS}]
"""
EVALUATION = """
kind: eval
model: {id: MODEL}
suites:
- name: format
  data: [{kind: strategies, size: 4}]
  reward: {kind: format, pattern: '(?s)[^e]*'}
  sampling: {n: 2, max_tokens: 8}
  ks: [1]
"""
LORA = "{kind: lora, rank: 2}"
CASES = {
    "dph": (
        RLVR + TRAINER + "  num_generations: 8\n  max_completion_length: 8\n  loss_type: dapo\n",
        "bfloat16",
        "{kind: none}",
    ),
    "sft": (SFT + TRAINER + "  packing: true\n  max_length: 128\n", "bfloat16", "{kind: none}"),
    "sft_lora": (SFT + TRAINER + "  max_length: 128\n", "float32", LORA),
    "dpo": (DPO + TRAINER + "  max_length: 128\n", "float32", "{kind: none}"),
    "dph_lora": (
        RLVR + TRAINER + "  num_generations: 8\n  max_completion_length: 8\n",
        "float32",
        LORA[:-1] + ", merge: true}",
    ),
}


@pytest.fixture(scope="module")
def folder(toy_model, tmp_path_factory):
    """A folder with the runs of all recipes, trained by one launch."""
    folder = tmp_path_factory.mktemp("fsdp")
    (folder / "train.py").write_text(TRAINS)
    answers = [
        {name: [{"role": "assistant", "content": f"{name} {i}"}] for name in ("chosen", "rejected")} for i in range(24)
    ]
    rows = [
        {"id": str(i), "task": "t", "prompt": [{"role": "user", "content": f"{i}?"}], **row}
        for i, row in enumerate(answers)
    ]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    names = {"MODEL": toy_model, "PAIRS": folder / "pairs.jsonl"}
    for name, (text, dtype, adapter) in CASES.items():
        for word, value in {**names, "DTYPE": dtype, "ADAPTER": adapter}.items():
            text = text.replace(word, str(value))
        (folder / f"{name}.yaml").write_text(text)
        if name.startswith("dph"):
            make_split(load_recipe(str(folder / f"{name}.yaml"), [f"output_dir={folder / name}"]))
    launcher = [sys.executable, "-m", "quince.recipes.run.launching", "--config_file", accelerate_config("fsdp2")]
    files = [folder / f"{name}.yaml" for name in CASES]
    command = [*launcher, "--num_processes", "2", folder / "train.py", *files]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", CASES)
def test_a_sharded_run_ends_with_a_model_and_resumes_alike(name, folder, toy_model, logged):
    whole, straight = folder / name / "model", folder / name / "straight"
    assert [line["step"] for line in logged(folder / name)] == [1, 2]
    (file,) = whole.glob("*.safetensors")
    ended, before = load_file(file), load_file(straight / file.name)
    assert all(torch.equal(ended[key], before[key]) for key in before)
    newest_whole_checkpoint(folder / name)
