"""Fixtures that several test files share."""

from pathlib import Path

import pytest


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

    rows = [row for kind in ("sql_idioms", "strategies") for row in load_demonstrations(kind, size=200)]
    tokenizer = train_tokenizer(rows, vocab_size=640, max_length=256)
    sizes = {"hidden_size": 16, "layers": 2, "heads": 2, "kv_heads": 1, "head_dim": 8, "intermediate_size": 32}
    torch.manual_seed(0)
    model = new_model(Architecture(**sizes, max_positions=256), tokenizer)
    folder = tmp_path_factory.mktemp("random_model")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
