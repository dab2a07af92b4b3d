"""The `trainer:` block against the installed libraries, read without importing them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from quince.recipes.config import RecipeErrors, load_recipe
from quince.recipes.config.trainer_arguments import check_trainer, installed_fields, trainer_value
from quince.recipes.config.trainer_fields import CHOICES, DEFAULTS, FIELDS, RANGES, fields_page
from quince.recipes.plan.make_plan import make_plan


def found(target="rlvr", **values):
    return list(check_trainer(values, target))


@pytest.mark.parametrize(
    ("target", "module", "name"),
    [("rlvr", "trl", "GRPOConfig"), ("pretrain", "transformers", "TrainingArguments")],
)
def test_what_is_read_from_the_source_is_what_the_library_has(target, module, name):
    config = getattr(pytest.importorskip(module), name)
    fields = installed_fields(target)
    real = {field.name: field for field in dataclasses.fields(config) if field.init}
    assert set(fields.annotations) == set(real)
    for field, default in fields.defaults.items():
        assert real[field].default == default, field
    assert len(fields.defaults) > 0.9 * len(real)


@pytest.mark.parametrize(
    "values",
    [
        {"learning_rate": 1e-5, "max_steps": 3, "bf16": None, "warmup_steps": 0.1, "num_train_epochs": 2},
        {"lr_scheduler_type": "cosine", "optim": "adamw_torch_fused", "save_strategy": "no"},
        {"chat_template_kwargs": {"enable_thinking": False}, "report_to": ["none"], "accelerator_config": {"a": 1}},
        {"gradient_checkpointing_kwargs": {"use_reentrant": False}, "pad_to_multiple_of": 8},
        {"lr_scheduler_kwargs": {"num_cycles": 2}, "trackio_static_space_id": False, "debug": "underflow_overflow"},
    ],
)
def test_what_the_library_takes_is_accepted(values):
    assert found(**values) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("max_steps", 8.0, "an integer"),
        ("max_steps", True, "an integer"),
        ("learning_rate", "1e-5", "a number"),
        ("learning_rate", True, "a number"),
        ("learning_rate", -1e-5, "at least 0"),
        ("gradient_checkpointing", "yes", "true or false"),
        ("report_to", [1], "list[str]"),
        ("lr_scheduler_type", "cosin", "did you mean `cosine`?"),
        ("parallelism_config", {"a": 1}, "accelerate_config"),
        ("num_generations", 1, "at least 2"),
        ("loss_type", "dapoo", "did you mean `dapo`?"),
        ("learningrate", 1, "did you mean `learning_rate`?"),
    ],
)
def test_what_the_library_would_not_take_is_named(name, value, words):
    ((field, *text),) = found(**{name: value})
    assert field == name and words in " ".join(text)


@pytest.mark.parametrize("target", FIELDS)
def test_the_table_has_every_field_of_the_installed_library(target):
    fields = installed_fields(target).annotations
    assert set(FIELDS[target]) == set(fields)
    assert set(CHOICES.get(target, ())) <= {name for name, rule in FIELDS[target].items() if rule.status == "honoured"}
    assert all(rule.reason for rule in FIELDS[target].values() if rule.status != "honoured")


def test_ranges_name_fields_that_exist():
    assert set(RANGES) <= {name for target in FIELDS for name in installed_fields(target).annotations}


def test_the_page_is_made_from_the_table():
    page = Path(__file__).parents[4] / "docs" / "trainer_fields.md"
    assert page.read_text(encoding="utf-8") == fields_page(), "run python -m quince.recipes.config.trainer_fields"


@pytest.mark.parametrize(
    ("recipe", "override", "words"),
    [
        ("rlvr/tiny_grpo", "trainer.eval_strategy=steps", "held_out"),
        ("rlvr/tiny_grpo", "trainer.sync_ref_model=true", "initial policy"),
        ("rlvr/tiny_grpo", "trainer.multi_objective_aggregation=normalize_then_sum", "added with their weights"),
        ("rlvr/tiny_grpo", "trainer.use_bias_correction_kl=true", "on-policy"),
        ("rlvr/tiny_dph_js", "trainer.neftune_noise_alpha=5.0", "noise"),
        ("rlvr/tiny_dph_js", "model.adapter={kind: lora, dropout: 0.1}", "completions are stored"),
        ("rlvr/tiny_grpo", "trainer.use_liger_kernel=true", "single tokens"),
        ("rlvr/tiny_grpo", "trainer.torch_compile=true", "every new length"),
        ("rlvr/tiny_grpo", "trainer.push_to_hub=true", "upload"),
        ("rlvr/tiny_grpo", "trainer.deepspeed=x.json", "accelerate_config"),
        ("rlvr/tiny_grpo", "trainer.learning_rate=.inf", "a finite number"),
        ("rlvr/tiny_grpo", "trainer.learning_rate=.nan", "a finite number"),
        ("rlvr/tiny_grpo", "rewards.0.weight=.nan", "finite"),
        ("rlvr/tiny_grpo", "trainer.save_strategy=best", "one of no, steps, epoch"),
        ("pretrain/tiny", "trainer.optim=sgd", "Muon"),
    ],
)
def test_a_field_without_the_effect_that_it_promises_is_refused_with_the_reason(recipe, override, words):
    with pytest.raises(RecipeErrors) as caught:
        load_recipe(recipe, [override])
    (problem,) = caught.value.problems
    assert problem.field == override.partition("=")[0].removesuffix(".adapter") + (
        ".adapter.dropout" if "adapter=" in override else ""
    )
    assert words in str(problem)


@pytest.mark.parametrize("target", DEFAULTS)
def test_defaults_without_the_library_are_those_of_the_library(target):
    installed = installed_fields(target).defaults
    assert DEFAULTS[target] == {name: installed[name] for name in DEFAULTS[target]}


def test_defaults_are_those_of_the_library_that_is_trained_with():
    assert trainer_value({}, "learning_rate") == 1e-6
    assert trainer_value({}, "learning_rate", "pretrain") == 5e-5
    assert trainer_value({"learning_rate": 3}, "learning_rate") == 3


def test_without_the_library_names_are_not_checked_and_a_note_says_so(monkeypatch):
    from quince.recipes.config import loader
    from quince.recipes.config import trainer_arguments as trainer

    monkeypatch.setattr(trainer, "installed_fields", lambda target: None)
    monkeypatch.setattr(loader, "installed_fields", lambda target: None)
    loaded = loader.load_recipe("rlvr/tiny_dph_js", ["trainer.anything=1"])
    assert loaded.notes == ("trl is not installed: the names under `trainer:` were not checked",)
    assert found(anything=1) == []
    assert "G parameters" in make_plan(loader.load_recipe("rlvr/llama31_8b_sql_dph_js"))
