"""Weights that ZeRO-3 has spread are read while they are gathered; what cannot end in a model is refused."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import pytest
import torch
from quince.recipes.config import load_recipe
from quince.recipes.config.language.errors import RecipeError, RecipeErrors
from quince.recipes.parts.models import whole_weights
from quince.recipes.run.training import require_gathering


@pytest.fixture
def gathered(monkeypatch):
    """DeepSpeed as far as it is needed: what it gathers, and until when."""
    held: list[torch.nn.Parameter] = []

    @contextmanager
    def gather(weights):
        held.extend(weights)
        yield
        held.clear()

    module = ModuleType("deepspeed")
    module.zero = SimpleNamespace(GatheredParameters=gather)
    monkeypatch.setitem(sys.modules, "deepspeed", module)
    return held


def test_what_is_spread_is_gathered_for_the_time_of_the_block(gathered):
    model = torch.nn.Linear(2, 2)
    with whole_weights(model):
        assert gathered == []
    model.weight.ds_id = 0
    with whole_weights(model):
        assert [id(weight) for weight in gathered] == [id(model.weight)]
    assert gathered == []


@pytest.mark.parametrize(("stage", "saves", "fits"), [(2, False, True), (3, True, True), (3, False, False)])
def test_zero_3_without_a_model_at_the_end_is_refused(stage, saves, fits):
    zero = {"stage": stage, "stage3_gather_16bit_weights_on_model_save": saves}
    plugin = SimpleNamespace(deepspeed_config={"zero_optimization": zero})
    state = SimpleNamespace(deepspeed_plugin=plugin)
    trainer = SimpleNamespace(is_deepspeed_enabled=True, accelerator=SimpleNamespace(state=state))
    if fits:
        require_gathering(trainer)
    else:
        with pytest.raises(RecipeError, match="zero3_save_16bit_model: true"):
            require_gathering(trainer)


def test_muon_is_not_for_shards():
    muon = ["optimizer={kind: muon}", "launch={processes: 2, accelerate_config: ddp}"]
    load_recipe("rlvr/tiny_grpo", muon)
    with pytest.raises(RecipeErrors, match="`muon`, which takes whole matrices, with shards by `zero2`"):
        load_recipe("rlvr/tiny_grpo", [*muon, "launch.accelerate_config=zero2"])
