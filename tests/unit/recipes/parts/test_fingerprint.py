"""Fingerprints cover every byte of the weights, and a file is read once."""

from __future__ import annotations

import os
import shutil

import pytest
import torch
from quince.recipes.config.model import Model
from quince.recipes.parts import fingerprint
from quince.recipes.parts.fingerprint import files_fingerprint, model_fingerprint, weights_fingerprint
from safetensors.torch import load_file, save_file


@pytest.fixture
def folder(random_model, tmp_path, monkeypatch):
    monkeypatch.setenv("QUINCE_CACHE", str(tmp_path / "cache"))
    return shutil.copytree(random_model, tmp_path / "model")


def scale(folder, factor=1.5, layer="model.layers.1.mlp.up_proj.weight"):
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors[layer] = tensors[layer] * factor
    save_file(tensors, file, metadata={"format": "pt"})


def test_one_layer_scaled_in_place_is_another_model(folder):
    before, size = files_fingerprint(folder), (folder / "model.safetensors").stat().st_size
    scale(folder)
    assert (folder / "model.safetensors").stat().st_size == size
    assert files_fingerprint(folder) != before


@pytest.mark.parametrize("place", [0.001, 0.3, 0.5, 0.7, 0.999])
def test_every_byte_counts(place, folder):
    before, file = files_fingerprint(folder), folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 1
    file.write_bytes(content)
    assert files_fingerprint(folder) != before


def test_a_card_is_not_the_model(folder):
    before = files_fingerprint(folder)
    (folder / "README.md").write_text("results")
    assert files_fingerprint(folder) == before
    (folder / "more.safetensors").write_bytes(b"")
    assert files_fingerprint(folder) != before


def test_a_file_is_read_once_until_it_changes(folder, monkeypatch):
    for file in folder.iterdir():
        os.utime(file, (1, 1))
    monkeypatch.setattr(fingerprint, "_SETTLED_S", -1.0)
    before = files_fingerprint(folder)
    monkeypatch.setattr(fingerprint.hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert files_fingerprint(folder) == before
    monkeypatch.undo()
    monkeypatch.setenv("QUINCE_CACHE", str(folder.parent / "cache"))
    scale(folder)
    os.utime(folder / "model.safetensors", (1, 1))
    assert files_fingerprint(folder) != before, "the time of a file can be set, the time of that change cannot"


def test_an_adapter_is_known_by_its_model_too(folder, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(f'{{"base_model_name_or_path": "{folder}"}}')
    before = files_fingerprint(adapter)
    scale(folder)
    assert files_fingerprint(adapter) != before


def test_a_model_of_the_hub_is_known_by_the_commit_of_its_copy(random_model, tmp_path, monkeypatch):
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    home = tmp_path / "hub" / "models--someone--model"
    shutil.copytree(random_model, home / "snapshots" / commit)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert weights_fingerprint(Model(id="someone/model")) == commit
    assert weights_fingerprint(Model(id="someone/model", revision=commit)) == commit


def test_a_loaded_model_is_known_by_every_value(random_model):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(random_model, dtype=torch.float32)
    before, weight = model_fingerprint(model), model.model.layers[1].mlp.up_proj.weight
    for index in [(0, 0), (3, 7), (31, 15)]:
        value = weight.data[index].item()
        weight.data[index] = value + 1e-6
        assert model_fingerprint(model) != before
        weight.data[index] = value
        assert model_fingerprint(model) == before
    rows = weight.data.clone()
    weight.data[[0, 1]] = weight.data[[1, 0]]
    assert model_fingerprint(model) != before, "order counts"
    weight.data.copy_(rows)
    assert model_fingerprint(model.bfloat16()) != before
