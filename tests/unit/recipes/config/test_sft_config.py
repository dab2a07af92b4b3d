"""`sft` and `dpo` recipes: what they refuse and what they plan, before anything is loaded."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from quince.recipes.config import RecipeError, RecipeErrors, load_recipe
from quince.recipes.plan.make_plan import make_plan
from quince.recipes.run.training import check_installed

SFT = """
kind: sft
model: {id: tiny, chat_template: hermes_signatures}
data: [{kind: function_calls, size: 100}, {kind: everyday, size: 20}]
trainer: {packing: true, max_length: 1024}
"""
DPO = """
kind: dpo
model: {id: Qwen/Qwen3-8B, adapter: {kind: qlora, rank: 16}}
data: [{kind: function_calls, size: 100}]
trainer: {max_length: 1024, per_device_train_batch_size: 2}
"""


@pytest.fixture
def load(tmp_path):
    def load(text: str, *overrides: str):
        file = tmp_path / "own.yaml"
        file.write_text(text)
        return load_recipe(str(file), overrides)

    return load


def problems(load, text: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeErrors) as found:
        load(text, *overrides)
    return [str(problem) for problem in found.value.problems]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("trainer.paking=true", "no such field · a field of SFTConfig"),
        ("trainer.paking=true", "did you mean `packing`?"),
        ("trainer.loss_type=nnl", "did you mean `nll`?"),
        ("trainer.max_length=0", "trainer.max_length · found 0 · at least 1"),
        ("trainer.max_length=null", "null, and packing fills sequences of that length · a number of tokens"),
        ("trainer.packing_strategy=wrapped", "best fit decreasing is the only one that cuts no conversation"),
        ("trainer.assistant_only_loss=false", "the loss is always on what the assistant writes"),
        ("trainer.chat_template_path=x", "write `model: {chat_template: ...}`"),
        ("model.chat_template=hermes", "one of gemma2, hermes_signatures, llama3, qwen"),
        ("data.0.kind=function_call", "did you mean `function_calls`?"),
        ("data.0.masking=1.5", "data.0.masking"),
        ("launch.accelerate_config=nowhere", "no such file 'nowhere'"),
        ("too_long=cut", "one of drop, truncate, refuse"),
    ],
)
def test_a_mistake_is_named_with_its_fix(load, override, words):
    (problem,) = problems(load, SFT, override)
    assert words in problem


def test_muon_trains_whole_matrices(load):
    load(SFT, "optimizer={kind: muon}")
    (problem,) = problems(load, SFT, "optimizer={kind: muon}", "model.adapter={kind: lora}")
    assert "`muon` with an adapter of kind `lora` · optimizer: {kind: adamw}, or no adapter" in problem
    (problem,) = problems(load, SFT, "optimizer={kind: muon}", "trainer.optim=sgd")
    assert "trainer.optim · set beside `optimizer: {kind: muon}` · one of the two" in problem


def test_an_order_is_kept_or_refused(load):
    (problem,) = problems(load, SFT, "shuffle=false", "trainer.train_sampling_strategy=group_by_length")
    assert "changes the order" in problem


def test_unpacked_rows_fit_the_context(load):
    (problem,) = problems(load, SFT, "trainer.packing=false", "trainer.max_length=4096")
    assert "4096 tokens are more than the model's context · at most 2048" in problem


def test_an_sft_plan(load):
    plan = make_plan(load(SFT, "trainer.max_steps=9"))
    for words in ("120 rows of function_calls, everyday", "9 optimizer steps", "8 packs a step", "8.19 k tokens"):
        assert words in plan
    assert "steps    3 epochs of all rows" in make_plan(load(SFT))
    assert "45 optimizer steps (3 epochs)" in make_plan(load(SFT, "trainer.packing=false"))


def test_a_dpo_plan_counts_both_answers_and_no_reference_beside_an_adapter(load):
    plan = make_plan(load(DPO))
    assert "2 pairs a step" in plan and "4.1 k tokens" in plan and "reference copy" not in plan
    assert "reference copy" in make_plan(load(DPO, "model.adapter={kind: none}"))


@pytest.mark.parametrize("text", [SFT, DPO])
def test_a_resolved_recipe_is_itself_a_recipe(load, text):
    loaded = load(text)
    assert load(loaded.to_yaml()).recipe == loaded.recipe


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
@pytest.mark.parametrize("change", ["model.adapter={kind: qlora}", "trainer.optim=adamw_8bit"])
def test_a_missing_library_is_named_before_anything_is_loaded(load, change):
    with pytest.raises(RecipeError, match=r"bitsandbytes is not installed · pip install 'quince\[qlora\]'"):
        check_installed(load(SFT, change).recipe)
