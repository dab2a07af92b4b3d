"""A short study through the command, and a probe that learns to compose."""

from __future__ import annotations

import json

import pytest
from quince.recipes.cli import main
from quince.recipes.config import library_recipes, load_recipe

pytestmark = pytest.mark.slow

RECIPES = [name for name in library_recipes() if load_recipe(name).recipe.kind == "coverage"]
SHORT = [
    "trainer.max_steps=2",
    "trainer.logging_steps=1",
    "trainer.per_device_train_batch_size=16",
    "trainer.gradient_accumulation_steps=1",
    "trainer.bf16=false",
    "trainer.disable_tqdm=true",
    "architecture={layers: 2, width: 16, heads: 2}",
    "data.test_size=50",
]


def quince(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code or 0


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_trains(name, tmp_path):
    """In process, on few rows: what differs between the recipes is data, loss and gradient."""
    from quince.recipes.coverage.train import run
    from transformers import AutoModelForCausalLM, AutoTokenizer

    rows = {"one_hop": 100, "parallel": 2000, "three_hop": 2000}.get(load_recipe(name).recipe.data.family, 400)
    run(load_recipe(name, [f"output_dir={tmp_path}", f"data.rows=[{rows}]", "data.values=12", *SHORT]))
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["steps"] == 2
    model, tokenizer = (kind.from_pretrained(tmp_path / "model") for kind in (AutoModelForCausalLM, AutoTokenizer))
    assert model.config.vocab_size == len(tokenizer)


def test_sizes_are_programs_that_are_compared_and_one_that_fails_is_named(tmp_path, capfd):
    size = f"output_dir={tmp_path}"
    assert quince("train", "coverage/tiny", size, "data.rows=[400, 7000]", *SHORT) == 2
    errors = capfd.readouterr().err
    assert "7000 of two_hop with 20 values" in errors
    assert "rows [7000] did not finish" in errors
    first = (tmp_path / "rows_400" / "result.json").read_text(encoding="utf-8")

    assert quince("train", "coverage/tiny", size, "data.rows=[400, 2000]", *SHORT) == 0
    results = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert [result["data"]["task"]["rows"] for result in results] == [400, 2000]
    assert results[0] == json.loads(first), "a size that is finished is not trained again"
    assert "type_0" in capfd.readouterr().out
    assert (tmp_path / "rows_2000" / "model" / "config.json").is_file()


def test_known_primitives_are_composed_and_unknown_ones_are_not(tmp_path):
    from quince.recipes.coverage.train import run

    short = ["data.rows=[3000]", "trainer.max_steps=1500", "trainer.disable_tqdm=true"]
    run(load_recipe("coverage/tiny", [f"output_dir={tmp_path}", *short]))
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    shares = {name: good / rows for name, (good, rows) in result["right"].items()}
    assert shares["type_0"] > max(shares[f"type_{kind}"] for kind in (1, 2, 3)) + 0.4
