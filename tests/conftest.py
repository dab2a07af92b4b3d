"""Fixtures that several test files share."""

import gc
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# The same cases every time: a failure is of the change that is tested.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")

TOY = """
kind: rlvr
model: {id: MODEL, dtype: float32}
data: [{kind: strategies, size: 12}]
rewards: [{kind: format, pattern: '(?s)[^e]*'}]
split: {train_on: all, rollouts: 4, threshold: 2}
rehearsal: {batch_size: 8}
trainer:
  per_device_train_batch_size: 16
  num_generations: 8
  max_completion_length: 8
  max_steps: 4
  loss_type: dapo
  learning_rate: 1e-2
  lr_scheduler_type: constant
  logging_steps: 1
  save_strategy: "no"
  gradient_checkpointing: false
  disable_tqdm: true
"""
"""A recipe of a fraction of a second a step, whose reward a random model earns about half of the time."""


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What is imported stays: the garbage collector need not look through two million objects after each training."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_unconfigure():
    """What was frozen goes with the process, or bindings report it as lost."""
    gc.unfreeze()


@pytest.hookimpl(tryfirst=True)  # before the plugin that reads the marks
def pytest_collection_modifyitems(items):
    """Tests of a file share what it makes once, so they run in one process, unless the file says otherwise."""
    for item in items:
        if item.get_closest_marker("spread") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """Generated databases go to a folder of this test run."""
    patch = pytest.MonkeyPatch()
    patch.setenv("QUINCE_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("HF_HUB_OFFLINE", "1")
    yield
    patch.undo()


@pytest.fixture(scope="session")
def random_model(tmp_path_factory) -> Path:
    """A folder with a random Qwen3 of 20,000 parameters and a tokenizer for the generated tasks."""
    import torch
    from quince.data.sources import load_demonstrations
    from quince.recipes.config.pretrain import Architecture
    from quince.recipes.pretrain.tokenizer import train_tokenizer
    from quince.recipes.pretrain.train import new_model

    rows = [
        row for kind in ("sql_idioms", "strategies") for row in load_demonstrations(kind, split="pretrain", size=200)
    ]
    tokenizer = train_tokenizer(rows, vocab_size=640, max_length=256)
    sizes = {"hidden_size": 16, "layers": 2, "heads": 2, "kv_heads": 1, "head_dim": 8, "intermediate_size": 32}
    torch.manual_seed(0)
    model = new_model(Architecture(**sizes, max_positions=256), tokenizer)
    folder = tmp_path_factory.mktemp("random_model")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def toy_model(random_model, tmp_path_factory) -> Path:
    """`random_model`, which stops within a few tokens: every fourth token ends an answer."""
    folder = tmp_path_factory.mktemp("toy") / "model"
    shutil.copytree(random_model, folder)
    file = folder / "generation_config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps(settings | {"eos_token_id": [settings["eos_token_id"], *range(3, 640, 4)]}))
    return folder


@pytest.fixture
def toy(toy_model, tmp_path):
    """`toy("key=value", ..., folder="run")`: the recipe TOY with overrides, to run in that folder of `tmp_path`."""
    from quince.recipes.config import load_recipe

    file = tmp_path / "toy.yaml"
    file.write_text(TOY.replace("MODEL", str(toy_model)))

    def load(*overrides: str, folder: str = "run"):
        return load_recipe(str(file), [f"output_dir={tmp_path / folder}", *overrides])

    return load


@pytest.fixture(scope="session")
def logged():
    """`logged(folder)`: the lines of a run's `metrics.jsonl` that belong to a training step."""

    def read(folder) -> list[dict]:
        lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
        return [line for line in map(json.loads, lines) if "loss" in line]

    return read
