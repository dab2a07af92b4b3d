"""A merged adapter: the folder holds a whole model that computes what base and adapter computed."""

from __future__ import annotations

import pytest
import torch
from peft import get_peft_model
from quince.recipes.config.model import Model
from quince.recipes.parts.models import adapter_config, load_policy, merge_adapter
from transformers import AutoModelForCausalLM


@pytest.fixture
def section(random_model):
    adapter = {"kind": "lora", "rank": 4, "merge": True}
    return Model(id=str(random_model), dtype="float32", adapter=adapter)


def test_a_merged_model_computes_what_the_adapter_did(section, tmp_path):
    tuned = get_peft_model(load_policy(section), adapter_config(section)).eval()
    torch.manual_seed(0)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:  # zero at the start
            torch.nn.init.normal_(parameter, std=0.1)
    tuned.save_pretrained(tmp_path)
    merge_adapter(section, tmp_path)

    assert not list(tmp_path.glob("adapter_*"))
    merged = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = torch.randint(3, 600, (2, 20))
    with torch.no_grad():
        found, wanted, base = (model(ids).logits for model in (merged, tuned, load_policy(section)))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert (wanted - base).abs().max() > 0.01
