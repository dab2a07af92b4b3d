"""Hostile models: nothing in their files runs, and what cannot be loaded without it is one clear line."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from quince.recipes.config.language.errors import RecipeError
from quince.recipes.config.model import Model
from quince.recipes.parts.models import load_policy, load_tokenizer

AUTO_MAP = {
    "AutoConfig": "foreign.Thing",
    "AutoModel": "foreign.Thing",
    "AutoModelForCausalLM": "foreign.Thing",
    "AutoTokenizer": ["foreign.Thing", "foreign.Thing"],
}
HOSTILE = {"auto_map": AUTO_MAP, "trust_remote_code": True}
KERNEL = "stranger/attention"


class Bomb:
    """What a pickle can do while it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path):
    """A file that any code of the model leaves behind."""
    return tmp_path / "marker"


@pytest.fixture
def hostile(random_model, tmp_path, marker):
    """`hostile("config.json", field=value)`: a model with code beside it and fields of a file changed."""

    def make(name: str = "config.json", **fields: object) -> Path:
        folder = tmp_path / "model"
        shutil.copytree(random_model, folder)
        code = f"from pathlib import Path\nPath({str(marker)!r}).touch()\nclass Thing: pass\n"
        (folder / "foreign.py").write_text(code)
        known = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(known | fields))
        return folder

    return make


def load(folder: Path) -> None:
    model = Model(id=str(folder), dtype="float32")
    load_tokenizer(model)
    load_policy(model)


def nothing_ran(marker: Path) -> bool:
    return not marker.exists() and not any("foreign" in name for name in sys.modules)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_known_model_loads_without_the_code_beside_it(file, hostile, marker):
    load(hostile(file, **HOSTILE))
    assert nothing_ran(marker)


NEEDS_CODE = {
    "architecture": {"model_type": "foreign", "architectures": ["Thing"], **HOSTILE},
    "nested": {"text_config": {"model_type": "foreign", **HOSTILE}, **HOSTILE},
    "nested in a known type": {"model_type": "llava", "text_config": {"model_type": "foreign", **HOSTILE}},
}


@pytest.mark.parametrize("fields", NEEDS_CODE.values(), ids=NEEDS_CODE)
def test_a_model_that_needs_code_of_its_own_is_refused(fields, hostile, marker):
    folder = hostile(**fields)
    with pytest.raises(RecipeError) as caught:
        load(folder)
    message = str(caught.value)
    assert "\n" not in message and "trust_remote_code" not in message
    assert message.startswith(f"model.id · {folder} cannot be loaded · ") and "never run" in message
    assert nothing_ran(marker)


KERNELS = {
    "attention": {"attn_implementation": KERNEL},
    "private field": {"_attn_implementation_internal": KERNEL},
    "nested": {"text_config": {"attn_implementation": {"": KERNEL}}},
    "experts": {"_experts_implementation": KERNEL},
}


@pytest.mark.parametrize("fields", KERNELS.values(), ids=KERNELS)
def test_a_kernel_of_a_stranger_is_refused(fields, hostile):
    with pytest.raises(RecipeError, match=f"wants the kernel {KERNEL}"):
        load_policy(Model(id=str(hostile(**fields)), dtype="float32"))


def test_an_adapter_does_not_bring_a_hostile_model(hostile, tmp_path, marker):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    own = {"auto_mapping": {"base_model_class": "Thing", "parent_library": "foreign"}}
    for base, wanted in ((hostile(**NEEDS_CODE["architecture"]), "cannot be loaded"), (None, "wants the kernel")):
        if base is None:
            shutil.rmtree(tmp_path / "model")
            base = hostile(**KERNELS["attention"])
        config = {"peft_type": "LORA", "r": 2, "base_model_name_or_path": str(base), **own}
        (adapter / "adapter_config.json").write_text(json.dumps(config))
        with pytest.raises(RecipeError, match=wanted):
            load_policy(Model(id=str(adapter), dtype="float32"))
    assert nothing_ran(marker)


def test_pickled_weights_are_not_opened(hostile, marker):
    folder = hostile()
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Bomb(marker)}, folder / "pytorch_model.bin")
    assert b"touch" in (folder / "pytorch_model.bin").read_bytes(), "the bomb is in the file"
    with pytest.raises(OSError, match=r"model\.safetensors"):
        load_policy(Model(id=str(folder), dtype="float32"))
    assert nothing_ran(marker)
