"""Two processes that shard the model (FSDP2) train, save, resume and end with a model that is evaluated, on CPUs."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import pytest
import torch
from quince.eval.measure.records import find_records, read_record
from quince.recipes.config import load_recipe
from quince.recipes.config.language.library import accelerate_config
from quince.recipes.evaluate.evaluation import run as evaluate
from quince.recipes.rlvr.split import run as make_split
from quince.recipes.run.checkpoints import newest_whole_checkpoint
from quince.recipes.sft.train import run as train_sft
from safetensors.torch import load_file

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
ALL = "{kind: none}"
LORA = "{kind: lora, rank: 2, merge: true}"
LENGTHS = "  num_generations: 8\n  max_completion_length: 8\n"
CASES = {
    "dph": (RLVR + TRAINER + LENGTHS, "bfloat16", ALL),
    "dph_lora": (RLVR + TRAINER + LENGTHS, "float32", LORA),
    "sft": (SFT + TRAINER + "  packing: true\n  max_length: 128\n", "float32", ALL),
    "dpo_lora": (DPO + TRAINER + "  max_length: 128\n", "float32", LORA),
}
"""Recipe, precision of the weights, and what is trained of them."""


def pair(number: int) -> dict:
    answers = {name: [{"role": "assistant", "content": f"{name} {number}"}] for name in ("chosen", "rejected")}
    return {"id": str(number), "task": "t", "prompt": [{"role": "user", "content": f"{number}?"}], **answers}


@pytest.fixture(scope="module")
def folder(toy_model, tmp_path_factory):
    """A folder with the runs of all recipes, trained by one launch."""
    folder = tmp_path_factory.mktemp("fsdp")
    (folder / "train.py").write_text(TRAINS)
    (folder / "pairs.jsonl").write_text("\n".join(json.dumps(pair(number)) for number in range(24)))
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
def test_a_sharded_run_ends_with_a_whole_model_and_resumes_alike(name, folder, toy_model, logged):
    lines = logged(folder / name)
    assert [line["step"] for line in lines] == [1, 2] and all(math.isfinite(line["grad_norm"]) for line in lines)
    first, resumed, started = (
        load_file(place / "model.safetensors")
        for place in (folder / name / "straight", folder / name / "model", toy_model)
    )
    assert resumed.keys() == first.keys() == started.keys()
    assert all(torch.equal(resumed[key], first[key]) for key in first), "a resumed run ends elsewhere"
    assert {str(weight.dtype) for weight in first.values()} == {f"torch.{CASES[name][1]}"}
    assert all(weight.isfinite().all() for weight in first.values())
    moved = [key for key in started if not torch.equal(first[key], started[key].to(first[key].dtype))]
    assert len(moved) >= len(started) / 2
    assert newest_whole_checkpoint(folder / name).name == "checkpoint-2"


@pytest.mark.parametrize("name", ["dph", "sft"])
def test_a_sharded_run_is_evaluated(name, folder):
    (folder / "eval.yaml").write_text(EVALUATION.replace("MODEL", str(folder / name / "model")))
    evaluate(load_recipe(str(folder / "eval.yaml"), [f"output_dir={folder / name / 'eval'}"]))
    (record,) = find_records([folder / name / "eval"])
    assert len(read_record(record).problems()) == 4


def test_a_sharded_step_is_that_of_one_process(folder, logged):
    """In bfloat16 there, with the same 16 packs."""
    alone = [f"output_dir={folder / 'alone'}", "trainer.per_device_train_batch_size=16", "trainer.max_steps=1"]
    train_sft(load_recipe(str(folder / "sft.yaml"), alone))
    (one,), (two, _) = logged(folder / "alone"), logged(folder / "sft")
    assert two["loss"] == pytest.approx(one["loss"], rel=5e-3)
    assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=5e-2)


def test_a_checkpoint_without_the_index_of_its_shards_is_skipped(folder):
    (folder / "dpo_lora" / "checkpoint-2" / "optimizer_0" / ".metadata").unlink()
    assert newest_whole_checkpoint(folder / "dpo_lora").name == "checkpoint-1"
