from __future__ import annotations

import json

import pytest
from quince.eval.compression.results import LABELS, LLMLINGUA2, Results
from quince.recipes.config import RecipeErrors, load_recipe
from quince.recipes.evaluate import compression as evaluate

RECIPE = """
kind: compression_eval
model: {id: MODEL, dtype: float32}
data: [{kind: passages, split: test, size: 4}]
max_tokens: 8
readers:
  - {name: first, model: {id: MODEL, dtype: float32}, max_tokens: 2}
  - {name: second, model: {id: MODEL, dtype: float32}, max_tokens: 2}
encoder: {id: MODEL, dtype: float32}
baselines: {base: {id: MODEL, dtype: float32}}
latency: {batches: [2], repeats: 1}
"""
PRICES = "prices={stated: assumed, reader_input: 1.0, compressor_input: 0.1, compressor_output: 0.4}"


@pytest.fixture
def recipe(toy_model, tmp_path):
    path = tmp_path / "capsules.yaml"
    path.write_text(RECIPE.replace("MODEL", str(toy_model)))

    def load(*overrides: str):
        return load_recipe(str(path), [f"output_dir={tmp_path / 'run'}", *overrides])

    return load


def kept(folder) -> Results:
    return Results.from_dict(json.loads((folder / "analysis.json").read_text())["data"])


def test_a_compressor_is_measured_once_and_prices_may_change(recipe, monkeypatch):
    (folder,) = evaluate.run(recipe())
    first = kept(folder)
    assert first.sources == [source for source in LABELS if source != LLMLINGUA2]
    assert first.readers == ["first", "second"] and len(first.ids) == 4
    assert {name: [t.batch for t in of] for name, of in first.timings.items()} == {"first": [2], "second": [2]}
    assert first.prices is None and len(first.similarity) == 4

    def never(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(evaluate, "_evaluate", never)
    evaluate.run(recipe(PRICES))
    assert kept(folder).prices.stated == "assumed"
    assert kept(folder).right == first.right
    with pytest.raises(AssertionError, match="measured again"):
        evaluate.run(recipe("readers.1.max_tokens=3"))


def test_the_same_seed_gives_the_same_capsules_and_results(recipe, tmp_path):
    runs = [kept(evaluate.run(recipe(f"output_dir={tmp_path / name}", "latency=null"))[0]) for name in "ab"]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.0={kind: countdown}", "has no budget or passage or questions"),
        ("readers.1.name=first", "a second reader 'first'"),
        ("readers=[]", "readers"),
        ("prices={stated: '', reader_input: 1.0, compressor_input: 0.1, compressor_output: 0.4}", "prices.stated"),
        ("latency={batches: [0]}", "latency.batches"),
    ],
)
def test_mistakes_are_named(recipe, override, message):
    with pytest.raises(RecipeErrors) as caught:
        recipe(override)
    assert message in str(caught.value)
